"""What reports that are made range by range share: threads, statements, the file.

What is done with a range does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import uuid4

from fixity.lake.database import MEMORY_BYTES

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

RANGE_BYTES = 32 * 1024 * 1024
"""The most bytes of a range, all tables together, before compression: about 100,000 objects of a pair.
Smaller ranges mean more work at the edges; larger ones take more memory."""
_MEMORY_OF_A_RANGE = 6
"""A range takes this many times its bytes: what DuckDB joins, and the rows that wait to be written."""
_BUFFER = 1 << 18  # bytes


def threads_that_fit(threads: int, range_bytes: int) -> int:
    """How many threads a database's memory allows, at most `threads`, at least one; each holds a range."""
    return max(1, min(threads, MEMORY_BYTES // (_MEMORY_OF_A_RANGE * range_bytes)))


def run_statement(
    cursor: duckdb.DuckDBPyConnection, statement: duckdb.Statement, parameters: dict[str, Any]
) -> duckdb.DuckDBPyConnection:
    """Run a statement with those of the parameters that it names."""
    return cursor.execute(statement, {name: parameters[name] for name in statement.named_parameters})


def write_lines(out: BinaryIO, pieces: Iterable[bytes | memoryview | pa.Buffer]) -> None:
    """Write lines to a `whole_file`. Raises OSError.

    Pieces of megabytes go by and by: written at once, they cost the system three times as much, as it wants
    memory in pieces as large.
    """
    for piece in pieces:
        lines = memoryview(piece)
        for begin in range(0, len(lines), _BUFFER // 2):
            out.write(lines[begin : begin + _BUFFER // 2])


@contextmanager
def whole_file(file: Path) -> Iterator[BinaryIO]:
    """A file of a workspace to write. It gets its name only when it is complete.

    `Lake.put` sees to it that its bytes are on the disk.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.{uuid4().hex}")
    try:
        with unfinished.open("xb", buffering=_BUFFER) as out:
            yield out
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
