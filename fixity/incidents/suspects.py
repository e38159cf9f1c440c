"""The suspect rows of a comparison, and what a second look has to do about each.

Which checks are confirmed is in `suspects.sql`. Looking at objects does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from fixity.buckets import ListedObject
from fixity.catalog import Catalog, Pair
from fixity.incidents.one_side import Row, Task
from fixity.lake.database import open_database
from fixity.reports.pair import Compared

SIDES = ("source", "replica")

_SQL = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
_BATCH = 1_000


class Suspect(NamedTuple):
    """A row of a report: what each side lists and has checked, None where it has no such object; which sides
    are to be read."""

    row: Row
    is_missing: bool
    sides: dict[str, dict[str, Any] | None]
    read: dict[str, bool]

    @property
    def needs_a_look(self) -> bool:
        """Whether a side's check is not confirmed, or the object is missing on a side."""
        return self.is_missing or any(self.read.values())

    @property
    def size(self) -> int:
        """Bytes to read."""
        return sum(side["size"] for name, side in self.sides.items() if side and self.read[name])

    def task(self, name: str) -> Task | None:
        """What to look at on a side; None if it need not be."""
        if not (self.is_missing or self.read[name]):
            return None
        side, listed = self.sides[name], None
        if side is not None:
            listed = ListedObject(self.row[0], *(side[column] for column in ListedObject.__slots__[1:]))
        return Task(self.row, listed, self.read[name])


def suspects_of(catalog: Catalog, pair: Pair, compared: Compared) -> Iterator[Suspect]:
    """All suspect rows of a comparison, in its order."""
    if compared.outcome.suspects is None:
        return
    with open_database(compared.outcome.suspects.parent) as database:
        *define, select = database.extract_statements(_SQL)
        for statement in define:
            database.execute(statement)
        parameters = {
            "suspects": str(compared.outcome.suspects),
            "algorithm": catalog.buckets[pair.source].algorithm,
            "source_listed_at": compared.source[1].listed_at,
            "replica_listed_at": compared.replica[1].listed_at,
        }
        for batch in database.execute(select, parameters).to_arrow_reader(_BATCH):
            for each in batch.to_pylist():
                yield Suspect(
                    (each["key"], each["version_id"]),
                    each["is_missing"],
                    {name: each[name] for name in SIDES},
                    {name: each[f"read_{name}"] for name in SIDES},
                )
