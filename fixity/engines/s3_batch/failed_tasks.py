"""Reads the result files of failed tasks. They are not valid CSV: S3 does not escape quotes in messages.

A record is six cells of CSV, the first of them the bucket's name, and then a message. The message ends before
the next line that begins a record, or at the end of the file. Quoted keys may contain line ends. The meaning
of a row does not belong here; it is in `stage.sql`.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.engines.s3_batch.errors import ReportUnusable

COLUMNS = ("bucket", "key", "version_id", "task_status", "http_status", "error_code", "message")
"""The cells of a row. S3's manifests swap the names of the fifth and the sixth cell."""

_CELL = rb'("[^"]*+(?:""[^"]*+)*+"|[^",\r\n][^,\r\n]*+|)'
_BATCH = 50_000
_CELLS, _MESSAGE = 64 * 1024, 1024 * 1024
"""The largest size in bytes of the cells before a message, and of a message; S3 writes a few hundred."""


def convert(files: list[tuple[Path, str]], bucket: str, to: Path) -> int:
    """Write the rows of result files to a Parquet file, each cell as a string. Returns the number of rows.

    Arguments: `files`, each with its place for messages; `bucket`, the real name.
    Raises ReportUnusable with the place and the byte where no row can be recognized.
    """
    schema = pa.schema([(name, pa.string()) for name in COLUMNS])
    rows = 0
    with pq.ParquetWriter(to, schema, compression="lz4") as writer:
        for file, place in files:
            batch: list[tuple[str, ...]] = []
            for row in _rows(file, place, bucket.encode()):
                batch.append(row)
                rows += 1
                if len(batch) == _BATCH:
                    writer.write_table(_table(batch, schema))
                    batch = []
            if batch:
                writer.write_table(_table(batch, schema))
    return rows


def _table(rows: list[tuple[str, ...]], schema: pa.Schema) -> pa.Table:
    return pa.table([list(column) for column in zip(*rows, strict=True)], schema=schema)


def _rows(file: Path, place: str, bucket: bytes) -> Iterator[tuple[str, ...]]:
    if not file.stat().st_size:
        return
    record = b'("?' + re.escape(bucket) + b'"?),' + b",".join([_CELL] * 5) + b","
    head = re.compile(record)
    start = re.compile(b"\n(?=" + record + b")")
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at = 0
        while at < len(content):
            cells = head.match(content, at, at + _CELLS)
            if cells is None:
                raise _no_row(place, at, bucket)
            following = start.search(content, cells.end(), cells.end() + _MESSAGE)
            end = following.start() if following else len(content)
            if end - cells.end() > _MESSAGE:
                raise ReportUnusable(f"{place}: byte {cells.end():,} begins a message of more than 1 MiB")
            last = 0 if following else content.rfind(b"\n", cells.end()) + 1
            if last and content[last:end].startswith(bucket + b","):  # the file ends within a row
                raise _no_row(place, last, bucket)
            try:
                row = [_unquoted(cell.decode()) for cell in cells.groups()]
                message = _unquoted(content[cells.end() : end].decode().rstrip("\r\n"))
            except UnicodeDecodeError as error:
                raise ReportUnusable(f"{place}: byte {at:,}: {error}") from error
            yield (*row, message)
            at = end + 1


def _no_row(place: str, at: int, bucket: bytes) -> ReportUnusable:
    return ReportUnusable(
        f"{place}: at byte {at:,} there is no row of the bucket {bucket.decode()} with seven cells"
    )


def _unquoted(cell: str) -> str:
    if len(cell) > 1 and cell[0] == cell[-1] == '"':
        return cell[1:-1].replace('""', '"')
    return cell
