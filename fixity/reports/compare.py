"""Compares a source's table of checksums with its replica's, and writes the report's CSV.

Both tables are sorted by key, so they are gone through in ranges of keys, several at a time, and memory
does not grow with the bucket. What is said of an object is in `compare.sql`; where ranges are cut, in
`ranges.py`. Where tables come from and reports go does not belong here.
"""

from __future__ import annotations

import os
import shutil
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Literal
from uuid import uuid4

import duckdb

from fixity.errors import FixityError
from fixity.lake.database import MEMORY_LIMIT, open_database, processors, quoted
from fixity.lake.ranges import KeyRange, key_ranges
from fixity.reports.columns import COLUMNS
from fixity.reports.counts import Counts

RANGE_BYTES = 64 * 1024 * 1024
"""What a range holds at most, both sides together, before compression: some 130,000 objects. Less is more
work at the edges; more is slower to sort, and takes more memory."""
_MEMORY_OF_A_RANGE = 3
"""How many times these bytes DuckDB needs to join and sort them."""

_CLOCKS_DIFFER_BY = timedelta(days=1)
"""How far ahead of a listing an object's time may lie, and still be believed."""

_SQL = Path(__file__).with_name("compare.sql").read_text(encoding="utf-8")


class TableNotConsistent(FixityError):
    """A table that does not hold each object once, in key order: no report is better than a wrong one."""


@dataclass(frozen=True)
class Side:
    """One side of a pair. bucket: its name in the catalog. table: a file of `fixity.tables.CHECKSUMS`,
    sorted by key. listed_at: when the listing began that the table rests on (UTC)."""

    bucket: str
    table: Path
    listed_at: datetime


@dataclass(frozen=True)
class Outcome:
    """A report as made. problems: the first rows that are not ok, in key order, a value a column of the
    CSV. rows: rows of the CSV, without its header."""

    counts: Counts
    problems: list[dict[str, Any]]
    csv: Path
    rows: int


@dataclass(frozen=True)
class _RangeReport:
    """What came of one range."""

    csv: Path
    counts: Counts
    replica_rows: int
    problems: list[dict[str, Any]]


def compare(
    source: Side,
    replica: Side,
    *,
    match: Literal["key", "version"],
    lag: timedelta,
    csv: Path,
    work_dir: Path,
    memory_limit: str = MEMORY_LIMIT,
    threads: int | None = None,
    problems: int = 100,
    progress: Callable[[int, int], None] | None = None,
    range_bytes: int = RANGE_BYTES,
) -> Outcome:
    """Compare both sides; `csv` appears whole, or stays what it was.

    Arguments: match `version`: key and version id; `key`: the current versions by key. lag: how long
    the replica may take. work_dir: a directory for what spills and for parts of the CSV, at most a few
    ranges. memory_limit: of DuckDB, in its spelling. threads: by default the processors that this
    process may use; fewer where the memory is not enough for so many. problems: how many rows that are
    not ok to return. progress: is told how many rows of the report are written, and the most that there
    can be. range_bytes: see RANGE_BYTES.
    Raises TableNotSorted, TableNotConsistent, duckdb.Error, OSError.
    """
    ranges = key_ranges(source.table, replica.table, range_bytes)
    parameters = {
        "source": str(source.table),
        "replica": str(replica.table),
        "by_version": match == "version",
        "due_in_replica": _utc(replica.listed_at) - lag,
        "due_in_source": _utc(source.listed_at) - lag,
        "source_listed_at": _utc(source.listed_at),
        "believable": max(_utc(source.listed_at), _utc(replica.listed_at)) + _CLOCKS_DIFFER_BY,
        "problems": problems,
    }
    with (
        # One thread for DuckDB and as many of our own: each goes through a range by itself. A COPY that
        # runs on one thread writes in order as it goes; on several it first holds all rows once more.
        open_database(work_dir, memory_limit, threads=1) as database,
        TemporaryDirectory(prefix="report-", dir=work_dir) as parts_dir,
        _whole_file(csv) as out,
    ):
        database.execute("SET GLOBAL parquet_metadata_cache = true")
        expected = [_rows_that_take_part(database, side, match) for side in (source, replica)]
        threads = _that_fit(database, threads or processors(), range_bytes)
        comparer = _Comparer(database, threads, source.bucket, parameters, Path(parts_dir))
        counts, replica_rows, found = Counts(), 0, list[dict[str, Any]]()
        with closing(_in_order(comparer.run, ranges, threads)) as parts:
            for part in parts:
                _append(part.csv, out)
                counts, replica_rows = counts + part.counts, replica_rows + part.replica_rows
                found += part.problems[: problems - len(found)]
                comparer.wants_problems = len(found) < problems
                if progress:
                    progress(counts.rows, sum(expected))
        for side, seen, rows in zip(
            (source, replica), (counts.total_objects, replica_rows), expected, strict=True
        ):
            if seen != rows:
                raise TableNotConsistent(
                    f"{side.table} has {rows} rows to compare, but {seen} came out of the comparison: "
                    "it is not sorted by key, or has an object more than once"
                )
    return Outcome(counts, found, csv, counts.rows)


