"""Who is told of what, and when: the key `alerts` of the catalog.

What is said does not belong here; that is in `fixity.alerts`.
"""

from __future__ import annotations

import re
from datetime import datetime, time
from typing import Annotated, Literal, Self, get_args
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from fixity.catalog.base import Part
from fixity.catalog.fields import Name
from fixity.catalog.messages import shown

What = Literal[
    "incident_opened",
    "incident_closed",
    "check_red",
    "check_green",
    "coverage",
    "silence",
    "run_failed",
    "daily_digest",
]
"""What a target may be told."""

WHAT: tuple[What, ...] = get_args(What)
"""All that a target may be told."""


def _check_variable(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,99}", name):
        what = "a URL holds a password or a token, and" if "://" in name else "this is not one, and"
        why = (
            f"name an environment variable that holds the URL, such as ALERTS_MAIL: {what} secrets do not "
            "belong in the catalog (the value is not shown here)"
        )
        raise PydanticCustomError("secret", "{why}", {"why": why})
    return name


def _check_time(text: str) -> str:
    _time(text)
    return text


def _check_hours(text: str) -> str:
    begin, dash, end = text.partition("-")
    if not dash or _time(begin) == _time(end):
        raise ValueError(f"{shown(text)} are no hours: write the first and the last, such as 22:00-07:00")
    return text


def _time(text: str) -> time:
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text.strip()):
        raise ValueError(f"{shown(text)} is not a time of day: write it from 00:00 to 23:59")
    return time.fromisoformat(text.strip())


def _check_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, LookupError):  # names of folders, of no zone, and odd ones
        raise ValueError(f"{shown(name)} is not a timezone: write a name such as Europe/Berlin") from None
    return name


Variable = Annotated[str, AfterValidator(_check_variable)]
"""The name of an environment variable that holds a URL."""


class Target(Part):
    """Somebody who is told. In the file, the name of the variable alone is enough."""

    url_from: Variable
    """The environment variable that holds the URL, as the library apprise writes it: `mailtos://…`,
    `slack://…`, `json://…`."""
    what: Annotated[tuple[What, ...], Field(min_length=1)] = WHAT
    """What the target is told; by default everything."""


_Target = Annotated[
    Target, BeforeValidator(lambda value: {"url_from": value} if isinstance(value, str) else value)
]


class Alerts(Part):
    """Who is told when something goes wrong and when it is right again. A target gets one message an hour at
    most; what happens meanwhile is collected."""

    targets: dict[Name, _Target] = Field(default={})
    """The targets by name."""
    quiet_hours: Annotated[str, AfterValidator(_check_hours)] | None = None
    """When nothing is sent, such as `22:00-07:00`; what happens then is sent afterwards. By default never."""
    digest_at: Annotated[str, AfterValidator(_check_time)] = "08:00"
    """When the daily digest is sent, in quotes; after the quiet hours, if it lies in them."""
    timezone: Annotated[str, AfterValidator(_check_zone)] = "UTC"
    """The timezone of these hours, such as `Europe/Berlin`."""
    heartbeat: Variable | None = None
    """The environment variable that holds a URL to ask (GET) every five minutes while batches, sensors,
    coverage and alerts work. Have a service such as Healthchecks tell you when it is not asked."""

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not self.targets and self.heartbeat is None:
            raise ValueError("has nobody to tell: give `targets` or `heartbeat`, or leave the key out")
        return self

    def is_quiet(self, now: datetime) -> bool:
        """Whether nothing is sent at a time (UTC)."""
        if self.quiet_hours is None:
            return False
        begin, end = map(_time, self.quiet_hours.split("-"))
        at = self.local(now).time()
        return begin <= at < end if begin < end else at >= begin or at < end

    def digest_is_due(self, last: datetime | None, now: datetime) -> bool:
        """Whether today's digest is due. Arguments: `last`, when one was sent (UTC)."""
        today = self.local(now)
        return today.time() >= _time(self.digest_at) and (
            last is None or self.local(last).date() < today.date()
        )

    def local(self, now: datetime) -> datetime:
        """A time (UTC) in the timezone of the targets."""
        return now.astimezone(ZoneInfo(self.timezone))
