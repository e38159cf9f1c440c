"""The age of a side's evidence: when the bucket was listed, and when its objects were read.

A report of today may rest on checksums of last year, so the report shows their age. People decide what is
too old.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq

from fixity import compute as pc
from fixity.lake.row_groups import column_of_group

_OLDEST = "_oldest_check"
_CHECKED = "checked_at"


@dataclass(frozen=True)
class Evidence:
    """When a bucket's listing began, and when the oldest and the newest check of its table ended.

    All in UTC; None if nothing was checked.
    """

    listed_at: datetime
    oldest_check: datetime | None
    newest_check: datetime | None

    @classmethod
    def of(cls, table: Path, listed_at: datetime) -> Evidence:
        """The evidence of a table of checksums."""
        times = _times(table)
        return cls(listed_at, min(times, default=None), max(times, default=None))

    def by_name(self, side: str) -> dict[str, datetime | None]:
        """The three times by their names in a report's JSON and metadata."""
        return {
            f"{side}_listed_at": self.listed_at,
            f"{side}{_OLDEST}": self.oldest_check,
            f"{side}_newest_check": self.newest_check,
        }


def oldest_check(ages: Mapping[str, datetime | None]) -> datetime | None:
    """The oldest check of both sides, of the times by name; None if neither has one."""
    oldest = [time for name, time in ages.items() if name.endswith(_OLDEST) and time is not None]
    return min(oldest, default=None)


def oldest_in(table: Path) -> datetime | None:
    """The oldest check of a table of checksums (UTC)."""
    return min(_times(table), default=None)


def _times(table: Path) -> list[datetime]:
    """The oldest and the newest check of each row group (UTC); what the footer does not say is read."""
    times: list[datetime | None] = []
    with pq.ParquetFile(table) as file:
        for group in range(file.metadata.num_row_groups):
            column = column_of_group(file.metadata.row_group(group), _CHECKED)
            said = column and column.statistics
            if said is not None and said.has_min_max:
                times += said.min, said.max
            else:
                times += pc.min_max(file.read_row_group(group, [_CHECKED])[_CHECKED]).as_py().values()
    known = [time for time in times if time is not None]
    return [time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC) for time in known]
