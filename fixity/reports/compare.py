"""Compares a source's table of checksums with its replica's, and writes the report's CSV.

Both tables are sorted by key. They are compared in ranges of keys, several at a time, so memory does not
grow with the bucket. `beside` has the rows of both sides one beside the other; `plain` finds those that are
plainly the same; `compare.sql` decides the status of all others; `suspects` collects the rows that say that
something is wrong; `fixity.lake.ranges` cuts the ranges.
Where tables come from and where reports go does not belong here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.clock import CLOCKS_DIFFER
from fixity.errors import FixityError
from fixity.in_order import in_order, processors
from fixity.lake.csv_files import csv_line
from fixity.lake.database import new_database, opened_when_needed, own_table
from fixity.lake.ranges import KeyRange, key_ranges
from fixity.lake.row_groups import RowGroups, constants_of_group
from fixity.reports.beside import Rows
from fixity.reports.by_range import RANGE_BYTES, threads_that_fit, whole_file, write_lines
from fixity.reports.columns import COLUMNS, SUSPECT
from fixity.reports.compared import SAID, ComparedRows, together
from fixity.reports.counts import Counts
from fixity.reports.judge import Judge, define_version_named, pairs_by_statement
from fixity.reports.pairs import READ, REST, Pairs
from fixity.reports.plain import part
from fixity.reports.suspects import Suspects, read_suspects, tell_known, with_the_rest
from fixity.tables import NOT_TWICE

if TYPE_CHECKING:
    import duckdb

Match = Literal["key", "version"]
PROBLEMS = 100
"""How many rows that are not ok an outcome has."""
SUSPECTS_KEPT = 100_000
"""How many suspect rows an outcome has, the first in key order. All may be in memory at once, which must not
grow with a bucket of which everything differs."""

_MOST_OF_A_GROUP = 2
"""A row group of up to so many times the bytes of a range is read as a whole. Ours rarely have more."""

_PIECE = 1 << 20  # bytes


class TableNotConsistent(FixityError):
    """A table does not have each object exactly once, in key order: no report is better than a wrong one."""


@dataclass(frozen=True)
class Side:
    """One side of a pair. bucket: its name in the catalog. table: a file of `fixity.tables.CHECKSUMS`,
    sorted by key. listed_at: when the listing of the table's inventory began (UTC)."""

    bucket: str
    table: Path
    listed_at: datetime


@dataclass(frozen=True)
class Outcome:
    """The result of a comparison. problems: the first rows that are not ok, in key order, with the columns of
    the CSV. rows: rows of the CSV, without its header. suspect_rows: how many of them say that something is
    wrong. suspects: a file beside the CSV, the first SUSPECTS_KEPT of these, for `read_suspects`, or None.
    beyond: how many of those without a finding were not looked at twice."""

    counts: Counts
    problems: list[dict[str, Any]]
    csv: Path
    rows: int
    suspect_rows: int = 0
    suspects: Path | None = None
    beyond: int = 0


@dataclass(frozen=True)
class RangeReport:
    """The report of a range, or of several. lines: of the CSV. replica_rows: those that the replica has.
    suspects: the first of them (SUSPECTS). All else is as in `Outcome`."""

    lines: Iterable[bytes | memoryview]
    counts: Counts
    replica_rows: int
    suspect_rows: int = 0
    problems: list[dict[str, Any]] = field(default_factory=list)
    suspects: pa.Table | None = None
    beyond: int = 0


class Total:
    """The reports of ranges, one after the other, taken together.

    Arguments: `out` takes the lines; `kept`, an empty file, the first suspect rows.
    """

    def __init__(self, out: BinaryIO, kept: BinaryIO) -> None:
        self._out = out
        self.counts = Counts()
        self.replica_rows = self.suspect_rows = self.beyond = 0
        self.problems: list[dict[str, Any]] = []
        self.suspects = Suspects(SUSPECTS_KEPT, kept)

    def add(self, report: RangeReport) -> None:
        """Take the report of the next ranges."""
        write_lines(self._out, report.lines)
        self.counts += report.counts
        self.replica_rows += report.replica_rows
        self.suspect_rows += report.suspect_rows
        self.beyond += report.beyond
        self.problems += report.problems[: PROBLEMS - len(self.problems)]
        self.suspects.add(report.suspects)


