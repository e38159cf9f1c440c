"""The expected checksums of objects: from records, and from the ledger.

How bytes are compared with them is in `judge`; how records are found is in `fixity.ingest.records`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from fixity.catalog import Bucket
from fixity.lake import Lake
from fixity.lake.database import open_database, own_table, view
from fixity.lake.ranges import KeyRange, key_ranges
from fixity.lake.writer import ROW_GROUP_ROWS, parquet_writer
from fixity.ledger.files import ledger_files
from fixity.ledger.fold import settings_of
from fixity.ledger.judge import EXPECTATIONS, STRENGTH_SQL
from fixity.ledger.refresh import ready
from fixity.ledger.snapshot import Snapshot
from fixity.ledger.views import define_content, now_is, view_now
from fixity.tables import BASELINES, INVENTORY, Provenance

if TYPE_CHECKING:
    import duckdb

_SQL = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
_MACROS = f"""
    {STRENGTH_SQL};
    CREATE OR REPLACE TEMP MACRO expectation(checksum, algorithm, source, known_to_differ) AS
        CASE WHEN checksum IS NOT NULL THEN struct_pack(
            strength := strength(source, algorithm), algorithm := algorithm, checksum := checksum,
            source := source, known_to_differ := known_to_differ
        ) END;
    CREATE OR REPLACE TEMP MACRO expectations(
        baseline, baseline_algorithm, baseline_from, record, record_algorithm, record_from, damaged
    ) AS nullif(list_filter(
        CASE
            WHEN strength(record_from, record_algorithm) > strength(baseline_from, baseline_algorithm) THEN [
                expectation(record, record_algorithm, record_from, damaged),
                expectation(baseline, baseline_algorithm, baseline_from, damaged)
            ]
            ELSE [
                expectation(baseline, baseline_algorithm, baseline_from, damaged),
                expectation(record, record_algorithm, record_from, damaged)
            ]
        END,
        lambda each: each IS NOT NULL
    ), []);
    CREATE OR REPLACE TEMP MACRO plain(expectations) AS list_transform(expectations, lambda each: struct_pack(
        algorithm := each.algorithm, checksum := each.checksum, source := each.source,
        known_to_differ := each.known_to_differ
    ));
"""
_RANGE_BYTES = 128 * 1024 * 1024  # of both tables, by their footers; memory does not grow with the bucket
_MEMORY = "900MB"
_OF_KNOWN = [
    "key", "version_id", "etag", "last_modified", "size", "baseline", "baseline_algorithm", "baseline_from",
    "record", "record_algorithm", "record_from", "damaged_at",
]  # fmt: skip
"""The columns of a snapshot by which it is said what is expected."""


def with_expectations(
    lake: Lake,
    snapshot: Snapshot | None,
    inventory: Path,
    records: Path | None,
    workspace: Path,
) -> Path:
    """An inventory with a column `expectations` of what is expected of each object, in the same order.

    Arguments: `snapshot`, None for a bucket whose ledger is empty; `inventory`, a local file; `records`,
    a local table of recorded checksums (BASELINES), None where none were gathered.
    Returns a file in `workspace`, or `inventory` itself where nothing is expected. Raises LakeError.
    """
    if snapshot is None and records is None:
        return inventory
    with open_database(workspace, _MEMORY) as database:
        known = view_now(database, lake, snapshot, "objects", workspace).folded
        view(database, "records", [records] if records else [], BASELINES)
        ranges = key_ranges(inventory, *known, most=_RANGE_BYTES)
        return _joined(database, inventory, ranges, workspace)


def _joined(
    database: duckdb.DuckDBPyConnection, inventory: Path, ranges: Iterable[KeyRange], workspace: Path
) -> Path:
    """Join an inventory with the views `now` and `records`, range by range."""
    file = workspace / "expected.parquet"
    schema = _schema_of(inventory)
    database.execute(_MACROS)
    with parquet_writer(file, schema) as writer:
        for keys in ranges:
            given = {"inventory": str(inventory), "lower": keys.lower, "upper": keys.upper}
            for batch in database.execute(_SQL, given).to_arrow_reader(ROW_GROUP_ROWS):
                table = pa.Table.from_batches([batch]).cast(schema)
                writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
    return file


def expected_by_ledger(lake: Lake, bucket: Bucket, inventory: Path, run_id: str, workspace: Path) -> Path:
    """An inventory with a column `expectations` of what the bucket's ledger expects of each object.

    Arguments: `inventory`, a local file; `run_id` names the snapshot if it is rebuilt.
    Returns a file in `workspace`, or `inventory` itself where the ledger is empty: nothing is folded then.
    Raises TableMissing, LakeError.
    """
    if not ledger_files(lake, bucket.name):
        return inventory
    snapshot = ready(lake, bucket.name, settings_of(bucket), run_id)
    return with_expectations(lake, snapshot, inventory, None, workspace)


def expected_of_some(inventory: Path, rows: pa.Table, workspace: Path) -> pa.Table:
    """An inventory of a few objects with a column `expectations`; their rows of the snapshot are known.

    Arguments: `inventory`, a local file of these objects; `rows`, as from `known_of_some`.
    """
    with open_database(workspace) as database:
        define_content(database)
        database.execute(_MACROS)
        own_table(database, "of_some", rows.select(_OF_KNOWN))
        now_is(database, "of_some")
        view(database, "records", [], BASELINES)
        given = {"inventory": str(inventory), "lower": "", "upper": None}
        found = database.execute(_SQL, given).to_arrow_table()
    return found.cast(_schema_of(inventory))


def _schema_of(inventory: Path) -> pa.Schema:
    return Provenance.read(inventory).attach(INVENTORY.append(EXPECTATIONS))


def expectations_of(rows: pa.Table, workspace: Path) -> pa.ChunkedArray:
    """What is expected of the objects of some rows of a snapshot, as the field EXPECTATIONS."""
    with open_database(workspace) as database:
        define_content(database)
        database.execute(_MACROS)
        database.register("rows", rows.append_column("position", pa.array(range(rows.num_rows))))
        found = database.execute(
            "SELECT plain(expectations(baseline, baseline_algorithm, baseline_from, record, "
            "record_algorithm, record_from, damaged_at IS NOT NULL)) AS expectations "
            "FROM rows ORDER BY position"
        ).to_arrow_table()
    return found.column("expectations").cast(EXPECTATIONS.type)
