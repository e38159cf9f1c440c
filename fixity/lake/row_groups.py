"""Row groups of tables as Arrow: of columns with one value only the footer is read.

Which rows are read, and what they mean, does not belong here.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from concurrent.futures import Future
from itertools import accumulate
from pathlib import Path
from threading import Lock
from types import MappingProxyType

import pyarrow as pa
import pyarrow.parquet as pq

from fixity import compute as pc

_OUR_WRITER = "parquet-cpp-arrow"
ROW = "row"
"""The name of a column with the number that a row has in its table."""


def read_group(
    table: pq.ParquetFile,
    number: int,
    schema: pa.Schema,
    also: Mapping[str, str | int | None] = MappingProxyType({}),
) -> pa.Table:
    """The rows of a row group with the columns of `schema`; those that it lacks are NULL.

    Arguments: `also`, columns with one value that the table lacks.
    """
    rows = table.metadata.row_group(number).num_rows
    known = constants_of_group(table.metadata, number)
    known |= {name: value for name, value in also.items() if name not in table.schema_arrow.names}
    there = set(table.schema_arrow.names) - known.keys()
    read = table.read_row_group(
        number, columns=[name for name in schema.names if name in there], use_threads=False
    )
    columns = [
        read.column(each.name).cast(each.type, safe=False)
        if each.name in there
        else pa.repeat(pa.scalar(known.get(each.name), each.type), rows)
        for each in schema
    ]
    return pa.table(columns, schema=schema)


def column_of_group(group: pq.RowGroupMetaData, name: str) -> pq.ColumnChunkMetaData | None:
    """What a footer says of a column, by its path, in a row group; None of a column that is not there.

    The footer's `schema`, which has the places of all columns, refers to the footer: both then stay in memory
    until Python looks for garbage, 20 MB of a table of a hundred million rows.
    """
    columns = map(group.column, range(group.num_columns))
    return next((column for column in columns if column.path_in_schema == name), None)


def constants_of_group(metadata: pq.FileMetaData, number: int) -> dict[str, str | int | None]:
    """The columns of a row group with one value, which need not be read: in a file of a run that is most.

    By the footer, as Arrow writes it: others cut long values in it.
    """
    known: dict[str, str | int | None] = {}
    if metadata.created_by.startswith(_OUR_WRITER):
        group = metadata.row_group(number)
        for index in range(group.num_columns):
            column = group.column(index)
            statistics = column.statistics
            if statistics is None or not statistics.has_null_count or "." in column.path_in_schema:
                continue
            if statistics.null_count == group.num_rows:
                known[column.path_in_schema] = None
            elif not statistics.null_count and statistics.has_min_max:
                value = statistics.min
                if isinstance(value, str | int) and value == statistics.max:
                    known[column.path_in_schema] = value
    return known


class RowGroups:
    """The rows of a table with the columns of `schema` and their numbers, ROW, for several threads.

    They take ranges in their order. A row group that ranges share is read once, and kept as long as one of
    them may want it.
    """

    def __init__(self, file: Path, schema: pa.Schema) -> None:
        self._file = file
        self._schema = schema
        with pq.ParquetFile(file) as table:
            self._metadata, there = table.metadata, table.schema_arrow.names
        dictionaries = {each.name for each in schema if pa.types.is_dictionary(each.type)}
        self._few_values = dictionaries.intersection(there)
        groups = [self._metadata.row_group(number) for number in range(self._metadata.num_row_groups)]
        self._starts = [*accumulate((group.num_rows for group in groups), initial=0)]
        self._sizes = [group.total_byte_size for group in groups]
        self._kept: dict[int, Future[pa.RecordBatch]] = {}
        self._lock = Lock()

    def largest(self, first: int, last: int) -> int:
        """The bytes of the largest row group of rows, before compression."""
        return max((self._sizes[number] for number in self._numbers(first, last)), default=0)

    def rows(self, first: int, last: int) -> list[pa.RecordBatch]:
        """The rows from `first` to `last`, none if that is less; a batch for each row group."""
        numbers = self._numbers(first, last)
        starts = [self._starts[number] for number in numbers]
        return [
            self._group(number, numbers[0]).slice(max(0, first - start), last + 1 - max(start, first))
            for number, start in zip(numbers, starts, strict=True)
        ]

    def chosen(self, numbers: pa.ChunkedArray) -> pa.Table:
        """The rows with these numbers, which are few, in their order; NULL where there is no number.

        Their row groups are not kept for others, and columns with one value are made for these rows alone.
        """
        found = [self._schema.append(pa.field(ROW, pa.int64())).empty_table()]
        edges = pc.min_max(numbers).as_py()
        for group in self._numbers(edges["min"], edges["max"]) if edges["min"] is not None else ():
            start, end = self._starts[group], self._starts[group + 1]
            within = numbers.filter(pc.and_(pc.greater_equal(numbers, start), pc.less(numbers, end)))
            if len(within):
                found.append(self._some(group, pc.subtract(within, start)).append_column(ROW, within))
        rows = pa.concat_tables(found)
        return rows.take(pc.index_in(numbers, rows[ROW])).drop_columns(ROW)

    def _some(self, group: int, places: pa.ChunkedArray) -> pa.Table:
        known = constants_of_group(self._metadata, group)
        with self._open() as table:
            read = read_group(
                table, group, pa.schema(each for each in self._schema if each.name not in known)
            )
        rows = read.take(places)
        columns = [
            pa.repeat(pa.scalar(known[each.name], each.type), len(places))
            if each.name in known
            else rows[each.name]
            for each in self._schema
        ]
        return pa.table(columns, schema=self._schema)

    def _numbers(self, first: int, last: int) -> list[int]:
        if last < first:
            return []
        numbers = range(bisect_right(self._starts, first) - 1, bisect_left(self._starts, last + 1))
        return [number for number in numbers if self._starts[number] < self._starts[number + 1]]

    def _group(self, number: int, lowest: int) -> pa.RecordBatch:
        with self._lock:
            for other in [other for other in self._kept if other < lowest]:
                del self._kept[other]
            group = self._kept.get(number)
            is_new = group is None
            if group is None:
                group = self._kept[number] = Future()
        if is_new:
            try:
                group.set_result(self._read(number))
            except BaseException as error:
                group.set_exception(error)
        return group.result()

    def _read(self, number: int) -> pa.RecordBatch:
        with self._open() as table:
            rows = read_group(table, number, self._schema)
        numbers = pa.arange(self._starts[number], self._starts[number + 1])
        return rows.append_column(ROW, numbers).combine_chunks().to_batches()[0]

    def _open(self) -> pq.ParquetFile:
        return pq.ParquetFile(
            self._file, metadata=self._metadata, pre_buffer=False, read_dictionary=self._few_values
        )
