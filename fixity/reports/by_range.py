"""What reports that are made range by range share: threads, temporary tables, the parts of a CSV.

What is done with a range does not belong here.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import uuid4

if TYPE_CHECKING:
    import duckdb

RANGE_BYTES = 64 * 1024 * 1024
"""The most bytes of a range, all tables together, before compression: about 130,000 objects of a pair.
Smaller ranges mean more work at the edges; larger ones sort more slowly and take more memory."""
_MEMORY_OF_A_RANGE = 3
"""DuckDB needs this many times the bytes of a range to join and sort it."""


def threads_that_fit(database: duckdb.DuckDBPyConnection, threads: int, range_bytes: int) -> int:
    """How many threads the memory limit allows, at most `threads`, at least one; each holds a range."""
    limit = database.execute("SELECT parse_formatted_bytes(current_setting('memory_limit'))").fetchall()
    return max(1, min(threads, int(limit[0][0]) // (_MEMORY_OF_A_RANGE * range_bytes)))


def run_statement(
    cursor: duckdb.DuckDBPyConnection, statement: duckdb.Statement, parameters: dict[str, Any]
) -> duckdb.DuckDBPyConnection:
    """Run a statement with those of the parameters that it names."""
    return cursor.execute(statement, {name: parameters[name] for name in statement.named_parameters})


def append(part: Path, out: BinaryIO) -> None:
    """Move a part of a file to its end."""
    with part.open("rb") as written:
        shutil.copyfileobj(written, out, 1 << 20)
    part.unlink()


@contextmanager
def whole_file(file: Path) -> Iterator[BinaryIO]:
    """A file of a workspace to write. It gets its name only when it is complete.

    `Lake.put` sees to it that its bytes are on the disk.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.{uuid4().hex}")
    try:
        with unfinished.open("xb", buffering=1 << 20) as out:
            yield out
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
