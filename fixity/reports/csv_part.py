"""Writes the lines of a report's CSV of one range of keys, in order.

Which rows there are, and putting the ranges together, does not belong here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa

from fixity.lake.csv_files import csv_line, csv_lines
from fixity.reports.columns import COLUMNS


def write_csv_part(
    file: Path, bucket: str, right: pa.RecordBatch, others: Iterable[pa.RecordBatch], header: bool
) -> None:
    """Write the lines of a range.

    Arguments: `bucket`, the source; `right`, the objects that are plainly right, as `part_plain` gives them;
    `others`, all other rows with the columns of COLUMNS; both are in order of key and version.
    Raises OSError.
    """
    with file.open("wb") as out:
        if header:
            out.write(csv_line(COLUMNS).encode())
        out.writelines(_merged(right, _lines_of_right(bucket, right), others))


def _lines_of_right(bucket: str, right: pa.RecordBatch) -> pa.StringArray:
    key, version_id, algorithm, checksum, size, etag, checked, etag_replication, checked_replication = right
    columns = [
        bucket,
        key,
        version_id,
        "ok",
        algorithm,
        checksum,
        checksum,
        size,
        size,
        etag,
        etag_replication,
    ]
    return csv_lines([*columns, checked, checked_replication, *[pa.nulls(len(key), pa.string())] * 4])


def _merged(
    right: pa.RecordBatch, lines: pa.StringArray, others: Iterable[pa.RecordBatch]
) -> Iterator[memoryview | bytes]:
    """The lines of both, merged."""
    _, offsets, data = (memoryview(each) if each else memoryview(b"") for each in lines.buffers())
    begins = offsets.cast("i")
    names: list[tuple[str, str]] = []
    at = 0
    for batch in others:
        names = names or _names(right)
        texts = csv_lines(batch.columns).cast(pa.binary()).to_pylist()
        for name, text in zip(_names(batch), texts, strict=True):
            place = bisect_left(names, name, at)
            if place > at:
                yield data[begins[at] : begins[place]]
                at = place
            yield text
    if len(lines):
        yield data[begins[at] : begins[len(lines)]]


def _names(rows: pa.RecordBatch) -> list[tuple[str, str]]:
    versions = (version or "" for version in rows["version_id"].to_pylist())
    return list(zip(rows["key"].to_pylist(), versions, strict=True))
