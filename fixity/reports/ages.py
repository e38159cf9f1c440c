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

from fixity.lake.database import open_database

_OLDEST = "_oldest_check"


@dataclass(frozen=True)
class Evidence:
    """When a bucket's listing began, and when the oldest and the newest check of its table ended.

    All in UTC; None if nothing was checked.
    """

    listed_at: datetime
    oldest_check: datetime | None
    newest_check: datetime | None

    @classmethod
    def of(cls, table: Path, listed_at: datetime, workspace: Path) -> Evidence:
        """The evidence of a table of checksums."""
        with open_database(workspace) as database:
            (times,) = database.execute(
                "SELECT min(checked_at), max(checked_at) FROM read_parquet(?)", [str(table)]
            ).fetchall()
        return cls(listed_at, *(time and time.astimezone(UTC) for time in times))

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
    """The oldest check of a table of checksums (UTC), by what its footer says of each row group."""
    metadata = pq.read_metadata(table)
    column = metadata.schema.names.index("checked_at")
    said = [metadata.row_group(group).column(column).statistics for group in range(metadata.num_row_groups)]
    oldest = min((each.min for each in said if each is not None and each.has_min_max), default=None)
    return oldest and (oldest.astimezone(UTC) if oldest.tzinfo else oldest.replace(tzinfo=UTC))
