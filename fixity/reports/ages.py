"""The age of a side's evidence: when the bucket was listed, and when its objects were read.

A report of today may rest on checksums of last year, so the report shows their age. People decide what is
too old.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq


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
        """The evidence of a table of checksums, from the statistics of its row groups, where it has them."""
        found: list[datetime] = []
        with pq.ParquetFile(table) as file:
            column = file.schema_arrow.get_field_index("checked_at")
            for group in range(file.num_row_groups):
                statistics = file.metadata.row_group(group).column(column).statistics
                if statistics is not None and statistics.has_min_max:
                    found += [statistics.min, statistics.max]
                else:
                    values = file.read_row_group(group, columns=["checked_at"]).column(0)
                    found += [value for value in pc.min_max(values).as_py().values() if value is not None]
        return cls(listed_at, min(found, default=None), max(found, default=None))

    def by_name(self, side: str) -> dict[str, datetime | None]:
        """The three times by their names in a report's JSON and metadata."""
        return {
            f"{side}_listed_at": self.listed_at,
            f"{side}_oldest_check": self.oldest_check,
            f"{side}_newest_check": self.newest_check,
        }
