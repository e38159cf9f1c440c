"""The age of a side's evidence: when the bucket was listed, and when its objects were read.

A report of today may rest on checksums of last year, so the report shows their age. People decide what is
too old.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fixity.lake.database import open_database


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
            f"{side}_oldest_check": self.oldest_check,
            f"{side}_newest_check": self.newest_check,
        }
