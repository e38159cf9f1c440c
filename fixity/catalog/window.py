"""Hours of the day in which something may happen: `20:00-06:00`, also over midnight.

Who keeps to them does not belong here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator

from fixity.catalog.messages import shown

_WINDOW = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9]) ?- ?([01]?[0-9]|2[0-3]):([0-5][0-9])")
_DAY = timedelta(days=1)
_SHORTEST = timedelta(hours=1)  # what looks for something to do every quarter of an hour must not miss it


@dataclass(frozen=True)
class Window:
    """Hours of each day by the clocks of `zone`: from `begin` to `end`, over midnight if that is earlier."""

    begin: time
    end: time
    zone: str = "UTC"

    def is_open(self, moment: datetime) -> bool:
        """Whether a moment (with its offset) is within the hours."""
        clock = moment.astimezone(_zone(self.zone)).time()
        if self.begin < self.end:
            return self.begin <= clock < self.end
        return clock >= self.begin or clock < self.end

    @property
    def length(self) -> timedelta:
        """How long it is open a day; not so on the two days of a year on which clocks are changed."""
        return (_since_midnight(self.end) - _since_midnight(self.begin)) % _DAY

    def closed(self, until: datetime) -> timedelta:
        """How long it may have been closed before a moment: a day more where clocks were changed lately.

        An hour that the clocks skip opens no window.
        """
        zone = _zone(self.zone)
        lately = {(until - days * _DAY).astimezone(zone).utcoffset() for days in range(4)}
        return len(lately) * _DAY - self.length

    def __str__(self) -> str:
        return f"{self.begin:%H:%M}-{self.end:%H:%M} {self.zone}"


def _since_midnight(clock: time) -> timedelta:
    return timedelta(hours=clock.hour, minutes=clock.minute)


def parse_window(value: object) -> object:
    """A window. Arguments: value: text such as `20:00-06:00`; a Window is returned unchanged.

    Raises: ValueError that says what would be right.
    """
    if isinstance(value, Window):
        return value
    match = _WINDOW.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(
            f'{shown(value)} is no window: write its first and last hour, such as "20:00-06:00"; '
            "midnight is 00:00"
        )
    hours: list[int] = [int(digits) for digits in match.groups()]
    window = Window(time(hours[0], hours[1]), time(hours[2], hours[3]))
    if not window.length:
        raise ValueError(f"{shown(value)} begins where it ends: leave `window` out for the whole day")
    if window.length < _SHORTEST:
        raise ValueError(f"{shown(value)} is shorter than an hour: write a longer one")
    return window


def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)


def _check_zone(name: str) -> str:
    try:
        _zone(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(
            f"{shown(name)} is no time zone: write one of the IANA database, such as Europe/Oslo"
        ) from None
    return name


HoursOfDay = Annotated[Window, BeforeValidator(parse_window)]
"""Hours of the day, written `20:00-06:00`."""

Zone = Annotated[str, AfterValidator(_check_zone)]
"""The name of a time zone."""