def compare(
    source: Side,
    replica: Side,
    *,
    match: Match,
    lag: timedelta,
    csv: Path,
    range_bytes: int = RANGE_BYTES,
    findings: Path | None = None,
    knows_damage: bool = False,
    made: Iterable[RangeReport] | None = None,
) -> Outcome:
    """Compare both sides, and write `csv` as a whole, or not at all.

    Arguments: match `version`: key and version id; `key`: the current versions by key. lag: how long
    the replica may take. csv: a file in an existing directory, which also takes what DuckDB spills.
    range_bytes: see RANGE_BYTES. findings: a table of FINDINGS about rows that a comparison before this one
    found suspect. knows_damage: whether a side has damaged objects; rows of which both sides have the same
    bytes then say so. made: the reports of all ranges, in order, where they were compared before.
    Raises TableNotSorted, TableNotConsistent, duckdb.Error, OSError.
    """
    parameters = _parameters(source, replica, match, lag, findings, knows_damage)
    suspects = csv.with_suffix(".suspects.arrow")
    with whole_file(csv) as out, whole_file(suspects) as kept:
        out.write(csv_line(COLUMNS).encode())
        total = Total(out, kept)
        expected = [_rows_that_take_part(side, match) for side in (source, replica)]
        if made is None:
            ranges = key_ranges(source.table, replica.table, most=range_bytes)
            _compare_ranges(csv.parent, parameters, ranges, range_bytes, total)
        else:
            for report in made:
                total.add(report)
        for side, seen, rows in zip(
            (source, replica), (total.counts.total_objects, total.replica_rows), expected, strict=True
        ):
            if seen != rows:
                raise TableNotConsistent(
                    f"{side.table} has {rows} rows to compare, but {seen} came out of the comparison: "
                    "it is not sorted by key, or has an object more than once"
                )
        total.suspects.close()
    if not total.suspect_rows:
        suspects.unlink()
    found = suspects if total.suspect_rows else None
    return Outcome(
        total.counts, total.problems, csv, total.counts.rows, total.suspect_rows, found, total.beyond
    )


def compare_some(
    source: Side, replica: Side, match: Match, lag: timedelta, ranges: Sequence[KeyRange], lines: Path
) -> RangeReport:
    """Compare some ranges of both sides, for `compare`, which takes the reports of all of them as `made`.

    Arguments: as of `compare`; `ranges`, consecutive ones of all, of at most RANGE_BYTES; `lines`, a file to
    write. Raises duckdb.Error, OSError.
    """
    parameters = _parameters(source, replica, match, lag, None, knows_damage=False)
    suspects = lines.with_suffix(".suspects.arrow")
    with whole_file(lines) as out, whole_file(suspects) as kept:
        total = Total(out, kept)
        _compare_ranges(lines.parent, parameters, ranges, RANGE_BYTES, total)
        total.suspects.close()
    return RangeReport(
        lines_of(lines),
        total.counts,
        total.replica_rows,
        total.suspect_rows,
        total.problems,
        read_suspects(suspects) if total.suspect_rows else None,
        total.beyond,
    )


def lines_of(file: Path) -> Iterator[bytes]:
    """The bytes of a file of lines, in pieces."""
    with file.open("rb") as lines:
        while piece := lines.read(_PIECE):
            yield piece


def _parameters(
    source: Side, replica: Side, match: Match, lag: timedelta, findings: Path | None, knows_damage: bool
) -> dict[str, Any]:
    return {
        "bucket": source.bucket,
        "source": str(source.table),
        "replica": str(replica.table),
        "by_version": match == "version",
        "due_in_replica": _utc(replica.listed_at) - lag,
        "due_in_source": _utc(source.listed_at) - lag,
        "source_listed_at": _utc(source.listed_at),
        "replica_listed_at": _utc(replica.listed_at),
        "believable": max(_utc(source.listed_at), _utc(replica.listed_at)) + CLOCKS_DIFFER,
        "suspect": list(SUSPECT),
        "not_twice": NOT_TWICE,
        "findings": findings and str(findings),
        "knows_damage": knows_damage,
    }


