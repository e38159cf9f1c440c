"""Tables without the columns that another program added: their names may be ones that a statement uses.

Which columns a table should have does not belong here.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def with_known_columns(table: pq.ParquetFile, schema: pa.Schema, copy: Path) -> Path | None:
    """Write a `copy` of an open table without its columns that are not in `schema`. None where it has none.

    Names are told apart by case, as DuckDB does not. Row groups and metadata stay. Raises ArrowException.
    """
    found = table.schema_arrow
    known = [name for name in found.names if name in schema.names]
    if len(known) == len(found.names):
        return None
    copy.parent.mkdir(parents=True, exist_ok=True)
    fields = pa.schema([found.field(name) for name in known], found.metadata)
    with pq.ParquetWriter(copy, fields, compression="zstd") as writer:
        for number in range(table.num_row_groups):
            writer.write_table(table.read_row_group(number, known).select(known))
    return copy
