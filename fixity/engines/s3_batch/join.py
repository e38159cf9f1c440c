"""Joins a report's staged rows with the inventory, one range of keys after the other.

`join.sql` has the join. Judging a row by itself belongs to `stage`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fixity.engines.s3_batch.job_records import JobRecord
from fixity.engines.s3_batch.stage import MEMORY
from fixity.in_order import in_order
from fixity.lake.database import open_database, processors
from fixity.lake.ranges import KeyRange
from fixity.lake.writer import rows_of
from fixity.ledger.bucket_run import BucketRun
from fixity.ledger.judge import EXPECTATIONS, judged
from fixity.tables import CHECKSUMS, SKIPPED, SUCCEEDED

_SQL = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")

_STAGED = pa.schema(
    [(name, pa.string()) for name in ("key", "version_id", "etag", "checksum_type")]
    + [("checksum", pa.binary()), ("error_code", pa.string()), ("error_message", pa.string())]
)
"""The columns that `stage.sql` writes."""


Joined = tuple[pa.Table, pa.ChunkedArray | None]
"""Rows of the ledger with their verdicts, and what is expected of each object."""


@dataclass(frozen=True)
class Sides:
    """The two sides of the join, in the same ranges of keys.

    inventory: a local file. staged: the folder of the report's rows, with a folder for each range.
    """

    inventory: Path
    staged: Path
    ranges: list[KeyRange]


def joined(
    sides: Sides, run: BucketRun, job: JobRecord, checked_at: datetime, workspace: Path
) -> Generator[Joined]:
    """The checks of each range of keys in order, and what is expected; only a few ranges are joined ahead.

    Arguments: `checked_at`, the report's time (UTC).
    """
    parameters = {
        "inventory": str(sides.inventory),
        "by_version": run.bucket.versions == "all",
        "whole": job.objects is None,
    }
    check = partial(_check, algorithm=job.algorithm, checked_at=checked_at, run_id=run.run_id)
    nothing = workspace / "nothing.parquet"
    pq.write_table(_STAGED.empty_table(), nothing)
    with open_database(workspace, MEMORY, threads=1) as database:
        database.execute("SET GLOBAL parquet_metadata_cache = true")
        # This keeps the inventory's order; sorting whole rows would take as long as the join.
        database.execute("SET GLOBAL disabled_optimizers = 'build_side_probe_side'")

        def join(numbered: tuple[int, KeyRange]) -> Joined:
            number, keys = numbered
            files = [str(file) for file in (sides.staged / f"range={number}").glob("*")]
            with database.cursor() as cursor:
                return _join(cursor, keys, parameters | {"staged": files or [str(nothing)]}, check)

        yield from in_order(join, enumerate(sides.ranges), processors())


def _join(
    cursor: duckdb.DuckDBPyConnection,
    keys: KeyRange,
    common: dict[str, Any],
    check: Callable[[pa.Table, pa.Table], Joined],
) -> Joined:
    ((first, last),) = keys.rows
    parameters = common | {
        "lower": keys.lower,
        "upper": keys.upper,
        "listed_first": first,
        "listed_last": last,
    }
    found = _results(cursor, "joined", parameters)
    if not _ascend(found):
        found = _results(cursor, "one_each", parameters)
    with pq.ParquetFile(common["inventory"]) as inventory:
        listed = rows_of(inventory, first, last - first + 1)
    if found.num_rows < listed.num_rows:
        listed = listed.take(pc.subtract(found.column("listed_row"), first))
    return check(listed, found)


def _results(cursor: duckdb.DuckDBPyConnection, rows: str, parameters: dict[str, Any]) -> pa.Table:
    """The report's results in the inventory's order. Mostly DuckDB gives them in this order."""
    found = cursor.execute(_SQL.format(rows=rows), parameters).to_arrow_table()
    return found if _ascend(found) else found.take(pc.sort_indices(found.column("listed_row")))


def _ascend(results: pa.Table) -> bool:
    """Whether the rows are in the inventory's order, at most one for each of its rows."""
    rows = results.column("listed_row").combine_chunks()
    return bool(pc.all(pc.less(rows[:-1], rows[1:])).as_py())


def _check(listed: pa.Table, results: pa.Table, algorithm: str, checked_at: datetime, run_id: str) -> Joined:
    """The checks of rows of the inventory, from the report's result for each."""
    status = results.column("status")
    same = {"algorithm": algorithm, "evidence": "s3_batch", "run_id": run_id}
    columns = {name: pa.repeat(value, results.num_rows) for name, value in same.items()}
    columns |= {name: listed.column(name) for name in CHECKSUMS.names if name in listed.column_names}
    columns |= {name: results.column(name) for name in CHECKSUMS.names if name in results.column_names}
    columns["bytes_read"] = pc.if_else(pc.equal(status, SUCCEEDED), listed.column("size"), 0)
    when = pa.scalar(checked_at, CHECKSUMS.field("checked_at").type)
    columns["checked_at"] = pc.if_else(pc.equal(status, SKIPPED), pa.scalar(None, when.type), when)
    expected = listed.column(EXPECTATIONS.name) if EXPECTATIONS.name in listed.column_names else None
    return judged(pa.table(columns), expected), expected
