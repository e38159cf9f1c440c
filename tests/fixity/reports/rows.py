"""Rows of checksums tables, written in one line, and the tables that hold them."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.reports import Outcome, Side, compare
from fixity.reports.by_range import RANGE_BYTES
from fixity.tables import CHECKSUMS, Provenance

Row = dict[str, Any]

LISTED = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""When both sides were listed."""
LAG = timedelta(minutes=15)
OLD = LISTED - timedelta(days=30)
YOUNG = LISTED - timedelta(minutes=5)
LATER = LISTED + timedelta(minutes=1)
CHECKED = datetime(2026, 3, 1, 13, 0, 0, 250, tzinfo=UTC)


def row(key: str = "a", checksum: str | None = "aa", **other: object) -> Row:
    """An object that was read; `other` columns as given."""
    values: Row = {
        "key": key,
        "version_id": None,
        "size": 5,
        "etag": "e1",
        "last_modified": OLD,
        "storage_class": "STANDARD",
        "algorithm": "SHA256",
        "checksum_type": "FULL_OBJECT",
        "checksum": checksum,
        "status": "succeeded",
        "error_code": None,
        "error_message": None,
        "bytes_read": 5,
        "evidence": "streamed",
        "checked_at": CHECKED,
        "run_id": "run",
        "is_latest": True,
    }
    assert not other.keys() - values.keys()
    return values | other


def failed_row(key: str = "a", code: str = "AccessDenied", message: str = "no", **other: object) -> Row:
    """An object that could not be read."""
    return row(key, None, status="failed", error_code=code, error_message=message, **other)


def skipped_row(key: str = "a", code: str = "Archived", message: str = "in Glacier", **other: object) -> Row:
    """An object that nobody looked at."""
    return row(key, None, status="skipped", error_code=code, error_message=message, **other)


def in_order(rows: list[Row]) -> list[Row]:
    """The rows as a table has them: by key in binary order, then by version, without one first."""
    return sorted(
        rows, key=lambda row: (row["key"].encode(), row["version_id"] is not None, row["version_id"] or "")
    )


def table(file: Path, rows: list[Row], row_group_rows: int = 100) -> Path:
    """A table of these rows, in the order given."""
    schema = Provenance("bucket", "run", "run", LISTED).attach(CHECKSUMS)
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for start in range(0, len(rows), row_group_rows):
            writer.write_table(pa.Table.from_pylist(rows[start : start + row_group_rows], schema))
    return file


def report(
    directory: Path,
    source: list[Row],
    replica: list[Row],
    match: Literal["key", "version"] = "key",
    range_bytes: int = RANGE_BYTES,
    groups: tuple[int, int] = (100, 100),
) -> Outcome:
    """The report on two tables of these rows, in `directory`. Arguments: `groups`, rows of a row group."""
    return compare(
        Side("deposit", table(directory / "source.parquet", in_order(source), groups[0]), LISTED),
        Side("copy", table(directory / "replica.parquet", in_order(replica), groups[1]), LISTED),
        match=match,
        lag=LAG,
        csv=directory / "report.csv",
        range_bytes=range_bytes,
    )


def read_csv(file: Path) -> list[dict[str, str]]:
    """The rows of a report, as Python's csv reads them."""
    with file.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text, strict=True))
