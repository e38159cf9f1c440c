"""The suspect rows of a comparison, and what a second look has to do about each.

What is to be read is decided in `suspects.sql`. Looking at objects does not belong here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from fixity import compute as pc
from fixity.buckets import ListedObject, listed_objects
from fixity.catalog import Catalog, Pair
from fixity.humanize import printable
from fixity.incidents.baselines import is_strong
from fixity.incidents.one_side import Asked, Row, Work, to_read
from fixity.lake.database import open_database, own_table
from fixity.reports.pair import Compared
from fixity.reports.suspects import define_confirmed, read_suspects
from fixity.tables import SUCCEEDED

SIDES = ("source", "replica")
CHECKED = ("algorithm", "checksum", "status", "verdict", "reads")
"""What a suspect knows of each side's check: columns of the ledger."""

_SQL = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
_HAS = {"missing_replica": "source", "missing_source": "replica"}
_CONTENT = ("status", "evidence", "checksum_type", "algorithm", "checksum", "size")
_CONTENTS = [f"{side}_{name}" for side in SIDES for name in _CONTENT]


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


def suspects_of(catalog: Catalog, pair: Pair, compared: Compared) -> pa.Table:
    """The suspect rows of a comparison that need a look, in its order: the object is missing on a side, or a
    side's check is not confirmed.

    Returns the columns that suspects.sql gives.
    """
    assert compared.outcome.suspects is not None  # else nobody asks
    with open_database(compared.outcome.suspects.parent) as database:
        define_confirmed(database)
        own_table(database, "suspects", read_suspects(compared.outcome.suspects))
        parameters = {
            "algorithm": catalog.buckets[pair.source].algorithm,
            "source_listed_at": compared.source[1].listed_at,
            "replica_listed_at": compared.replica[1].listed_at,
        }
        return database.execute(_SQL, parameters).to_arrow_table()


def rows_of(suspects: pa.Table) -> list[Row]:
    """Which rows of the report they are."""
    return list(zip(suspects["key"].to_pylist(), suspects["version_id"].to_pylist(), strict=True))


def sizes_to_read(suspects: pa.Table, name: str) -> pa.ChunkedArray:
    """The bytes to read of each on a side."""
    return pc.fill_null(pc.if_else(suspects[f"read_{name}"], suspects[f"{name}_size"], 0), 0)


def checks_of(suspects: pa.Table, name: str) -> tuple[pa.Table, pa.ChunkedArray]:
    """What the check of each says on a side (the columns CHECKED), and whether it has such an object."""
    return _columns(suspects, name, CHECKED), suspects[f"{name}_size"].is_valid()


def work_of(suspects: pa.Table, name: str) -> Work:
    """What to look at on a side. What is missing on one is asked for on both."""
    numbered = suspects.append_column("row", pa.array(range(suspects.num_rows), pa.int64()))
    read = numbered.filter(pc.and_(suspects[f"read_{name}"], suspects[f"{name}_size"].is_valid()))
    missing = numbered.filter(suspects["is_missing"])
    there = missing[f"{name}_size"].is_valid().to_pylist()
    objects = listed_objects(_listed(missing, name))
    return Work(
        [
            Asked(number, row, item if is_there else None)
            for number, row, item, is_there in zip(
                missing["row"].to_pylist(), rows_of(missing), objects, there, strict=True
            )
        ],
        to_read(_listed(read, name), read["row"]),
    )


def _listed(suspects: pa.Table, name: str) -> pa.Table:
    """The rows as a side lists them, with the columns of a ListedObject."""
    columns = _columns(suspects, name, ListedObject.__slots__[1:])
    return columns.add_column(0, "key", suspects["key"])


def _columns(suspects: pa.Table, name: str, names: Sequence[str]) -> pa.Table:
    """Some columns of a side under their names in the ledger."""
    return suspects.select([f"{name}_{each}" for each in names]).rename_columns(list(names))
