"""The rows of a comparison within one range: their figures, and their lines.

What a row says is decided in `compare.sql`, and does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fixity.lake.csv_files import bytes_of, in_words, lines_of
from fixity.reports.beside import Rows
from fixity.reports.columns import COLUMNS, SUSPECT
from fixity.reports.counts import Counts

SAID = pa.schema(
    [
        ("status", pa.string()),
        *((name, pa.string()) for name in ("detail", "diagnosis", "diagnosis_rests_on")),
        ("last_agreed_at", pa.timestamp("us", "UTC")),
    ]
)
"""What is said of a row; suspects.sql fills in the last three."""
_NUMBERS = ("source_row", "replica_row")


@dataclass(frozen=True)
class ComparedRows:
    """Rows of a report, in its order: by key in binary order, then by version, without one first.

    bucket: the source's name. pairs: of both sides' rows, as `Found` has them. is_plain: which of them are.
    others: those that are not. said: SAID of each of these.
    """

    bucket: str
    pairs: Rows
    is_plain: list[pa.Array]
    others: Rows
    said: pa.RecordBatch

    @property
    def suspects(self) -> int:
        """How many say that something is wrong."""
        return pc.sum(self._are_suspect()).as_py() or 0

    @property
    def replica_rows(self) -> int:
        """How many of them the replica has."""
        return sum(rows.num_rows - rows.column("replica_row").null_count for rows in self.pairs)

    def counts(self) -> Counts:
        """The figures. An object that could not be read counts in the figure of its side, even if its row has
        a worse status; one that failed on both sides counts in both."""
        found = {
            each["values"]: each["counts"] for each in pc.value_counts(self.said.column("status")).to_pylist()
        }
        rows = sum(rows.num_rows for rows in self.pairs)
        return Counts(
            total_objects=sum(rows.num_rows - rows.column("source_row").null_count for rows in self.pairs),
            matches=rows - self.said.num_rows + found.get("ok", 0),
            mismatches=found.get("mismatch", 0),
            missing_replica=found.get("missing_replica", 0),
            missing_source=found.get("missing_source", 0),
            failed_source=self._failed("source"),
            failed_replication=self._failed("replica"),
            incomparable=found.get("incomparable", 0),
            not_checked=found.get("not_checked", 0),
            pending=found.get("pending", 0),
            rows=rows,
        )

    def lines(self) -> Iterator[pa.Buffer]:
        """The lines of the CSV, in order, in pieces."""
        begin = 0
        for pairs, is_plain in zip(self.pairs, self.is_plain, strict=True):
            count = is_plain.false_count
            said = self.said.slice(begin, count)
            begin += count
            columns = {**_of_csv(pairs, _among_plain(said, is_plain)), "bucket": self.bucket}
            yield bytes_of(lines_of([columns[name] for name in COLUMNS]))

    def first_problems(self, most: int) -> list[dict[str, Any]]:
        """The first rows that are not ok, with the columns of the CSV."""
        problems = self._first(pc.not_equal(self.said.column("status"), "ok"), most)
        rows: list[dict[str, Any]] = problems.select(list(COLUMNS)).to_pylist()
        return rows

    def first_suspects(self, most: int) -> pa.Table:
        """The first suspect rows, with the columns of the CSV and their numbers in both tables."""
        return self._first(self._are_suspect(), most)

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
        columns["checksum_algorithm"] = columns["checksum_algorithm"].cast(pa.string())
        for name in ("checked_source", "checked_replication", "last_agreed_at"):
            columns[name] = in_words(columns[name])
        names = [name for name in COLUMNS if name != "bucket"]
        return pa.table(
            {
                "bucket": pa.repeat(self.bucket, chosen.num_rows),
                **{name: columns[name] for name in names},
                **{name: chosen.column(name) for name in _NUMBERS},
            }
        )


def _among_plain(said: pa.RecordBatch, is_plain: pa.Array) -> dict[str, pa.Array | str]:
    """What is said of all rows, by column, from what is said of those that are not plain."""
    if not said.num_rows:
        return {"status": "ok"}
    columns = {
        name: said.column(name) for name in said.schema.names if said.column(name).null_count < said.num_rows
    }
    if said.num_rows == len(is_plain):
        return columns
    is_other = pc.invert(is_plain)
    for name, column in columns.items():
        of_plain = pa.scalar("ok" if name == "status" else None, column.type)
        columns[name] = pc.replace_with_mask(pa.repeat(of_plain, len(is_plain)), is_other, column)
    return columns


def _of_csv(pairs: pa.RecordBatch, said: Mapping[str, pa.Array | str]) -> dict[str, Any]:
    """The columns of the CSV but `bucket`. Where both sides have the same, they have one array."""
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
        columns[f"{name}_replication"] = ours if ours.equals(theirs) else theirs
    return columns
