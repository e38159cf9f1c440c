"""Columns that another program added to a table say nothing, and stop nothing, whatever their names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fixity.clock import utc_now
from fixity.incidents.history import history_of
from fixity.lake.database import open_database, view
from fixity.ledger import ready
from fixity.ledger.fold import settings_of
from fixity.ledger.views import view_now
from fixity.reports.pair import make_report
from fixity.reports.premis import Subject, event_tables
from fixity.reports.query import exploring
from fixity.rolling import bucket_coverage
from tests.fixity.incidents.archive import PAIR, Archive, write
from tests.fixity.support import keep_table

NAMES = {
    "of DuckDB": [
        "filename",
        "file_row_number",
        "file_index",
        "rowid",
        "row",
        "generation",
        "run",
        "position",
    ],
    "of another case": ["KEY", "Size", "Checksum", "FILENAME"],
    "of our statements": [
        "repeats",
        "only_verdict",
        "place",
        "content",
        "listed",
        "bucket",
        "plain",
        "found",
    ],
}


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """A pair of which some objects differ or are missing on a side."""
    for side in "ab":
        (tmp_path / side).mkdir()
        for number in range(6):
            if (side, number) != ("b", 4):
                write(tmp_path / side / f"k{number}", b"other" if (side, number) == ("b", 3) else b"same")
    archive = Archive.of(tmp_path, {name: {"path": f"./{name}"} for name in "ab"}, {PAIR: {"replica": "b"}})
    archive.check("1")
    write(tmp_path / "a" / "k5", b"changed")
    archive.check("2")
    return archive


def _add(archive: Archive, names: Sequence[str]) -> None:
    """Add columns before all others in each inventory and each file of the ledger."""
    for folder in ("checksums/", "inventory/"):
        for file in archive.lake.list(folder):
            if file.name.endswith(".parquet"):
                table = pq.read_table(archive.lake.location(file.name))
                foreign = [pa.array([f"{name} of another"] * table.num_rows) for name in names]
                columns = [*foreign, *table.columns]
                more = pa.table(columns, [*names, *table.column_names])
                keep_table(archive.lake, file.name, more.replace_schema_metadata(table.schema.metadata))


def _said(archive: Archive, workspace: Path) -> dict[str, Any]:
    """All that is said of the lake: a fold, a report, an export, coverage, histories, queries."""
    lake, catalog = archive.lake, archive.catalog
    workspace.mkdir()
    lake.remove("standing/")
    bucket, pair = catalog.buckets["a"], catalog.pairs[PAIR]
    settings = settings_of(bucket)
    now = utc_now()
    report = make_report(lake, pair, settings, "report")
    said: dict[str, Any] = {"report": lake.read_text(report.csv), "counts": report.outcome.counts}
    with open_database(workspace) as database:
        view_now(database, lake, ready(lake, "a", settings, "s"), "objects", workspace)
        rows = database.execute("SELECT * EXCLUDE (content, filename) FROM now ORDER BY key, etag")
        said["folded"] = rows.fetchall()
    (events,) = event_tables(lake, Subject.of(catalog, "a"), workspace)
    said["events"] = sorted(str(each) for each in pq.read_table(events).to_pylist())
    covered = bucket_coverage(lake, bucket, "c")
    said["coverage"] = (covered.objects, covered.within_term, covered.never, covered.overdue)
    history = history_of(lake, bucket, ["k3"], now, workspace).of("k3")
    said["history"] = str(history)
    with exploring(catalog, lake, list[str]().append) as explorer:
        for name in ("checks", "checksums", "inventory"):
            found = explorer.ask(f"SELECT key, size, bucket FROM {name} ORDER BY ALL")
            assert found is not None
            said[name] = found.fetchall()
    return said


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_what_is_said_of_a_lake_is_the_same_with_foreign_columns(
    archive: Archive, tmp_path: Path, names: list[str]
) -> None:
    right = _said(archive, tmp_path / "before")
    _add(archive, names)
    assert _said(archive, tmp_path / "after") == right


def test_a_view_has_the_name_of_the_file_and_not_a_column_that_is_called_so(tmp_path: Path) -> None:
    file = tmp_path / "table.parquet"
    pq.write_table(pa.table({"filename": ["other"], "key": ["k"]}), file)
    with open_database(tmp_path) as database:
        view(database, "tables", [file], pa.schema([("key", pa.string())]))
        assert database.execute("SELECT key, filename FROM tables").fetchall() == [("k", str(file))]
