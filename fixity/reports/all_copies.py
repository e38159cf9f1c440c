"""Puts the reports of all copies of a pair side by side: one row an object, with the state of each copy.

Nothing is compared here: each report says what is true of its copy, and this joins them by key, range by
range, so that memory does not grow with the bucket. `all_copies.sql` says what all of them say together.
Where reports come from and where this one goes does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from fixity import compute as pc
from fixity.errors import FixityError
from fixity.in_order import in_order, processors
from fixity.lake.csv_files import csv_line, csv_lines, reading_with_duckdb
from fixity.lake.database import new_database, quoted
from fixity.lake.ranges import KeyRange, key_ranges
from fixity.reports.by_range import RANGE_BYTES, run_statement, threads_that_fit, whole_file, write_lines
from fixity.reports.columns import COLUMNS, COPIES_COLUMNS, OF_A_COPY, OF_THE_SOURCE, WORST_FIRST
from fixity.reports.counts import Counts

if TYPE_CHECKING:
    import duckdb

RANGE_ROWS = 60_000
"""The most rows of a range, of all reports together, about: in memory a row takes a kilobyte or two."""
_RANGE_BYTES = 16 * 1024 * 1024
"""The most bytes of a range before compression, however few rows that is: keys may be long."""
_ROWS_AT_ONCE = 16_384  # of a report: ranges are cut where such a group begins

PROBLEMS = 100
"""How many rows that are not ok are kept for people."""

_SQL = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")


class ReportNotWhole(FixityError):
    """The report of a copy does not have the rows that it had when it was made."""


@dataclass(frozen=True)
class OfCopy:
    """The report of one copy. replica: its bucket. csv: the report, a local file. rows: how many it has."""

    replica: str
    csv: Path
    rows: int


@dataclass(frozen=True)
class AllCopies:
    """All copies side by side. counts: each object counts once, by its worst status. problems: the first rows
    that are not ok, with the columns of the CSV."""

    counts: Counts
    problems: list[dict[str, Any]]
    csv: Path


def columns_of(source: str, replicas: Iterable[str]) -> list[str]:
    """The columns of the report of all copies, by the names of the buckets."""
    return [
        *COPIES_COLUMNS,
        *(f"{source}:{name}" for name in OF_THE_SOURCE),
        *(f"{replica}:{name}" for replica in replicas for name in OF_A_COPY),
    ]


def side_by_side(
    source: str,
    reports: Sequence[OfCopy],
    *,
    by_version: bool,
    csv: Path,
    range_rows: int = RANGE_ROWS,
) -> AllCopies:
    """Put reports side by side, and write `csv` as a whole, or not at all.

    Arguments: source: the name of the source bucket. by_version: whether the reports compare versions, not
    keys. csv: a file in an existing directory, which also takes temporary files. range_rows: see RANGE_ROWS.
    Raises ReportNotWhole, TableNotSorted, duckdb.Error, OSError.
    """
    with (
        new_database(csv.parent, threads=1) as database,  # see `compare`
        TemporaryDirectory(prefix="copies-", dir=csv.parent) as folder,
        whole_file(csv) as out,
    ):
        tables = [_as_table(database, each, place, Path(folder)) for place, each in enumerate(reports, 1)]
        database.execute("SET GLOBAL parquet_metadata_cache = true")
        joiner = _Joiner(database, source, reports, tables, by_version)
        threads = threads_that_fit(processors(), RANGE_BYTES)  # as many as compare a pair
        ranges = key_ranges(*tables, most=_bytes_of(tables, range_rows))
        out.write(csv_line(columns_of(source, [each.replica for each in reports])).encode())
        counts, taken, problems = Counts(), 0, list[dict[str, Any]]()
        with closing(in_order(joiner.run, ranges, threads)) as parts:
            for report, figures, rows, found in parts:
                write_lines(out, csv_lines(report))
                counts, taken = counts + figures, taken + rows
                problems += found[: PROBLEMS - len(problems)]
        if taken != sum(each.rows for each in reports):
            raise ReportNotWhole(f"{csv.name}: {taken} rows of the copies' reports took part: make it again")
    return AllCopies(counts, problems, csv)


def _bytes_of(tables: Iterable[Path], rows: int) -> int:
    """How many bytes so many rows have, by the tables' footers."""
    size = there = 0
    for footer in map(pq.read_metadata, tables):
        there += footer.num_rows
        size += sum(footer.row_group(group).total_byte_size for group in range(footer.num_row_groups))
    return max(1, min(_RANGE_BYTES, size * rows // max(1, there)))


def _as_table(database: duckdb.DuckDBPyConnection, report: OfCopy, place: int, folder: Path) -> Path:
    """A report as a Parquet file, of which ranges can be read. Raises ReportNotWhole."""
    file = folder / f"{place}.parquet"
    rows = reading_with_duckdb(report.csv, list(COLUMNS))
    database.execute(
        f"COPY (SELECT {place} AS place, * EXCLUDE (bucket) FROM {rows}) TO {quoted(file)} "
        f"(COMPRESSION zstd, ROW_GROUP_SIZE {_ROWS_AT_ONCE})"
    )
    if (there := pq.read_metadata(file).num_rows) != report.rows:
        raise ReportNotWhole(
            f"the report of {report.replica} had {report.rows:,} rows when it was made, and has {there:,}: "
            "make it again"
        )
    return file


@dataclass(frozen=True)
class _Joiner:
    """Joins ranges, each by a cursor of its own."""

    database: duckdb.DuckDBPyConnection
    source: str
    reports: Sequence[OfCopy]
    tables: Sequence[Path]
    by_version: bool

    def run(self, keys: KeyRange) -> tuple[pa.Table, Counts, int, list[dict[str, Any]]]:
        """Join one range. Returns its rows of the CSV, its figures, how many rows of reports took part, and
        the first rows that are not ok."""
        replicas = [each.replica for each in self.reports]
        parameters = {
            "names": [self.source, *replicas],
            "order": list(WORST_FIRST),
            "lower": keys.lower,
            "upper": keys.upper,
            "by_version": self.by_version,
        }
        with self.database.cursor() as cursor:  # it has temporary tables and variables of its own
            cursor.execute("SET VARIABLE bucket = $bucket", {"bucket": self.source})
            *join, count = cursor.extract_statements(
                _SQL.format(reported=self._reported(keys), of_copies=_of_copies(replicas))
            )
            for statement in join:
                run_statement(cursor, statement, parameters)
            rows = cursor.execute(_report(self.source, replicas)).to_arrow_table()
            *figures, taken = run_statement(cursor, count, parameters).fetchall()[0]
        problems = rows.filter(pc.field("status") != "ok").slice(0, PROBLEMS).to_pylist()
        return rows, Counts(*figures), taken, problems

    def _reported(self, keys: KeyRange) -> str:
        return " UNION ALL ".join(
            f"FROM rows_of({quoted(table)}, {first}, {last}, $lower, $upper, $by_version)"
            for table, (first, last) in zip(self.tables, keys.rows, strict=True)
        )


def _of_copies(replicas: Sequence[str]) -> str:
    """What is said of each copy, as columns with its name: a report has at most one row of an object."""
    return ",\n".join(
        f'any_value({column}) FILTER (place = {place}) AS "{replica}:{name}"'
        for place, replica in enumerate(replicas, 1)
        for name, (column, _) in OF_A_COPY.items()
    )


def _report(source: str, replicas: Sequence[str]) -> str:
    """The rows of the CSV, in order."""
    columns = [
        *COPIES_COLUMNS,
        *(f'source_{name} AS "{source}:{name}"' for name in OF_THE_SOURCE),
        *(f'"{replica}:{name}"' for replica in replicas for name in OF_A_COPY),
    ]
    return f"SELECT {', '.join(columns)} FROM (FROM objects ORDER BY key, version_id NULLS FIRST)"
