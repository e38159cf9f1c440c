"""Views over tables of the lake: their columns, whatever files there are."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from fixity import tables
from fixity.lake.database import open_database, own_table, view
from fixity.ledger.judge import EXPECTATIONS
from fixity.ledger.snapshot import SNAPSHOT
from fixity.reports.premis.columns import EVENTS

SCHEMAS = {name: each for name, each in vars(tables).items() if isinstance(each, pa.Schema)} | {
    "SNAPSHOT": SNAPSHOT,
    "EVENTS": EVENTS,
    "EXPECTED": tables.INVENTORY.append(EXPECTATIONS),
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_view_without_files_has_the_columns_and_types_that_its_rows_would_have(
    name: str, tmp_path: Path
) -> None:
    with closing(open_database(tmp_path)) as database:
        view(database, "without", [], SCHEMAS[name])
        own_table(database, "of_rows", SCHEMAS[name].append(pa.field("filename", pa.string())).empty_table())
        described = [
            [row[:2] for row in database.execute(f"DESCRIBE {table}").fetchall()]
            for table in ("without", "of_rows")
        ]
    assert described[0] == described[1]
