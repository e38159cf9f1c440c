"""Compares a source's table of checksums with its replica's, and writes the report's CSV.

Both tables are sorted by key. They are compared in ranges of keys, several at a time, so memory does not
grow with the bucket. `plain` finds the objects that are plainly the same; `compare.sql` decides the status of
all others; `suspects` collects the rows that say that something is wrong; `fixity.lake.ranges` cuts the
ranges.
Where tables come from and where reports go does not belong here.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fixity.clock import CLOCKS_DIFFER
from fixity.errors import FixityError
from fixity.in_order import in_order, processors
from fixity.lake.csv_files import bytes_of, csv_line
from fixity.lake.database import literal, open_database, own_table, quoted
from fixity.lake.ranges import KeyRange, key_ranges
from fixity.lake.row_groups import RowGroups
from fixity.reports.by_range import RANGE_BYTES, run_statement, threads_that_fit, whole_file
from fixity.reports.columns import COLUMNS, SUSPECT
from fixity.reports.compared import ComparedRows
from fixity.reports.counts import Counts
from fixity.reports.plain import READ, Plain, PlainRows
from fixity.reports.suspects import Suspects, tell_known
from fixity.tables import NOT_TWICE

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

PROBLEMS = 100
"""How many rows that are not ok an outcome has."""
SUSPECTS_KEPT = 100_000
"""How many suspect rows an outcome has, the first in key order. All may be in memory at once, which must not
grow with a bucket of which everything differs."""

_BATCH = 32_768
"""The rows of a batch that DuckDB gives to Arrow. The memory of small ones is used again for the next; that
of large ones goes back to the system and comes anew, which takes time, and a third more memory in all."""

_MOST_OF_A_GROUP = 2
"""A row group of up to so many times the bytes of a range is read as a whole. Ours rarely have more."""

_SQL = Path(__file__).with_name("compare.sql").read_text(encoding="utf-8")


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
    wrong. suspects: a table of SUSPECTS beside the CSV with the first SUSPECTS_KEPT of those, or None.
    beyond: how many of those without a finding were not looked at twice."""

    counts: Counts
    problems: list[dict[str, Any]]
    csv: Path
    rows: int
    suspect_rows: int = 0
    suspects: Path | None = None
    beyond: int = 0


@dataclass(frozen=True)
class _RangeReport:
    """The result of one range."""

    lines: list[pa.Buffer]
    counts: Counts
    replica_rows: int
    suspect_rows: int = 0
    problems: list[dict[str, Any]] = field(default_factory=list)
    suspects: pa.Table | None = None
    beyond: int = 0


