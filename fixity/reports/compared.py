"""The rows of a comparison within one range: their figures, and their lines.

What a row says is decided in `compare.sql`, and does not belong here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from fixity import compute as pc
from fixity.lake.csv_files import LINES_AT_ONCE, in_words, lines_of
from fixity.lake.row_groups import ROW
from fixity.reports.beside import Rows
from fixity.reports.columns import COLUMNS, SUSPECT
from fixity.reports.counts import Counts
from fixity.reports.pairs import OF_A_SIDE
from fixity.reports.plain import SAME_IF_PLAIN, Parted

SAID = pa.schema(
    [
        ("status", pa.string()),
        *((name, pa.string()) for name in ("detail", "diagnosis", "diagnosis_rests_on")),
        ("last_agreed_at", pa.timestamp("us", "UTC")),
    ]
)
"""What is said of a row; suspects.sql fills in the last three."""


def together(rows: Rows) -> Rows:
    """The rows in fewer pieces, of whole ones and not more than LINES_AT_ONCE where these allow it."""
    some: list[Rows] = []
    count = 0
    for piece in rows:
        count += piece.num_rows
        if not some or count > LINES_AT_ONCE:
            some.append([])
            count = piece.num_rows
        some[-1].append(piece)
    return [pa.concat_batches(pieces) if len(pieces) > 1 else pieces[0] for pieces in some]


@dataclass(frozen=True)
class ComparedRows:
    """Rows of a report, in its order: by key in binary order, then by version, without one first.

    bucket: the source's name. windows: of the rows, parted. others: those that are not plain, `together`.
    said: SAID of each of these.
    """

    bucket: str
    windows: list[Parted]
    others: Rows
    said: pa.RecordBatch

    @property
    def suspects(self) -> int:
        """How many say that something is wrong."""
        return pc.sum(self._are_suspect()).as_py() or 0

    @property
    def replica_rows(self) -> int:
        """How many of them the replica has."""
        return self._plain + self._there("replica")

    def counts(self) -> Counts:
        """The figures. An object that could not be read counts in the figure of its side, even if its row has
        a worse status; one that failed on both sides counts in both."""
        found = {
            each["values"]: each["counts"] for each in pc.value_counts(self.said.column("status")).to_pylist()
        }
        return Counts(
            total_objects=self._plain + self._there("source"),
            matches=self._plain + found.get("ok", 0),
            mismatches=found.get("mismatch", 0),
            missing_replica=found.get("missing_replica", 0),
            missing_source=found.get("missing_source", 0),
            failed_source=self._failed("source"),
            failed_replication=self._failed("replica"),
            incomparable=found.get("incomparable", 0),
            not_checked=found.get("not_checked", 0),
            pending=found.get("pending", 0),
            rows=self._plain + self.said.num_rows,
        )

    def lines(self) -> Iterator[bytes | memoryview]:
        """The lines of the CSV, in order, in pieces."""
        of_others = self._lines_of_others()
        others, taken = _Lines(), 0
        for window in self.windows:
            count = window.others.num_rows
            if count and taken == len(others):
                others, taken = next(of_others), 0
            if window.is_plain.true_count:
                plain = _Lines(self._lines(_of_csv(window.pairs, {"status": "ok"}, _same_if_plain(window))))
                yield from _each_in_its_place(plain, others, taken, window)
            else:
                yield others.some(taken, taken + count)
            taken += count

    def _lines_of_others(self) -> Iterator[_Lines]:
        begin = 0
        for rows in self.others:
            said = self.said.slice(begin, rows.num_rows)
            begin += rows.num_rows
            columns = {name: said.column(name) for name in said.schema.names}
            yield _Lines(self._lines(_of_csv(rows, columns)))

    def _lines(self, columns: dict[str, Any]) -> pa.Array:
        columns["bucket"] = self.bucket
        return lines_of([columns[name] for name in COLUMNS])

    def first_problems(self, most: int) -> list[dict[str, Any]]:
        """The first rows that are not ok, with the columns of the CSV."""
        problems = self._first(pc.not_equal(self.said.column("status"), "ok"), most)
        rows: list[dict[str, Any]] = problems.select(list(COLUMNS)).to_pylist()
        return rows

    def first_suspects(self, most: int) -> pa.Table:
        """The first suspect rows, with the columns of the CSV, what was read of both sides, and their numbers
        in both tables."""
        return self._first(self._are_suspect(), most)

    @property
    def _plain(self) -> int:
        return sum(window.is_plain.true_count for window in self.windows)

    def _there(self, side: str) -> int:
        return sum(rows.num_rows - rows.column(f"{side}_row").null_count for rows in self.others)

    def _failed(self, side: str) -> int:
        statuses = (rows.column(f"{side}_status") for rows in self.others)
        return sum(pc.sum(pc.equal(each, "failed")).as_py() or 0 for each in statuses)

    def _are_suspect(self) -> pa.Array:
        return pc.is_in(self.said.column("status"), pa.array(SUSPECT))

    def _first(self, which: pa.Array, most: int) -> pa.Table:
        places = pc.indices_nonzero(which).slice(0, most)
        which = pc.is_valid(pc.scatter(places, places.cast(pa.int64()), max_index=len(which) - 1))
        pairs, begin = [], 0
        for rows in self.others:
            pairs.append(rows.filter(which.slice(begin, rows.num_rows)))
            begin += rows.num_rows
        chosen = pa.concat_batches(pairs)
        said = self.said.filter(which)
        columns = _of_csv(chosen, {name: said.column(name) for name in said.schema.names})
        columns["checksum_algorithm"] = _decoded(columns["checksum_algorithm"])
        for name in ("checked_source", "checked_replication", "last_agreed_at"):
            columns[name] = in_words(columns[name])
        names = [name for name in COLUMNS if name != "bucket"]
        read = [f"{side}_{name}" for side in ("source", "replica") for name in (*OF_A_SIDE, ROW)]
        return pa.table(
            {
                "bucket": pa.repeat(self.bucket, chosen.num_rows),
                **{name: columns[name] for name in names},
                **{name: _decoded(chosen.column(name)) for name in read},
            }
        )


def _decoded(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


class _Lines:
    """Lines of which some can be taken without copying them. Arguments: `texts`, one for each line."""

    def __init__(self, texts: pa.Array | None = None) -> None:
        self._data, self._begins = memoryview(b""), memoryview(b"\0\0\0\0").cast("i")
        if texts is not None and len(texts):
            _, begins, data = texts.buffers()
            self._data = memoryview(data)
            self._begins = memoryview(begins).cast("i")[texts.offset : texts.offset + len(texts) + 1]

    def __len__(self) -> int:
        return len(self._begins) - 1

    def some(self, first: int, end: int) -> memoryview:
        """The lines from `first` up to `end`."""
        return self._data[self._begins[first] : self._begins[end]]


def _each_in_its_place(plain: _Lines, others: _Lines, first: int, window: Parted) -> Iterator[memoryview]:
    """The lines of a window: those of its plain rows, and between them those of others from `first` on."""
    done, end = 0, first
    for begin, after in zip(window.begins.to_pylist(), window.ends.to_pylist(), strict=True):
        if begin > done:
            yield others.some(first, end)
            yield plain.some(done, begin)
            first = end
        end += 1
        done = after
    yield others.some(first, end)
    yield plain.some(done, len(plain))


def _same_if_plain(window: Parted) -> Collection[str]:
    """The columns that all plain rows of a window have the same of both sides, as those of `_of_csv`."""
    ours, theirs = (window.pairs.column(f"{side}_etag") for side in ("source", "replica"))
    if not ours.equals(theirs):
        same = pc.coalesce(pc.equal(ours, theirs), pc.and_(pc.is_null(ours), pc.is_null(theirs)))
        if not pc.all(pc.or_(same, pc.invert(window.is_plain))).as_py():
            return SAME_IF_PLAIN
    return (*SAME_IF_PLAIN, "etag")


def _of_csv(
    pairs: pa.RecordBatch, said: Mapping[str, pa.Array | str], same: Collection[str] = ()
) -> dict[str, Any]:
    """The columns of the CSV but `bucket`. Where both sides have the same, they have one array.

    Arguments: `same`, columns that are known to be the same.
    """
    algorithms = [pairs.column(f"{side}_algorithm") for side in ("source", "replica")]
    if algorithms[0].null_count:
        algorithms[0] = pc.coalesce(*(each.cast(pa.string()) for each in algorithms))
    columns = {
        **dict.fromkeys(COLUMNS),
        "key": pairs.column("key"),
        "version_id": pairs.column("version_id"),
        "checksum_algorithm": algorithms[0],
        "checked_source": pairs.column("source_checked_at"),
        "checked_replication": pairs.column("replica_checked_at"),
        **said,
    }
    for name in ("checksum", "size", "etag"):
        ours, theirs = (pairs.column(f"{side}_{name}") for side in ("source", "replica"))
        columns[f"{name}_source"] = ours
        columns[f"{name}_replication"] = ours if name in same or ours.equals(theirs) else theirs
    return columns
