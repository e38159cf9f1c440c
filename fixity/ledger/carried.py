"""What is expected of objects after a run that found all of them right, none of which has changed since.

This is how a bucket nearly always is; no table is joined for it. Every other case is for `expected`.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fixity.ledger.judge import EXPECTATION, EXPECTATIONS
from fixity.tables import FIRST_SEEN, INVENTORY, MATCHED, REGISTERED

_ROWS = 100_000
_SAME = ("key", "version_id", "etag", "last_modified", "size")
_SAYS = ("verdict", "algorithm", "checksum", "expected_from")


def carry_over(inventory: Path, run_file: Path, algorithm: str, schema: pa.Schema, file: Path) -> bool:
    """Write an inventory with what is expected of its objects to `file`, if a run's file says it of all.

    Arguments: `run_file`, of the ledger; `algorithm`, the bucket's; `schema`, of the table to write.
    Returns whether it does; where not, `file` is of no use.
    """
    with pq.ParquetFile(inventory) as now, pq.ParquetFile(run_file) as before:
        if now.metadata.num_rows != before.metadata.num_rows:
            return False
        with pq.ParquetWriter(file, schema, compression="zstd", compression_level=1) as writer:
            for listed, checked in zip(
                now.iter_batches(_ROWS), before.iter_batches(_ROWS, columns=[*_SAME, *_SAYS]), strict=False
            ):
                if not listed.select(_SAME).equals(checked.select(_SAME)) or not _is_right(
                    checked, algorithm
                ):
                    return False
                columns = [listed[name] for name in INVENTORY.names]
                writer.write_batch(pa.RecordBatch.from_arrays([*columns, _expected(checked)], schema=schema))
    return True


def _is_right(checked: pa.RecordBatch, algorithm: str) -> bool:
    right = pc.is_in(checked["verdict"], pa.array([MATCHED, REGISTERED]))
    return bool(pc.all(pc.and_(right, pc.equal(checked["algorithm"], algorithm))).as_py())


def _expected(checked: pa.RecordBatch) -> pa.ListArray:
    """One checksum of each row, as the field EXPECTATIONS."""
    count = checked.num_rows
    source = pc.if_else(pc.equal(checked["verdict"], REGISTERED), FIRST_SEEN, checked["expected_from"])
    values = [checked["algorithm"], checked["checksum"], source, pa.repeat(False, count)]
    each = pa.StructArray.from_arrays(values, fields=list(EXPECTATION))
    return pa.ListArray.from_arrays(pa.array(range(count + 1), pa.int32()), each).cast(EXPECTATIONS.type)
