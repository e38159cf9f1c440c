"""The rows of a comparison within one range, as `compare.sql` gives them: their figures, order and lines.

What a row says is decided in `compare.sql`, and does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fixity.lake.csv_files import LINES_AT_ONCE, bytes_of, csv_lines, in_words, lines_of
from fixity.reports.columns import COLUMNS, SUSPECT
from fixity.reports.counts import Counts
from fixity.reports.plain import PLACE, merged

_NUMBERS = ("source_row", "replica_row")
_MAY_BE_SAME = ("checksum", "etag")


class ComparedRows:
    """Rows in any order, `table`. suspects: how many say that something is wrong. replica_rows: how many of
    them the replica has.

    The order of a report is by key in binary order, then by version, without one first.
    """

    def __init__(self, rows: pa.Table) -> None:
        self.table = rows.combine_chunks()
        self._order = _order(self.table)
        self._is_suspect = pc.is_in(rows["status"], pa.array(SUSPECT))
        self.suspects: int = pc.sum(self._is_suspect).as_py() or 0
        self.replica_rows = rows.num_rows - rows["replica_row"].null_count

    def counts(self) -> Counts:
        """The figures. An object that could not be read counts in the figure of its side, even if its row has
        a worse status; one that failed on both sides counts in both."""
        found = {each["values"]: each["counts"] for each in pc.value_counts(self.table["status"]).to_pylist()}
        return Counts(
            total_objects=self.table.num_rows - self.table["source_row"].null_count,
            matches=found.get("ok", 0),
            mismatches=found.get("mismatch", 0),
            missing_replica=found.get("missing_replica", 0),
            missing_source=found.get("missing_source", 0),
            failed_source=pc.sum(self.table["failed_source"]).as_py() or 0,
            failed_replication=pc.sum(self.table["failed_replication"]).as_py() or 0,
            incomparable=found.get("incomparable", 0),
            not_checked=found.get("not_checked", 0),
            pending=found.get("pending", 0),
            rows=self.table.num_rows,
        )

    def lines(self, plain: Sequence[pa.Array] = ()) -> Iterator[pa.Buffer]:
        """The lines of the CSV, in order, in pieces; among them those of `plain` rows, at their places."""
        return merged(plain, self._placed_lines()) if plain else self._lines()

    def _lines(self) -> Iterator[pa.Buffer]:
        for rows in self._in_order():
            yield from csv_lines(_of_csv(rows).select(list(COLUMNS)))

    def _placed_lines(self) -> Iterator[tuple[int, pa.Buffer]]:
        for rows in self._in_order():
            columns = _of_csv(rows).select(list(COLUMNS)).combine_chunks().columns
            lines = lines_of([column.chunk(0) for column in columns])
            places = pc.run_end_encode(rows[PLACE].combine_chunks())
            ends = places.run_ends.to_pylist()
            for place, begin, end in zip(places.values.to_pylist(), [0, *ends], ends, strict=False):
                yield place, bytes_of(lines[begin:end])

    def first_problems(self, most: int) -> list[dict[str, Any]]:
        """The first rows that are not ok, with the columns of the CSV."""
        problems = self._first(pc.not_equal(self.table["status"], "ok"), most)
        rows: list[dict[str, Any]] = problems.select(list(COLUMNS)).to_pylist()
        return rows

    def first_suspects(self, most: int) -> pa.Table:
        """The first suspect rows, with the columns of the CSV and their numbers in both tables."""
        return self._first(self._is_suspect, most)

    def _first(self, which: pa.ChunkedArray, most: int) -> pa.Table:
        chosen = self.table.filter(which).combine_chunks()
        order = _order(chosen)
        chosen = _of_csv(chosen.slice(0, most) if order is None else chosen.take(order.slice(0, most)))
        columns = [in_words(each) if pa.types.is_timestamp(each.type) else each for each in chosen.columns]
        return pa.table(columns, chosen.column_names)

    def _in_order(self) -> Iterator[pa.Table]:
        """The rows in order, some at a time, without a copy where they are in order."""
        for begin in range(0, self.table.num_rows, LINES_AT_ONCE):
            if self._order is None:
                yield self.table.slice(begin, LINES_AT_ONCE)
                continue
            some = self._order.slice(begin, LINES_AT_ONCE)
            if pc.all(pc.equal(pc.pairwise_diff(some), 1)).as_py():
                yield self.table.slice(some[0].as_py(), len(some))
            else:
                yield self.table.take(some)


def _order(rows: pa.Table) -> pa.Array | None:
    """The numbers of rows in order; None if they are.

    DuckDB joins along one side, whose rows are in order, and gives those that only the other has at the end.
    """
    keys = rows["key"]
    if pc.all(pc.less(keys.slice(0, max(0, len(keys) - 1)), keys.slice(1))).as_py():
        return None
    by = [("key", "ascending", "at_start"), ("version_id", "ascending", "at_start")]
    return pc.sort_indices(rows, by).cast(pa.int64())


def _of_csv(rows: pa.Table) -> pa.Table:
    """Rows with the columns of the CSV, and their numbers in both tables."""
    columns = {name: rows[name] for name in (*COLUMNS, *_NUMBERS)}
    for name in _MAY_BE_SAME:
        same, ours, theirs = (
            rows[each] for each in (f"same_{name}", f"{name}_source", f"{name}_replication")
        )
        columns[f"{name}_replication"] = ours if pc.all(same).as_py() else pc.if_else(same, ours, theirs)
    return pa.table(columns)