class _Comparer:
    """Compares ranges, as many at a time as there are cursors."""

    def __init__(
        self,
        database: duckdb.DuckDBPyConnection,
        cursors: int,
        bucket: str,
        parameters: dict[str, Any],
        parts_dir: Path,
    ) -> None:
        self.wants_problems = True
        self._parameters = parameters
        self._parts_dir = parts_dir
        self._cursors: SimpleQueue[duckdb.DuckDBPyConnection] = SimpleQueue()
        for _ in range(cursors):
            cursor = database.cursor()  # has temporary tables and variables of its own
            cursor.execute("SET VARIABLE bucket = $bucket", {"bucket": bucket})
            self._cursors.put(cursor)

    def run(self, number: int, keys: KeyRange) -> _RangeReport:
        """Compare one range, and write its part of the CSV."""
        part = self._parts_dir / f"{number}.csv"
        parameters = self._parameters | {
            "lower": keys.lower,
            "upper": keys.upper,
            "source_first": keys.source_rows[0],
            "source_last": keys.source_rows[1],
            "replica_first": keys.replica_rows[0],
            "replica_last": keys.replica_rows[1],
        }
        cursor = self._cursors.get()
        try:
            *judge, count, list_problems = cursor.extract_statements(_SQL)
            for statement in judge:
                _execute(cursor, statement, parameters)
            header = "true" if number == 0 else "false"
            cursor.execute(f"COPY (FROM report) TO {quoted(part)} (FORMAT csv, HEADER {header})")
            *figures, replica_rows = _execute(cursor, count, parameters).fetchall()[0]
            rows = _execute(cursor, list_problems, parameters).fetchall() if self.wants_problems else []
        finally:
            self._cursors.put(cursor)
        problems = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
        return _RangeReport(part, Counts(*figures), replica_rows, problems)


def _execute(
    cursor: duckdb.DuckDBPyConnection, statement: duckdb.Statement, parameters: dict[str, Any]
) -> duckdb.DuckDBPyConnection:
    return cursor.execute(statement, {name: parameters[name] for name in statement.named_parameters})


def _in_order(
    run: Callable[[int, KeyRange], _RangeReport], ranges: list[KeyRange], threads: int
) -> Generator[_RangeReport]:
    """The parts of all ranges in order; only a few more are begun than were taken."""
    waiting = deque[Future[_RangeReport]]()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for number, keys in enumerate(ranges):
                if len(waiting) > threads:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(run, number, keys))
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _that_fit(database: duckdb.DuckDBPyConnection, threads: int, range_bytes: int) -> int:
    """How many threads may each hold a range within the memory limit, at most `threads`, at least one."""
    limit = database.execute("SELECT parse_formatted_bytes(current_setting('memory_limit'))").fetchall()
    return max(1, min(threads, int(limit[0][0]) // (_MEMORY_OF_A_RANGE * range_bytes)))


def _rows_that_take_part(database: duckdb.DuckDBPyConnection, side: Side, match: str) -> int:
    only = "" if match == "version" else " WHERE is_latest"
    rows = database.execute(f"SELECT count(*) FROM read_parquet(?){only}", [str(side.table)]).fetchall()
    return int(rows[0][0])


def _append(part: Path, out: BinaryIO) -> None:
    with part.open("rb") as written:
        shutil.copyfileobj(written, out, 1 << 20)
    part.unlink()


@contextmanager
def _whole_file(file: Path) -> Iterator[BinaryIO]:
    """A file to write that takes its name when it is complete and on the disk, or never."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.{uuid4().hex}")
    try:
        with unfinished.open("xb", buffering=0) as out:
            yield out
            os.fsync(out.fileno())
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
