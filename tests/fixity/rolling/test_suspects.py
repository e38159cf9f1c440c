"""A rolling run looks twice at what differs before it says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fixity.buckets import BucketUnreachable, ObjectSkipped, ObjectUnreadable
from fixity.catalog import SecondLook
from fixity.rolling import Limits, Order, RollingRun
from fixity.rolling.lease import leases
from tests.fixity.rolling.support import BUCKET, Archive, Rolling, roll
from tests.fixity.support import Unsteady, flipped, sha256


class UnsteadyArchive(Unsteady, Archive):
    """An archive some of whose reads give other bytes."""


@pytest.fixture
def bucket(tmp_path: Path) -> Rolling:
    """A bucket whose objects were all checked once, and are all due again."""
    rolling = Rolling(tmp_path)
    rolling.store = UnsteadyArchive()
    rolling.put("a", "b", "c", "d", "e", "f")
    rolling.take_inventory()
    rolling.roll()
    rolling.time += rolling.settings.every
    return rolling


def answers(bucket: Rolling, **given: list[bytes | Exception | None]) -> None:
    assert isinstance(bucket.store, UnsteadyArchive)
    bucket.store.answers = dict(given)


def found(bucket: Rolling) -> dict[str, tuple[Any, ...]]:
    """What a rolling run says of each object."""
    table = bucket.ledger(bucket.roll()).to_pylist()
    names = ("status", "verdict", "reads", "error_code")
    return {row["key"]: tuple(row[name] for name in names) for row in table}


RIGHT = ("succeeded", "matched", 1, None)


def test_only_bytes_that_are_wrong_twice_are_damage(bucket: Rolling) -> None:
    wrong, other = flipped(b"x", 0), flipped(b"x", 1)
    answers(
        bucket,
        b=[wrong, None],
        c=[wrong, wrong],
        d=[wrong, other],
        e=[wrong, ObjectUnreadable("ReadError", "a broken disk")],
        f=[wrong, ObjectSkipped("ChangedSinceListed", "it was overwritten")],
    )
    assert found(bucket) == {
        "a": RIGHT,
        "b": ("succeeded", "matched", 2, "UnstableRead"),
        "c": ("succeeded", "differs", 2, None),
        "d": ("failed", "not_compared", 2, "UnstableRead"),
        "e": ("failed", "not_compared", 2, "ReadError"),
        "f": ("skipped", "not_compared", 2, "ChangedSinceListed"),
    }
    (damage,) = bucket.damaged()
    assert (damage.key, damage.actual, damage.suspect) == ("c", sha256(wrong), False)


def test_what_is_right_is_read_once(bucket: Rolling) -> None:
    assert isinstance(bucket.store, UnsteadyArchive)
    bucket.store.read_keys = []
    assert set(found(bucket).values()) == {RIGHT}
    assert len(bucket.store.read_keys) == 6 and bucket.store.afresh == []


def test_the_second_look_stays_within_what_monthly_egress_leaves(bucket: Rolling) -> None:
    answers(bucket, a=[b"x", b"x"], b=[b"x", b"x"], c=[b"x", b"x"])
    rows = bucket.ledger(bucket.roll(budget=6 + 2)).to_pylist()
    assert [row["reads"] for row in rows] == [2, 2, 1, 1, 1, 1]
    assert "monthly_egress" in rows[2]["error_message"]
    assert [(each.key, each.suspect) for each in bucket.damaged()] == [
        ("a", False),
        ("b", False),
        ("c", True),
    ]


def test_a_run_stays_within_the_catalog_s_limit(bucket: Rolling) -> None:
    answers(bucket, a=[b"x", b"x"], b=[b"x", b"x"])
    order = Order(BUCKET, bucket.settings, Limits(100), 1800.0)
    once = SecondLook(objects=1)
    rolled = roll(order, RollingRun(bucket.store, bucket.lake, "r", 1, now=bucket.now, second_look=once))
    assert [row["reads"] for row in bucket.ledger(rolled).to_pylist()] == [2, 1, 1, 1, 1, 1]


def test_a_run_that_ends_before_the_second_look_leaves_the_object_due(bucket: Rolling) -> None:
    answers(bucket, c=[b"x", BucketUnreachable("the cable is out")])
    with pytest.raises(BucketUnreachable):
        bucket.roll()
    bucket.over = {each.run_id for each in leases(bucket.lake, BUCKET)}
    assert found(bucket) == {"c": RIGHT}  # and what the others are, the run before has seen
    assert bucket.due() == [] and bucket.damaged() == []
