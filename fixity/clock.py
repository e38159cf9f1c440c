"""The time in UTC, and how far the clocks of machines may differ. Nothing else belongs here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

CLOCKS_DIFFER = timedelta(days=1)
"""A time further in the future than this comes from a wrong clock."""


CLOCKS_AGREE = timedelta(minutes=1)
"""The clocks of machines and stores must not differ by more. S3 refuses requests from 15 minutes on."""


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Long ago: the time of what has none that can be believed."""


def utc_now() -> datetime:
    """The current time, in UTC."""
    return datetime.now(UTC)


def reached(now: datetime | None) -> datetime:
    """The later of a time (UTC) by another clock and of this machine's: what one has reached is not ahead."""
    here = utc_now()
    return max(now, here) if now else here
