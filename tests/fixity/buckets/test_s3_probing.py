"""Where a bucket that was never listed is cut: found in a bucket of keys, by counted requests."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from hashlib import md5
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixity.buckets.s3.probing import find_cuts


class Asked:
    """A bucket of keys, in order. `requests` that were sent."""

    def __init__(self, keys: list[str]) -> None:
        self.keys = sorted(keys, key=str.encode)
        self.requests = 0

    def folders(self, prefix: str) -> list[str]:
        self.requests += 1
        below = (key.removeprefix(prefix).split("/", 1) for key in self.keys if key.startswith(prefix))
        return list(dict.fromkeys(f"{prefix}{parts[0]}/" for parts in below if len(parts) == 2))[:1000]

    def is_past(self, text: str) -> bool:
        self.requests += 1
        return bisect_right(self.keys, text.encode(), key=str.encode) < len(self.keys)

    def cuts(self, prefix: str = "") -> list[str]:
        return find_cuts(self.keys[0], prefix, self.folders, self.is_past)

    def largest_share(self, cuts: list[str]) -> float:
        places = [0, *(bisect_left(self.keys, cut.encode(), key=str.encode) for cut in cuts), len(self.keys)]
        return max(end - begin for begin, end in pairwise(places)) / len(self.keys)


NUMBERS = [f"scans/{number:09d}.tif" for number in range(10_000)]
HASHES = [md5(str(number).encode()).hexdigest() for number in range(10_000)]
FOLDERS = [f"a/{number % 97:02d}/{number:06d}" for number in range(10_000)]
MONTHS = [f"{2020 + number % 4}/{number % 12 + 1:02d}/{number}" for number in range(10_000)]


@pytest.mark.parametrize(
    ("keys", "share"), [(NUMBERS, 0.11), (HASHES, 0.07), (FOLDERS, 0.05), (MONTHS, 0.09)]
)
def test_usual_names_are_cut_evenly_with_few_requests(keys: list[str], share: float) -> None:
    asked = Asked(keys)
    assert asked.largest_share(asked.cuts()) <= share
    assert asked.requests <= 8


def test_keys_below_a_prefix_are_cut_below_it() -> None:
    asked = Asked(NUMBERS)
    cuts = asked.cuts("scans/")
    assert all(cut.startswith("scans/") for cut in cuts)
    assert asked.largest_share(cuts) <= 0.11


@pytest.mark.parametrize(("listed", "cuts"), [(4, 24), (20, 4), (60, 0)])
def test_a_range_has_about_as_many_keys_as_were_listed_before(listed: int, cuts: int) -> None:
    found = find_cuts(
        f"{listed - 1:02d}/9",
        "",
        lambda below: [f"{number:02d}/" for number in range(100)],
        lambda text: True,
    )
    assert len(found) == cuts
    assert found[:1] == [f"{2 * listed - 1:02d}/"][:cuts]


@given(st.lists(st.text("ab/0+ é", min_size=1, max_size=8), min_size=1, max_size=40, unique=True))
def test_cuts_of_any_keys_are_few_and_in_order_and_after_the_first_key(keys: list[str]) -> None:
    asked = Asked(keys)
    cuts = asked.cuts()
    assert cuts == sorted(set(cuts), key=str.encode)
    assert all(cut.encode() > asked.keys[0].encode() for cut in cuts)
    assert len(cuts) <= 32
    assert asked.requests <= 40
