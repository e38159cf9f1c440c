"""What a pair's page shows of its report: the counts, and the first rows that are not ok.

The CSV and its counts are two files, so each shows whether the other is what was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fixity.lake.csv_files import read_rows, reading_with_duckdb
from fixity.lake.paths import report_file, stats_file
from fixity.lake.proof import json_object
from fixity.pages.render import MOST_ROWS
from fixity.pages.sources import Sources
from fixity.reports import COLUMNS, Counts
from fixity.reports.columns import SUSPECT

if TYPE_CHECKING:
    import duckdb

_SQL = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")


class Unusable(ValueError):
    """A report that is lost or damaged. The text says which file, and why."""


@dataclass(frozen=True)
class Report:
    """A report: its rows by status, the first that are not ok, and the oldest check of both sides (UTC)."""

    by_status: Mapping[str, int]
    first: list[dict[str, Any]]
    total_objects: int
    oldest: datetime | None

    @property
    def not_ok(self) -> int:
        """How many rows are not ok."""
        return sum(self.by_status.values()) - self.by_status.get("ok", 0)

    @property
    def suspect(self) -> int:
        """How many rows say that something is wrong."""
        return sum(self.by_status.get(status, 0) for status in SUSPECT)


def read_report(sources: Sources, pair: str, database: duckdb.DuckDBPyConnection) -> Report:
    """Read the newest report of a pair. Raises Unusable, LakeError."""
    counts, oldest = _counts(sources, stats_file(pair, None))
    name = report_file(pair, None)
    try:
        file = sources.fetch(name)
    except FileNotFoundError as error:
        raise Unusable(f"{name} is lost") from error
    by_status, first = _rows(name, file, database)
    kept = counts.by_status()
    if any(
        by_status.get(status, 0) > kept[status] for status in ("failed_source", "failed_replication")
    ) or any(
        by_status.get(status, 0) != count
        for status, count in kept.items()
        if not status.startswith("failed_")
    ):
        raise Unusable(f"{name} does not have the rows that were counted when it was written")
    return Report(by_status, first, counts.total_objects, oldest)


def _counts(sources: Sources, name: str) -> tuple[Counts, datetime | None]:
    try:
        values = json_object(sources.fetch(name).read_text(encoding="utf-8"))
        times = [values[f"{side}_oldest_check"] for side in ("source", "replica")]
        read = [datetime.fromisoformat(time) for time in times if time]
        return Counts.from_stats(values), min(read) if len(read) == len(times) else None
    except FileNotFoundError as error:
        raise Unusable(f"{name} is lost") from error
    except (ValueError, TypeError, KeyError) as error:
        raise Unusable(f"{name} is damaged") from error


def _rows(
    name: str, file: Path, database: duckdb.DuckDBPyConnection
) -> tuple[dict[str, int], list[dict[str, Any]]]:
    import duckdb

    try:
        with file.open(encoding="utf-8", newline="") as text:
            columns, _ = read_rows(text)
        if not {"key", "version_id", "status"} <= set(columns) <= set(COLUMNS):
            raise Unusable(f"{name} is damaged: it has other columns")
        csv = reading_with_duckdb(file, columns)
        by_status = dict(database.execute(f"SELECT status, count(*) FROM {csv} GROUP BY status").fetchall())
        found = (
            database.execute(_SQL.format(csv=csv), {"most": MOST_ROWS}) if by_status.keys() - {"ok"} else None
        )
        first = found.to_arrow_table().to_pylist() if found else []
    except (duckdb.Error, UnicodeDecodeError) as error:
        raise Unusable(f"{name} is damaged: {str(error).splitlines()[0]}") from error
    if not by_status.keys() <= Counts().by_status().keys():
        raise Unusable(f"{name} is damaged: it has other statuses")
    return by_status, [{column: row.get(column) for column in COLUMNS} for row in first]
