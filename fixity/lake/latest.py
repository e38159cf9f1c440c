"""Finds the newest table of a bucket by the tables' own content, not by the times of their files.

Copying or restoring a lake gives its files new times in any order, and an older state of a bucket could seem
to be the newest. So each folder has a pointer to its newest table, replaced as a whole. It is a hint: if it
is missing, damaged, or names no table that is there, what the tables say of themselves decides. Removing old
tables does not belong here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from fixity.lake import Lake, LakeError
from fixity.lake.base import Seen
from fixity.lake.footer import read_footer
from fixity.lake.proof import sealed, unsealed_or_old
from fixity.tables import Provenance, TableUnreadable

_POINTER = "NEWEST.json"
_MOST_TRIES = 20  # others may put theirs meanwhile


IsWhole = Callable[[Provenance], bool]
"""Whether a table is of a whole bucket; only such a table can be the newest."""


def point_to_latest(
    lake: Lake, folder: str, provenance: Provenance, is_whole: IsWhole = lambda provenance: True
) -> None:
    """Point to a table just kept in a folder, unless the folder has a table of a newer listing.

    Of several runs that end at once, that with the newest listing is pointed to. Raises LakeError.
    """
    for _ in range(_MOST_TRIES):
        seen = lake.see(folder + _POINTER)
        values = _newer(lake, folder, provenance, is_whole, seen)
        if values is None or lake.put_if(folder + _POINTER, sealed(values), seen):
            return
    raise LakeError(
        f"{lake.location(folder + _POINTER)} is replaced by other runs all the time: run it again"
    )


def _newer(
    lake: Lake, folder: str, provenance: Provenance, is_whole: IsWhole, seen: Seen | None
) -> dict[str, str] | None:
    """What the pointer should say, from what it says; None if it may stay."""
    run_id, listed_at = provenance.run_id, provenance.listed_at
    tables = _tables(lake, folder)
    pointed = _pointed(seen, folder, tables)
    if pointed is None:
        for name in tables:
            try:
                other = read_footer(lake, name).provenance
            except TableUnreadable:
                continue
            if other.listed_at > listed_at and is_whole(other):
                run_id, listed_at = PurePosixPath(name).stem, other.listed_at
    elif pointed[1] > listed_at:
        return None
    return {"run_id": run_id, "listed_at": listed_at.isoformat()}


def latest_table(lake: Lake, folder: str, is_whole: IsWhole = lambda provenance: True) -> str | None:
    """The name of a folder's table with the newest listing; None if there is no table.

    Raises LakeError, and TableUnreadable for a file that is not a table of this platform.
    """
    tables = _tables(lake, folder)
    pointed = _pointed(lake.see(folder + _POINTER), folder, tables)
    if pointed is not None:
        return pointed[0]
    said = ((read_footer(lake, name).provenance, name) for name in tables)
    return max(((each.listed_at, name) for each, name in said if is_whole(each)), default=(None, None))[1]


def pointed_table(lake: Lake, folder: str) -> str | None:
    """The name of the table that a folder's pointer names; None if the pointer cannot be used.

    Raises LakeError.
    """
    pointed = _pointed(lake.see(folder + _POINTER), folder, _tables(lake, folder))
    return pointed and pointed[0]


def _tables(lake: Lake, folder: str) -> list[str]:
    return [file.name for file in lake.list(folder) if file.name.endswith(".parquet")]


def _pointed(seen: Seen | None, folder: str, tables: list[str]) -> tuple[str, datetime] | None:
    """The table that the pointer names, and when it was listed by it."""
    try:
        pointer = _read(seen.text if seen else "")
        name, listed_at = f"{folder}{pointer['run_id']}.parquet", datetime.fromisoformat(pointer["listed_at"])
    except (ValueError, TypeError, KeyError):
        return None
    return (name, listed_at) if name in tables and listed_at.tzinfo else None


def _read(text: str) -> dict[str, Any]:
    values = unsealed_or_old(text)
    if set(values) != {"run_id", "listed_at"}:
        raise ValueError("it is another text")
    return values
