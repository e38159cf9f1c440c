from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixity.catalog.units import parse_duration, parse_size

SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
BYTES = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15} | {
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
    "PiB": 2**50,
}
GARBAGE = st.one_of(
    st.text(),
    st.text("0123456789 smhdBKkMGTPi.-+_"),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.binary(),
    st.lists(st.integers()),
    st.from_regex(r"[0-9]{1,5000}[a-zA-Z]*"),
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("15m", 900), ("90d", 7_776_000), ("2h 30m", 9_000), ("2h30m", 9_000), (" 1 d ", 86_400)],
)
def test_a_duration_is_what_it_says(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@given(
    st.dictionaries(st.sampled_from("smhd"), st.integers(0, 10**6), min_size=1), st.sampled_from(["", " "])
)
def test_any_sum_of_units_is_a_duration(counts: dict[str, int], between: str) -> None:
    text = between.join(f"{count}{unit}" for unit, count in counts.items())
    assert parse_duration(text).total_seconds() == sum(n * SECONDS[unit] for unit, n in counts.items())


@pytest.mark.parametrize(
    "text", ["", "15", "m", "15 parsecs", "-5m", "1.5h", "15M", "1m 2m", "2h  30m", "2h, 30m", "٣m", "1mm"]
)
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration.*0s, 15m, 2h 30m or 90d"):
        parse_duration(text)


def test_a_bare_number_is_no_duration_because_it_has_no_unit() -> None:
    with pytest.raises(ValueError, match="900 is not a duration, it has no unit"):
        parse_duration(900)


def test_a_negative_duration_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        parse_duration(timedelta(seconds=-1))


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("20GiB", 20 * 2**30),
        ("5MB", 5_000_000),
        ("100 KiB", 102_400),
        ("7", 7),
        ("7B", 7),
        (0, 0),
        (123, 123),
    ],
)
def test_a_size_is_what_it_says(value: object, size: int) -> None:
    assert parse_size(value) == size


@given(st.integers(0, 8_000), st.sampled_from(sorted(BYTES)), st.sampled_from(["", " "]))
def test_any_whole_number_with_a_unit_is_a_size(number: int, unit: str, between: str) -> None:
    assert parse_size(f"{number}{between}{unit}") == number * BYTES[unit]


@pytest.mark.parametrize(
    "value", ["", "GiB", "5Mb", "5mb", "5MB/s", "1.5GiB", "-5", -5, 5.0, True, None, "5  MB", "٣MB", "5 XB"]
)
def test_what_is_no_size_is_refused_with_the_units(value: object) -> None:
    with pytest.raises(ValueError, match=r"is not a size: .*20GiB"):
        parse_size(value)


@pytest.mark.parametrize("value", [2**63, "9223372036854775808", "9999999PB"])
def test_a_size_beyond_all_counting_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="too large a size"):
        parse_size(value)


@given(GARBAGE)
def test_garbage_is_a_duration_or_a_value_error_on_one_line(value: object) -> None:
    try:
        assert parse_duration(value) >= timedelta(0)
    except ValueError as error:
        assert "duration" in str(error)
        assert len(str(error).splitlines()) == 1 and len(str(error)) < 400


@given(GARBAGE)
def test_garbage_is_a_size_or_a_value_error_on_one_line(value: object) -> None:
    try:
        assert 0 <= parse_size(value) < 2**63
    except ValueError as error:
        assert "size" in str(error)
        assert len(str(error).splitlines()) == 1 and len(str(error)) < 400
