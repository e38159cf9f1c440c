"""The suspect rows of a comparison, and what a second look has to do about each.

What is to be read is decided in `suspects.sql`. Looking at objects does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from fixity.buckets import ListedObject, listed_objects
from fixity.catalog import Catalog, Pair
from fixity.humanize import printable
from fixity.incidents.baselines import is_strong
from fixity.incidents.one_side import Row, Task
from fixity.lake.database import open_database
from fixity.reports.pair import Compared
from fixity.reports.suspects import define_confirmed
from fixity.tables import SUCCEEDED

SIDES = ("source", "replica")
CHECKED = ("algorithm", "checksum", "status", "verdict", "reads")
"""What a suspect knows of each side's check: columns of the ledger."""

_SQL = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
_BATCH = 1_000
_HAS = {"missing_replica": "source", "missing_source": "replica"}
_CONTENT = ("status", "evidence", "checksum_type", "algorithm", "checksum", "size")
_CONTENTS = [f"{side}_{name}" for side in SIDES for name in _CONTENT]


class Suspect(NamedTuple):
    """A row of a report: what each side lists, and what its check says (the columns CHECKED), None where it
    has no such object; which sides are to be read."""

    row: Row
    is_missing: bool
    listed: dict[str, ListedObject | None]
    sides: dict[str, dict[str, Any] | None]
    read: dict[str, bool]

    def size_on(self, name: str) -> int:
        """Bytes to read on a side."""
        listed = self.listed[name]
        return listed.size if listed and self.read[name] else 0

    def task(self, name: str) -> Task | None:
        """What to look at on a side; None if it need not be."""
        is_read = self.read[name]
        return Task(self.row, self.listed[name], is_read) if self.is_missing or is_read else None


def same_bytes_elsewhere(suspects: pa.Table) -> dict[Row, str]:
    """For objects that only one side has: under which key only the other side has the same bytes, for people.

    Arguments: `suspects`, a table of SUSPECTS. Empty objects are left out: all have the same bytes.
    """
    missing = suspects.filter(pc.is_in(suspects["status"], pa.array([*_HAS])))
    rows = missing.select(["key", "version_id", "status", *_CONTENTS]).to_pylist()
    places: dict[str, dict[tuple[Any, ...], str]] = {side: {} for side in SIDES}
    contents: list[tuple[str, tuple[Any, ...] | None]] = []
    for row in rows:
        side = _HAS[row["status"]]
        status, evidence, kind, *content = (row[f"{side}_{name}"] for name in _CONTENT)
        was_read = status == SUCCEEDED and evidence != "stored" and kind == "FULL_OBJECT"
        if was_read and row[f"{side}_size"] and is_strong(row[f"{side}_algorithm"]):
            places[side].setdefault(tuple(content), row["key"])
            contents.append((side, tuple(content)))
        else:
            contents.append((side, None))
    other = {"source": "replica", "replica": "source"}
    return {
        (row["key"], row["version_id"]): (
            f"the same bytes are under {printable(places[other[side]][content], 300)}, which only the "
            f"{other[side]} has"
        )
        for row, (side, content) in zip(rows, contents, strict=True)
        if content is not None and content in places[other[side]]
    }


def suspects_of(catalog: Catalog, pair: Pair, compared: Compared) -> Iterator[Suspect]:
    """The suspect rows of a comparison that need a look, in its order: the object is missing on a side, or a
    side's check is not confirmed.
    """
    if compared.outcome.suspects is None:
        return
    with open_database(compared.outcome.suspects.parent) as database:
        define_confirmed(database)
        parameters = {
            "suspects": str(compared.outcome.suspects),
            "algorithm": catalog.buckets[pair.source].algorithm,
            "source_listed_at": compared.source[1].listed_at,
            "replica_listed_at": compared.replica[1].listed_at,
        }
        for batch in database.execute(_SQL, parameters).to_arrow_reader(_BATCH):
            yield from _suspects_in(batch)


def _suspects_in(rows: pa.RecordBatch) -> Iterator[Suspect]:
    """Turned into columns: the dictionaries of whole rows would take longer than reading the objects."""
    found = (rows.column(name).to_pylist() for name in ("key", "version_id", "is_missing"))
    sides = (_side_of(rows, name) for name in SIDES)
    for key, version_id, is_missing, *of_both in zip(*found, *sides, strict=True):
        (source, its_check, is_read), (replica, other_check, other_is_read) = of_both
        yield Suspect(
            (key, version_id),
            is_missing,
            {"source": source, "replica": replica},
            {"source": its_check, "replica": other_check},
            {"source": is_read, "replica": other_is_read},
        )


def _side_of(
    rows: pa.RecordBatch, name: str
) -> Iterator[tuple[ListedObject | None, dict[str, Any] | None, bool]]:
    """For each row, what a side lists, what its check says, and whether it is to be read."""
    there = rows.column(f"{name}_size").is_valid().to_pylist()
    objects = listed_objects(_columns(rows, name, ListedObject.__slots__[1:], "key"))
    checks = _columns(rows, name, CHECKED).to_pylist()
    for is_there, item, check, read in zip(
        there, objects, checks, rows.column(f"read_{name}").to_pylist(), strict=True
    ):
        yield (item, check, read) if is_there else (None, None, read)


def _columns(rows: pa.RecordBatch, side: str, names: Sequence[str], *of_row: str) -> pa.RecordBatch:
    """Some columns of the rows, and of a side under their names in the ledger."""
    columns = [rows.column(name) for name in of_row] + [rows.column(f"{side}_{name}") for name in names]
    return pa.RecordBatch.from_arrays(columns, [*of_row, *names])
