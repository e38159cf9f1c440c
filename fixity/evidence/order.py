"""Which package is wanted: the period and the buckets. Making it does not belong here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from fixity.catalog import Catalog
from fixity.errors import WrongUsage


@dataclass(frozen=True)
class Order:
    """A package that a person wants: from `since` and before `until` (UTC), of buckets and their pairs."""

    since: datetime
    until: datetime
    buckets: tuple[str, ...]
    pairs: tuple[str, ...]

    @classmethod
    def of(
        cls, catalog: Catalog, since: str, until: str | None, buckets: tuple[str, ...], now: datetime
    ) -> Order:
        """Read an order. Arguments: `since` and `until`, as typed; a date's whole day belongs to the period.

        No `until`: now. No `buckets`: all. Raises WrongUsage.
        """
        begin = _moment(since, is_end=False)
        end = min(_moment(until, is_end=True), now) if until else now
        if begin >= end:
            raise WrongUsage(f"the period from {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC is empty")
        chosen = buckets or tuple(catalog.buckets)
        pairs = tuple(name for name, buckets in catalog.compared.items() if {*buckets} & {*chosen})
        return cls(begin, end, chosen, pairs)

    def moments(self) -> list[datetime]:
        """The ends of the months in the period (UTC), and its own end."""
        found = []
        month = self.since.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        while month < self.until:
            month = (month + timedelta(days=32)).replace(day=1)
            found.append(min(month, self.until))
        return found


def _moment(text: str, is_end: bool) -> datetime:
    try:
        if len(text) == len("2026-01-31"):
            day = date.fromisoformat(text)
            return datetime.combine(day, time(), UTC) + timedelta(days=is_end)
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise WrongUsage(f"'{text}' is not a date: write it as 2026-01-31 or 2026-01-31T12:00") from error
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
