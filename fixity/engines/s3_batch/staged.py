"""The judged rows of a completion report on disk, to be read again one range of keys after the other.

How rows are judged, and what they are compared with, does not belong here.
"""

from __future__ import annotations

import mmap
from itertools import islice, pairwise
from pathlib import Path
from threading import Lock
from typing import NamedTuple, Self

import pyarrow as pa

from fixity import compute as pc
from fixity.digests.algorithms import SIZES
from fixity.engines.s3_batch.job_records import JobRecord

_AT_A_TIME = 64  # batches: with each page that is read, the system maps some beside it


def staged_schema(job: JobRecord) -> pa.Schema:
    """The columns of the rows. checksum: its bytes; NULL where there is an error_code."""
    texts = ("key", "version_id", "etag", "checksum_type", "error_code", "error_message")
    checksum = pa.field("checksum", pa.binary(SIZES[job.algorithm]))
    return pa.schema([*(pa.field(name, pa.string()) for name in texts), checksum])


class _Batch(NamedTuple):
    """Rows in the file, sorted by range. bounds: the first row and the end of each range in it."""

    start: int
    size: int
    schema: pa.Schema
    bounds: dict[int, tuple[int, int]]


class Staging:
    """Writes rows to a file; threads may add some at the same time. Use it as a context, then read `staged`.

    Arguments: `edges`, the first key of each range but the first.
    """

    def __init__(self, file: Path, edges: list[str], job: JobRecord) -> None:
        self._file = file
        self._job = job
        self._edges = pa.array(edges, pa.string())
        self._batches: list[_Batch] = []
        self._lock = Lock()
        self._opened = file.open("wb")

    def add(self, rows: pa.RecordBatch) -> None:
        """Take rows with some columns of the schema. Rows without a key match no object and are left out."""
        if rows["key"].null_count:
            rows = rows.filter(rows["key"].is_valid())
        ranges = pc.search_sorted(self._edges, rows["key"], side="right")
        order = pc.sort_indices(ranges)
        ordered = ranges.take(order)
        numbers = pc.unique(ordered)
        starts = pc.search_sorted(ordered, numbers).to_pylist()
        bounds = dict(zip(numbers.to_pylist(), pairwise([*starts, len(ordered)]), strict=True))
        content = rows.take(order).serialize()
        with self._lock:
            self._batches.append(_Batch(self._opened.tell(), content.size, rows.schema, bounds))
            self._opened.write(content)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def staged(self) -> Staged:
        """The rows that were added."""
        return Staged(self._file, self._batches, self._job)


class Staged:
    """The rows in such a file. Threads may read at the same time."""

    def __init__(self, file: Path, batches: list[_Batch], job: JobRecord) -> None:
        self._schema = staged_schema(job)
        self._type = job.checksum_type
        self._of_ranges: dict[int, list[tuple[pa.RecordBatch, int, int]]] = {}
        if batches:
            with file.open("rb") as opened:
                self._content = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
            content = pa.py_buffer(self._content)
            for each in batches:
                batch = pa.ipc.read_record_batch(content.slice(each.start, each.size), each.schema)
                for number, (first, end) in each.bounds.items():
                    self._of_ranges.setdefault(number, []).append((batch, first, end - first))

    def of_range(self, number: int) -> pa.Table:
        """The rows of a range in memory, in any order.

        Columns that were not given are NULL, but `checksum_type`, which is that of the job.
        """
        found = [self._schema.empty_table()]
        parts = iter(self._of_ranges.get(number, ()))
        while some := list(islice(parts, _AT_A_TIME)):
            alike: dict[tuple[str, ...], list[pa.RecordBatch]] = {}
            for batch, first, count in some:
                alike.setdefault(tuple(batch.schema.names), []).append(batch.slice(first, count))
            found += [self._typed(pa.Table.from_batches(each)).combine_chunks() for each in alike.values()]
            self._content.madvise(mmap.MADV_DONTNEED)  # else what was read counts as this process's memory
        return pa.concat_tables(found, promote_options="default").combine_chunks()

    def _typed(self, rows: pa.Table) -> pa.Table:
        if "checksum_type" in rows.column_names:
            return rows
        return rows.append_column("checksum_type", pa.repeat(self._type, rows.num_rows))
