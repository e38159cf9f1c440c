"""Writes a table of the lake: row groups of one size, zstd, sorted, with its provenance.

Putting the file into the lake does not belong here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa
import pyarrow.parquet as pq

from fixity import compute as pc
from fixity.lake.database import open_database
from fixity.tables import Provenance

ROW_GROUP_ROWS = 100_000
"""Rows of a row group: a reader of a key range reads at least these, and a writer holds them in memory."""


VARIED = frozenset(
    {
        *("key", "version_id", "etag", "checksum", "expected", "baseline", "record"),
        *("found", "found_against", "size", "bytes_read", "last_modified"),
        *("checked_at", "baseline_at", "verified_at", "good_at", "due_at"),
        *("other_checksums.key_value.value", "expectations.list.element.checksum"),
    }
)
"""Columns with nearly as many values as rows."""


def parquet_writer(file: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """A writer of one of the lake's tables.

    Columns with many values get no dictionary: a file is then smaller, and written and read faster. So it is
    with their numbers and times as differences, and with the lengths of their texts apart from the texts.
    """
    paths = dict(path for each in schema for path in _paths(each.name, each.type))
    encodings = {path: _encoding(kind) for path, kind in paths.items() if path in VARIED and path != "key"}
    return pq.ParquetWriter(
        file,
        schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=[path for path in paths if path not in VARIED],
        column_encoding={path: encoding for path, encoding in encodings.items() if encoding},
    )


def _encoding(kind: pa.DataType) -> str | None:
    """How values of a type are written; None for Parquet's own way."""
    if pa.types.is_string(kind):
        return "DELTA_LENGTH_BYTE_ARRAY"
    return "DELTA_BINARY_PACKED" if pa.types.is_integer(kind) or pa.types.is_timestamp(kind) else None


def _paths(name: str, kind: pa.DataType) -> Iterator[tuple[str, pa.DataType]]:
    """The names by which Parquet knows a column, or the columns within it, and their types."""
    if pa.types.is_map(kind):
        yield from _paths(f"{name}.key_value.key", kind.key_type)
        yield from _paths(f"{name}.key_value.value", kind.item_type)
    elif pa.types.is_list(kind):
        yield from _paths(f"{name}.list.element", kind.value_type)
    elif pa.types.is_struct(kind):
        for each in kind:
            yield from _paths(f"{name}.{each.name}", each.type)
    else:
        yield name, kind


@dataclass(frozen=True)
class Written:
    """What was written: rows, and the sum of their sizes in bytes."""

    rows: int
    size: int


class TableWriter:
    """A Parquet file being written. When closed, it is sorted by key, then version.

    Batches of `schema` usually arrive in order, which is checked for each. If they did not, DuckDB sorts the
    file at the end, and spills beside it; then `merge` takes all rows of some keys and returns those to keep,
    both in order. Where keys ascend, none comes twice, and `merge` is not called.
    """

    def __init__(
        self,
        file: Path,
        schema: pa.Schema,
        provenance: Provenance,
        merge: Callable[[pa.Table], pa.Table] = lambda rows: rows,
    ) -> None:
        self._file = file
        self._schema = provenance.attach(schema)
        self._writer = parquet_writer(file, self._schema)
        self._merge = merge
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        self._last_key: str | None = None
        self._sorted = True
        self._rows = 0
        self._size = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Take the next rows; an empty batch is fine."""
        if not batch.num_rows:
            return
        self._look_at_order(batch.column("key"))
        self._rows += batch.num_rows
        self._size += pc.sum(batch.column("size")).as_py()
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        if self._waiting_rows >= ROW_GROUP_ROWS:
            self._flush()

    def _look_at_order(self, keys: pa.Array) -> None:
        # Equal keys are versions of one object, which stores list by age, not by version id.
        first, last = keys[0].as_py(), keys[-1].as_py()
        if self._last_key is not None and not self._last_key.encode() < first.encode():
            self._sorted = False
        if self._sorted and len(keys) > 1:
            self._sorted = pc.all(pc.less(keys[:-1], keys[1:])).as_py()
        self._last_key = last

    def _flush(self) -> None:
        if self._waiting:
            table = pa.Table.from_batches(self._waiting, self._waiting[0].schema)
            self._writer.write_table(table.cast(self._schema), row_group_size=ROW_GROUP_ROWS)
        self._waiting, self._waiting_rows = [], 0

    def close(self, more: Mapping[str, str] = MappingProxyType({})) -> Written:
        """Write the waiting rows, sort if necessary, and finish the file. Arguments: `more` metadata."""
        self._flush()
        self._schema = self._schema.with_metadata({**(self._schema.metadata or {}), **more})
        self._writer.add_key_value_metadata(dict(more))
        self._writer.close()
        if not self._sorted:
            self._sort()
        return Written(self._rows, self._size)

    def abandon(self) -> None:
        """Close an unfinished file, which must not be used."""
        self._writer.close()

    def _sort(self) -> None:
        unsorted = self._file.with_suffix(".unsorted")
        self._file.rename(unsorted)
        with open_database(self._file.parent) as database:
            reader = database.execute(
                "SELECT * FROM read_parquet(?) ORDER BY key, version_id NULLS FIRST", [str(unsorted)]
            ).to_arrow_reader(ROW_GROUP_ROWS)
            self._rows = self._size = 0
            with parquet_writer(self._file, self._schema) as writer:
                for rows in _whole_keys(reader):
                    table = self._merge(rows).cast(self._schema)
                    self._rows += table.num_rows
                    self._size += pc.sum(table.column("size")).as_py()
                    writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
        unsorted.unlink()


def _whole_keys(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The rows of sorted batches, cut between keys, so that all rows of a key come together."""
    held: list[pa.Table] = []
    for batch in batches:
        rows = pa.concat_tables([*held, pa.Table.from_batches([batch])])
        last = pc.index(rows.column("key"), rows.column("key")[-1]).as_py()
        if last:
            yield rows.slice(0, last)
        held = [rows.slice(last)]
    yield from held


def rows_of(table: pq.ParquetFile, first: int, count: int) -> pa.Table:
    """`count` rows of a table, starting at row `first`. Reads only the row groups that contain them."""
    groups: list[int] = []
    before = start = 0
    for group in range(table.num_row_groups):
        rows = table.metadata.row_group(group).num_rows
        if before + rows > first and before < first + count:
            start = start if groups else before
            groups.append(group)
        before += rows
    return table.read_row_groups(groups).slice(first - start, count)