def compare(
    source: Side,
    replica: Side,
    *,
    match: Literal["key", "version"],
    lag: timedelta,
    csv: Path,
    range_bytes: int = RANGE_BYTES,
    findings: Path | None = None,
    knows_damage: bool = False,
) -> Outcome:
    """Compare both sides, and write `csv` as a whole, or not at all.

    Arguments: match `version`: key and version id; `key`: the current versions by key. lag: how long
    the replica may take. csv: a file in an existing directory, which also takes what DuckDB spills.
    range_bytes: see RANGE_BYTES. findings: a table of FINDINGS about rows that a comparison before this one
    found suspect. knows_damage: whether a side has damaged objects; rows of which both sides have the same
    bytes then say so.
    Raises TableNotSorted, TableNotConsistent, duckdb.Error, OSError.
    """
    ranges = key_ranges(source.table, replica.table, most=range_bytes)
    parameters = {
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
    counts, replica_rows, suspect_rows, beyond, found = Counts(), 0, 0, 0, list[dict[str, Any]]()
    suspects = Suspects(SUSPECTS_KEPT)
    with whole_file(csv) as out:
        out.write(csv_line(COLUMNS).encode())
        # One thread for DuckDB, several of our own, each with a range of its own.
        with open_database(csv.parent, threads=1) as database:
            database.execute("SET GLOBAL parquet_metadata_cache = true")
            expected = [_rows_that_take_part(database, side, match) for side in (source, replica)]
            threads = threads_that_fit(database, processors(), range_bytes)
            columns = READ if knows_damage else READ.remove(READ.get_field_index("verdict"))
            tables = RowGroups(source.table, columns), RowGroups(replica.table, columns)
            plain = Plain(
                source.bucket, match == "version", knows_damage, tables, _MOST_OF_A_GROUP * range_bytes
            )
            comparer = _Comparer(database, parameters, plain)
            with closing(in_order(comparer.run, ranges, threads)) as parts:
                for part in parts:
                    out.writelines(part.lines)
                    counts, replica_rows = counts + part.counts, replica_rows + part.replica_rows
                    suspect_rows, beyond = suspect_rows + part.suspect_rows, beyond + part.beyond
                    found += part.problems[: PROBLEMS - len(found)]
                    suspects.add(part.suspects)
                    comparer.wants_problems = len(found) < PROBLEMS
                    comparer.wants_suspects = suspects.room > 0
        for side, seen, rows in zip(
            (source, replica), (counts.total_objects, replica_rows), expected, strict=True
        ):
            if seen != rows:
                raise TableNotConsistent(
                    f"{side.table} has {rows} rows to compare, but {seen} came out of the comparison: "
                    "it is not sorted by key, or has an object more than once"
                )
        # DuckDB is closed by now, and has given its memory back.
        kept = suspects.keep(csv.with_suffix(".suspects.parquet"), source.table, replica.table)
    return Outcome(counts, found, csv, counts.rows, suspect_rows, kept, beyond)


@dataclass
class _Comparer:
    """Compares ranges, each by a cursor of its own."""

    database: duckdb.DuckDBPyConnection
    parameters: dict[str, Any]
    plain: Plain
    wants_problems: bool = True
    wants_suspects: bool = True
    mostly_plain: bool = True  # the last range, and so the next one, it seems

    def run(self, keys: KeyRange) -> _RangeReport:
        """Compare one range."""
        found = self.plain.find(keys) if self.mostly_plain else None
        if found and found.is_all:
            return _RangeReport([bytes_of(lines) for lines in found.lines], found.counts(), found.count)
        # DuckDB takes rows from tables faster than from Arrow.
        if found and not found.is_most:
            found = None
        report = self._with_others(keys, found)
        self.mostly_plain = 2 * report.counts.matches >= report.counts.rows
        return report

    def _with_others(self, keys: KeyRange, found: PlainRows | None) -> _RangeReport:
        """The report of a range whose rows are not all plain.

        Arguments: `found`, its plain rows, to which compare.sql adds the others; None: it decides all rows.
        """
        plain = found or PlainRows()
        parameters = self.parameters | {"lower": keys.lower, "upper": keys.upper}
        beyond = 0
        with self.database.cursor() as cursor:  # it has temporary tables, views and macros of its own
            for number, name in enumerate(("source", "replica")):
                if found:
                    cursor.register(f"{name}_rows", found.table_of_others(number))
                else:
                    _view_rows(cursor, name, Path(parameters[name]), keys, keys.rows[number])
            *define, judge = cursor.extract_statements(_SQL)
            for statement in define:
                cursor.execute(statement)
            rows = ComparedRows(run_statement(cursor, judge, parameters).to_arrow_table(_BATCH))
            if parameters["findings"] or parameters["knows_damage"]:
                own_table(cursor, "compared", rows.table)
                beyond = tell_known(cursor, parameters, rows.suspects)
                rows = ComparedRows(cursor.execute("FROM compared").to_arrow_table(_BATCH))
        return _RangeReport(
            list(rows.lines(plain.lines)),
            plain.counts() + rows.counts(),
            plain.count + rows.replica_rows,
            rows.suspects,
            rows.first_problems(PROBLEMS) if self.wants_problems else [],
            rows.first_suspects(SUSPECTS_KEPT) if rows.suspects and self.wants_suspects else None,
            beyond,
        )


def _view_rows(
    cursor: duckdb.DuckDBPyConnection, name: str, table: Path, keys: KeyRange, rows: tuple[int, int]
) -> None:
    """Have the rows of a range of a table as compare.sql takes them.

    With row numbers, DuckDB skips row groups outside of the range without reading them.
    """
    upper = "" if keys.upper is None else f"AND key < {literal(keys.upper)}"
    cursor.execute(
        f"CREATE TEMP VIEW {name}_rows AS SELECT *, file_row_number AS row, 0 AS place "
        f"FROM read_parquet({quoted(table)}) "
        f"WHERE file_row_number BETWEEN {rows[0]} AND {rows[1]} AND key >= {literal(keys.lower)} {upper}"
    )


def _rows_that_take_part(database: duckdb.DuckDBPyConnection, side: Side, match: str) -> int:
    only = "" if match == "version" else " WHERE is_latest"
    rows = database.execute(f"SELECT count(*) FROM read_parquet(?){only}", [str(side.table)]).fetchall()
    return int(rows[0][0])


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