def _compare_ranges(
    workspace: Path,
    parameters: dict[str, Any],
    ranges: Sequence[KeyRange],
    range_bytes: int,
    total: Total,
) -> None:
    """Compare ranges, several at a time. DuckDB has one thread for each: they are of our own."""
    threads = threads_that_fit(processors(), range_bytes)
    knows_damage = parameters["knows_damage"]
    columns = READ if knows_damage else READ.remove(READ.get_field_index("verdict"))
    files = Path(parameters["source"]), Path(parameters["replica"])
    tables, rest = ((RowGroups(files[0], each), RowGroups(files[1], each)) for each in (columns, REST))
    of_group = _MOST_OF_A_GROUP * range_bytes
    pairs = Pairs(parameters["by_version"], tables, of_group)
    with opened_when_needed(partial(_database, workspace)) as database:
        comparer = _Comparer(database, parameters, pairs, rest)
        # Two more than threads, so that none is idle while the lines of a range are written.
        with closing(in_order(comparer.run, ranges, threads, ahead=threads + 2)) as reports:
            for report in reports:
                total.add(report)
                comparer.wants_problems = len(total.problems) < PROBLEMS
                comparer.wants_suspects = total.suspects.room > 0
                del report  # the lines are as large as a range, and the next report may take a while


@dataclass
class _Comparer:
    """Compares ranges, several at a time."""

    database: Callable[[], duckdb.DuckDBPyConnection]
    parameters: dict[str, Any]
    pairs: Pairs
    rest: tuple[RowGroups, RowGroups]  # both tables, with the columns of REST
    wants_problems: bool = True
    wants_suspects: bool = True
    judges: list[Judge] = field(default_factory=list)  # those that are free

    def run(self, keys: KeyRange) -> RangeReport:
        """Compare one range."""
        found = self.pairs.find(keys) or pairs_by_statement(self.database(), self.parameters, keys)
        windows = [part(window, self.parameters["knows_damage"]) for window in found.windows]
        others = together([window.others for window in windows if window.others.num_rows])
        beyond = 0
        said = self._judged(others, found.older) if others else pa.RecordBatch.from_pylist([], SAID)
        rows = ComparedRows(self.parameters["bucket"], windows, others, said)
        suspects = rows.suspects
        if others and (self.parameters["findings"] or self.parameters["knows_damage"]):
            said, beyond = self._told(keys, rows)
            rows = replace(rows, said=said)
        return RangeReport(
            list(rows.lines()),
            rows.counts(),
            rows.replica_rows,
            suspects,
            rows.first_problems(PROBLEMS) if others and self.wants_problems else [],
            self._suspects(rows) if suspects and self.wants_suspects else None,
            beyond,
        )

    def _suspects(self, rows: ComparedRows) -> pa.Table:
        return with_the_rest(rows.first_suspects(SUSPECTS_KEPT), *self.rest)

    def _judged(self, others: Rows, older: Rows) -> pa.RecordBatch:
        try:
            judge = self.judges.pop()
        except IndexError:
            judge = Judge(self.database(), self.parameters)
        said = judge.judge(others, older)
        self.judges.append(judge)
        return said

    def _told(self, keys: KeyRange, rows: ComparedRows) -> tuple[pa.RecordBatch, int]:
        """What is said of rows that are not plain, with what is known of them besides; and how many suspect
        ones without a finding were not looked at twice."""
        identities = pa.Table.from_batches([pairs.select(("key", "version_id")) for pairs in rows.others])
        compared = pa.table({**_columns(identities), **_columns(rows.said)})
        with self.database().cursor() as cursor:  # it has temporary tables, views and macros of its own
            define_version_named(cursor)
            own_table(cursor, "compared", compared)
            parameters = self.parameters | {"lower": keys.lower, "upper": keys.upper}
            beyond = tell_known(cursor, parameters, rows.suspects)
            told = cursor.execute("FROM compared ORDER BY rowid").to_arrow_table()
        return told.select(SAID.names).cast(SAID).combine_chunks().to_batches()[0], beyond


def _columns(rows: pa.Table | pa.RecordBatch) -> dict[str, Any]:
    return {name: rows[name] for name in rows.schema.names}


def _database(workspace: Path) -> duckdb.DuckDBPyConnection:
    database = new_database(workspace, threads=1)
    database.execute("SET GLOBAL parquet_metadata_cache = true")
    return database


def _rows_that_take_part(side: Side, match: Match) -> int:
    """How many rows a side has to compare, counted apart from the comparison."""
    with pq.ParquetFile(side.table) as table:
        if match == "version":
            return int(table.metadata.num_rows)
        return sum(_current_rows(table, number) for number in range(table.num_row_groups))


def _current_rows(table: pq.ParquetFile, number: int) -> int:
    known = constants_of_group(table.metadata, number)
    if "is_latest" in known:
        return table.metadata.row_group(number).num_rows if known["is_latest"] else 0
    return sum(each.true_count for each in table.read_row_group(number, ["is_latest"]).column(0).chunks)


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
