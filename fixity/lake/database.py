"""DuckDB as every run opens it: in memory, with a memory limit, spilling where it may, alone.

There is no shared database file: tables are Parquet, and runs never wait for each other.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

MEMORY_LIMIT = "512MB"


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_database(
    workspace: Path, memory_limit: str = MEMORY_LIMIT, threads: int | None = None
) -> duckdb.DuckDBPyConnection:
    """An in-memory database that spills into `workspace`.

    Arguments: `memory_limit` as DuckDB writes it; `threads`, by default the processors that this
    process may use. Extensions are never fetched.
    """
    import duckdb  # here: a tenth of a second that hashing a bucket does not need

    spill = workspace / "spill"
    spill.mkdir(parents=True, exist_ok=True)  # DuckDB does not make parents, and then spilling fails
    return duckdb.connect(
        ":memory:",
        config={
            "memory_limit": memory_limit,
            "threads": threads or processors(),
            "temp_directory": str(spill),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        },
    )


def quoted(text: str | Path) -> str:
    """A text as SQL has it: DuckDB takes no parameters in some of its statements."""
    return "'" + str(text).replace("'", "''") + "'"
