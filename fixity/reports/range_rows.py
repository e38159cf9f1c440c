"""Reads the rows of one side of a pair within a range of keys.

Comparing them does not belong here.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fixity.lake.ranges import KeyRange
from fixity.lake.writer import rows_of
from fixity.tables import CHECKSUMS

_ROW = pa.field("row", pa.int64())
COMPARED = pa.schema(
    [
        *(
            CHECKSUMS.field(name).with_nullable(True)
            for name in (
                *(
                    "key",
                    "version_id",
                    "size",
                    "etag",
                    "last_modified",
                    "algorithm",
                    "checksum_type",
                    "checksum",
                ),
                *("evidence", "checked_at", "status", "error_code", "error_message", "is_latest", "verdict"),
            )
        ),
        _ROW,
    ]
)
"""The columns that a comparison needs; `row` is the row's number in its table."""


def rows_of_range(table: Path, numbers: tuple[int, int], keys: KeyRange) -> pa.RecordBatch:
    """A side's rows with the columns of COMPARED.

    Arguments: `table`, a file of CHECKSUMS, which may lack columns if an earlier version wrote it; `numbers`
    of the first and the last row that may be in the range.
    """
    found = _read(table, numbers, COMPARED)
    row_numbers = range(numbers[0], numbers[0] + found.num_rows)
    found = found.set_column(len(COMPARED) - 1, _ROW, pa.array(row_numbers, _ROW.type))
    is_within = pc.greater_equal(found["key"], keys.lower)
    if keys.upper is not None:
        is_within = pc.and_(is_within, pc.less(found["key"], keys.upper))
    if not pc.all(is_within).as_py():  # rows beside the range are in the same row groups
        found = found.filter(is_within)
    batches = found.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], COMPARED)


def whole_checks(table: Path, rows: pa.Table) -> pa.Table:
    """Some rows of a range with all columns of CHECKSUMS. Arguments: `rows`, with the columns of COMPARED."""
    if not rows.num_rows:
        return CHECKSUMS.empty_table()
    bounds = pc.min_max(rows["row"]).as_py()
    others = pa.schema([each for each in CHECKSUMS if each.name not in COMPARED.names])
    read = _read(table, (bounds["min"], bounds["max"]), others).take(pc.subtract(rows["row"], bounds["min"]))
    for each in others:
        rows = rows.append_column(each.with_nullable(True), read[each.name])
    return rows.drop_columns(_ROW.name)


def _read(table: Path, numbers: tuple[int, int], schema: pa.Schema) -> pa.Table:
    """These columns of some rows. Those that the table lacks are NULL."""
    first, last = numbers
    with pq.ParquetFile(table) as file:
        found = rows_of(file, first, last - first + 1, schema.names)
    columns = [
        found[each.name].cast(each.type)
        if each.name in found.column_names
        else pa.nulls(found.num_rows, each.type)
        for each in schema
    ]
    return pa.table(columns, names=schema.names)
