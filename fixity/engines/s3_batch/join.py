"""What a report's staged rows say of the objects of an inventory, range of keys by range of keys.

Both meet in `join.sql`; how rows are judged by themselves is told in `stage`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fixity.catalog import Bucket
from fixity.engines.s3_batch.job_records import JobRecord
from fixity.engines.s3_batch.report import Report
from fixity.engines.s3_batch.stage import MEMORY
from fixity.lake.database import open_database, processors
from fixity.lake.ranges import KeyRange
from fixity.lake.writer import rows_of
from fixity.ledger.judge import EXPECTATIONS, judged
from fixity.tables import CHECKSUMS, SKIPPED, SUCCEEDED

_SQL = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")

_STAGED = pa.schema(
    [(name, pa.string()) for name in ("key", "version_id", "etag", "checksum_type")]
    + [("checksum", pa.binary()), ("error_code", pa.string()), ("error_message", pa.string())]
)
"""What `stage.sql` writes."""


def joined(
    inventory: Path,
    staged: Path,
    ranges: list[KeyRange],
    bucket: Bucket,
    job: JobRecord,
    report: Report,
    run_id: str,
    workspace: Path,
) -> Generator[pa.Table]:
    """The checks of one range of keys after the other; only a few ranges ahead are worked on."""
    parameters = {
        "inventory": str(inventory),
        "by_version": bucket.versions == "all",
        "whole": job.objects is None,
    }
    check = partial(_check, algorithm=job.algorithm, checked_at=report.created_at, run_id=run_id)
    nothing = workspace / "nothing.parquet"
    pq.write_table(_STAGED.empty_table(), nothing)
    threads = processors()
    waiting = deque[Future[pa.Table]]()
    with open_database(workspace, MEMORY, threads=1) as database, ThreadPoolExecutor(threads) as pool:
        database.execute("SET GLOBAL parquet_metadata_cache = true")
        # The inventory's side is gone through in its order; sorting whole rows would cost as much again.
        database.execute("SET GLOBAL disabled_optimizers = 'build_side_probe_side'")
        cursors: SimpleQueue[duckdb.DuckDBPyConnection] = SimpleQueue()
        for _ in range(threads):
            cursors.put(database.cursor())
        try:
            for number, keys in enumerate(ranges):
                if len(waiting) > threads:
                    yield waiting.popleft().result()
                files = [str(file) for file in (staged / f"range={number}").glob("*")] or [str(nothing)]
                waiting.append(pool.submit(_join, cursors, keys, files, parameters, check))
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _join(
    cursors: SimpleQueue[duckdb.DuckDBPyConnection],
    keys: KeyRange,
    staged: list[str],
    common: dict[str, Any],
    check: Callable[[pa.Table, pa.Table], pa.Table],
) -> pa.Table:
    first, last = keys.source_rows
    parameters = common | {
        "lower": keys.lower,
        "upper": keys.upper,
        "listed_first": first,
        "listed_last": last,
        "staged": staged,
    }
    cursor = cursors.get()
    try:
        said = _said(cursor, "joined", parameters)
        if not _ascend(said):
            said = _said(cursor, "one_each", parameters)
    finally:
        cursors.put(cursor)
    with pq.ParquetFile(common["inventory"]) as inventory:
        listed = rows_of(inventory, first, last - first + 1)
    if said.num_rows < listed.num_rows:
        listed = listed.take(pc.subtract(said.column("listed_row"), first))
    return check(listed, said)


def _said(cursor: duckdb.DuckDBPyConnection, rows: str, parameters: dict[str, Any]) -> pa.Table:
    """What the report says, in the inventory's order, in which it mostly comes."""
    said = cursor.execute(_SQL.format(rows=rows), parameters).to_arrow_table()
    return said if _ascend(said) else said.take(pc.sort_indices(said.column("listed_row")))


def _ascend(said: pa.Table) -> bool:
    """Whether each row is of a later row of the inventory than the one before it."""
    rows = said.column("listed_row").combine_chunks()
    return bool(pc.all(pc.less(rows[:-1], rows[1:])).as_py())


def _check(listed: pa.Table, said: pa.Table, algorithm: str, checked_at: datetime, run_id: str) -> pa.Table:
    """Rows of the ledger with their verdicts, from rows of the inventory and what the report says of each."""
    status = said.column("status")
    same = {"algorithm": algorithm, "evidence": "s3_batch", "run_id": run_id}
    columns = {name: pa.repeat(value, said.num_rows) for name, value in same.items()}
    columns |= {name: listed.column(name) for name in CHECKSUMS.names if name in listed.column_names}
    columns |= {name: said.column(name) for name in CHECKSUMS.names if name in said.column_names}
    columns["bytes_read"] = pc.if_else(pc.equal(status, SUCCEEDED), listed.column("size"), 0)
    when = pa.scalar(checked_at, CHECKSUMS.field("checked_at").type)
    columns["checked_at"] = pc.if_else(pc.equal(status, SKIPPED), pa.scalar(None, when.type), when)
    expected = EXPECTATIONS.name in listed.column_names
    return judged(pa.table(columns), listed.column(EXPECTATIONS.name) if expected else None)
