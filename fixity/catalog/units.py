"""Durations and sizes as people write them in the catalog: `90d`, `2h 30m`, `20GiB`, `100 KiB`.

Parsing only. Which durations and sizes make sense for a key does not belong here; that is in `model`.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from fixity.catalog.messages import shown

_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_BYTES = {"B": 1, "kB": 1000, "KB": 1000} | {
    f"{letter}{suffix}": base**power
    for power, letter in enumerate("KMGTP", start=1)
    for suffix, base in (("B", 1000), ("iB", 1024))
}
_LARGEST_SIZE = 2**63 - 1

_DURATION_PART = re.compile(r"([0-9]{1,12}) ?([smhd])(?: |$|(?=[0-9]))")
_SIZE = re.compile(r"([0-9]{1,19}) ?([A-Za-z]{0,3})")

_A_DURATION = "write whole numbers with s, m, h or d, such as 0s, 15m, 2h 30m or 90d"
_A_SIZE = (
    "write a whole number of bytes, or one with kB, MB, GB, TB, PB (powers of 1000) "
    "or KiB, MiB, GiB, TiB, PiB (powers of 1024), such as 20GiB"
)


def parse_duration(value: object) -> timedelta:
    """A length of time.

    Arguments: value: text such as `15m` or `2h 30m`, each unit once; a timedelta is returned unchanged.
    Returns: the length, never negative.
    Raises: ValueError that says what would be right. A bare number is refused: it has no unit.
    """
    if isinstance(value, timedelta):
        if value < timedelta(0):
            raise ValueError(f"{value} is not a duration: it is negative")
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f"{shown(value)} is not a duration, it has no unit: {_A_DURATION}")
    counts = _durations(value.strip()) if isinstance(value, str) else {}
    if not counts:
        raise ValueError(f"{shown(value)} is not a duration: {_A_DURATION}")
    try:
        return timedelta(seconds=sum(count * _SECONDS[unit] for unit, count in counts.items()))
    except OverflowError:
        raise ValueError(f"{shown(value)} is too long a duration: write a shorter one") from None


def parse_size(value: object) -> int:
    """A number of bytes.

    Arguments: value: a whole number of bytes, or text such as `20GiB` or `5MB`. The case of a unit
        matters: `Mb` is refused, because it can mean megabits.
    Returns: bytes, from 0 to 2**63 - 1.
    Raises: ValueError that says what would be right.
    """
    size = None
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    elif isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        unit = _BYTES.get(match[2] or "B")
        size = int(match[1]) * unit if unit else None
    if size is None or size < 0:
        raise ValueError(f"{shown(value)} is not a size: {_A_SIZE}")
    if size > _LARGEST_SIZE:
        raise ValueError(f"{shown(value)} is too large a size: write at most 2**63 - 1 bytes")
    return size


def _durations(text: str) -> dict[str, int]:
    """How many of each unit; empty if the text is no duration or has a unit twice."""
    counts: dict[str, int] = {}
    position = 0
    while position < len(text):
        match = _DURATION_PART.match(text, position)
        if match is None or match[2] in counts:
            return {}
        counts[match[2]] = int(match[1])
        position = match.end()
    return counts


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
"""A length of time, written `15m` or `2h 30m`."""

ByteSize = Annotated[int, BeforeValidator(parse_size)]
"""A number of bytes, written `20GiB` or as a plain whole number."""


def _check_term(term: timedelta) -> timedelta:
    if not term:
        raise ValueError("0s is too short: write how old a check may be, such as 90d")
    return term


def _check_interval(interval: timedelta) -> timedelta:
    minutes = interval / timedelta(minutes=1)
    if not (minutes.is_integer() and 1 <= minutes <= 24 * 60):
        raise ValueError(
            f"{interval} cannot be the interval of a schedule: write whole minutes from 1m to 24h"
        )
    return interval


def _check_kept_runs(time: timedelta) -> timedelta:
    if time < timedelta(days=30):
        raise ValueError(
            "that is too short: failed runs are retried and looked at for weeks; write 30d or more"
        )
    return time


Term = Annotated[Duration, AfterValidator(_check_term)]
"""A length of time that is not 0."""

KeptRuns = Annotated[Duration, AfterValidator(_check_kept_runs)]
"""How long runs are kept: at least 30 days."""

BatchInterval = Annotated[Duration, AfterValidator(_check_interval)]
"""How often a schedule starts something: whole minutes, up to a day."""
