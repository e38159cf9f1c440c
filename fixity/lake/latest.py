"""Finds the newest table of a bucket by the tables' own content, not by the times of their files.

Copying or restoring a lake gives its files new times in any order, and an older state of a bucket could seem
to be the newest. So each folder has a pointer to its newest table, replaced as a whole. It is a hint: if it
is missing, damaged, or names no table that is there, what the tables say of themselves decides. It also says
which is the newest time in all tables: see `newest_dated`. Removing old tables does not belong here.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from fixity.clock import CLOCKS_AGREE, utc_now
from fixity.lake import Lake, LakeError
from fixity.lake.base import Seen
from fixity.lake.footer import newest_time, read_footer
from fixity.lake.proof import sealed, unsealed_or_old
from fixity.lake.times import counted_as
from fixity.tables import Provenance, TableUnreadable

_POINTER = "NEWEST.json"
_SAYS = ({"run_id", "listed_at"}, {"run_id", "listed_at", "dated", "dated_table", "dated_by", "gone"})
_MOST_TRIES = 20  # others may put theirs meanwhile


IsWhole = Callable[[Provenance], bool]
"""Whether a table is of a whole bucket; only such a table can be the newest."""


class Dated(NamedTuple):
    """The newest time in a folder's tables (UTC), the run that names the table, and who kept it."""

    at: datetime
    table: str
    by: str


def point_to_latest(
    lake: Lake,
    folder: str,
    provenance: Provenance,
    is_whole: IsWhole = lambda provenance: True,
    newest: datetime | None = None,
    now: Callable[[], datetime] = utc_now,
) -> None:
    """Point to a table just kept in a folder, unless the folder has a table of a newer listing.

    Of several runs that end at once, that with the newest listing is pointed to.
    Arguments: `newest`, the newest time in the table (UTC), None: that of its listing. Raises LakeError.
    """
    dated = Dated(newest or provenance.listed_at, provenance.run_id, socket.gethostname())
    _replace(lake, folder, lambda seen: _newer(lake, folder, provenance, is_whole, seen, dated, now()))


def _replace(lake: Lake, folder: str, change: Callable[[Seen | None], dict[str, Any] | None]) -> None:
    """Replace a folder's pointer by what `change` makes of it as it is then, unless that is None.

    Raises LakeError.
    """
    for _ in range(_MOST_TRIES):
        seen = lake.see(folder + _POINTER)
        values = change(seen)
        if values is None or lake.put_if(folder + _POINTER, sealed(values), seen):
            return
    raise LakeError(
        f"{lake.location(folder + _POINTER)} is replaced by other runs all the time: run it again"
    )


def _newer(
    lake: Lake,
    folder: str,
    provenance: Provenance,
    is_whole: IsWhole,
    seen: Seen | None,
    dated: Dated,
    now: datetime,
) -> dict[str, Any]:
    """What the pointer should say, from what it says."""
    run_id, listed_at = provenance.run_id, provenance.listed_at
    tables = tables_of(lake, folder)
    pointed = _pointed(seen, folder, tables)
    if pointed is None:
        counted = counted_as(lake, folder)
        for name in tables:
            try:
                other = read_footer(lake, name).provenance
            except TableUnreadable:
                continue
            at = _listed_at(other, name, counted)
            if at > listed_at and is_whole(other):
                run_id, listed_at = PurePosixPath(name).stem, at
    elif listed_at < pointed[1] <= now + CLOCKS_AGREE:  # else a clock was wrong
        run_id, listed_at = PurePosixPath(pointed[0]).stem, pointed[1]
    gone = {run for run in _named(seen) if f"{folder}{run}.parquet" not in tables}
    return _said(run_id, listed_at, max(filter(None, (_dated(seen), dated))), gone)


def _said(run_id: str, listed_at: datetime, dated: Dated, gone: Iterable[str]) -> dict[str, Any]:
    of_newest = {"dated": dated.at.isoformat(), "dated_table": dated.table, "dated_by": dated.by}
    return {"run_id": run_id, "listed_at": listed_at.isoformat(), **of_newest, "gone": sorted(gone)}


def newest_dated(lake: Lake, folder: str) -> Dated | None:
    """The newest time in the tables of a folder; None if there is none.

    Without a pointer that says it, all tables are asked. Raises LakeError.
    """
    dated = _dated(lake.see(folder + _POINTER))
    if dated is not None:
        return dated
    counted = counted_as(lake, folder)

    def look(name: str) -> Dated | None:
        try:
            at = newest_time(lake, name)
        except (TableUnreadable, FileNotFoundError):  # whoever reads it reports it
            return None
        run = PurePosixPath(name).stem
        return Dated(min(at, counted.get(run, at)), run, "another machine")

    with ThreadPoolExecutor(lake.at_once) as pool:
        return max(filter(None, pool.map(look, tables_of(lake, folder))), default=None)


def pointed_runs(lake: Lake, folder: str) -> set[str]:
    """The runs whose tables a folder's pointer names, be they there or not. Raises LakeError.

    It also names those that it pointed to, and that were gone when it was replaced.
    """
    return _named(lake.see(folder + _POINTER))


def _named(seen: Seen | None) -> set[str]:
    try:
        pointer = _read(seen.text if seen else "")
    except (ValueError, TypeError):
        return set()
    return {pointer[name] for name in ("run_id", "dated_table") if name in pointer} | {
        *pointer.get("gone", ())
    }


def forget_dated(lake: Lake, folder: str, now: datetime, known: Collection[str]) -> None:
    """Have the pointer say that the newest time in the tables is now (UTC).

    Arguments: `known`, the tables of which that is known. The time of another one, kept meanwhile, stays.
    Raises LakeError.
    """

    def forgotten(seen: Seen | None) -> dict[str, Any] | None:
        tables = tables_of(lake, folder)
        pointed, dated = _pointed(seen, folder, tables), _dated(seen)
        if pointed is None:
            return None
        run_id = PurePosixPath(pointed[0]).stem
        name = f"{folder}{dated.table}.parquet" if dated else ""
        if dated is None or name not in tables or name in known:
            dated = Dated(now, run_id, socket.gethostname())
        return _said(run_id, min(pointed[1], now), dated, _named(seen))

    _replace(lake, folder, forgotten)


def latest_table(lake: Lake, folder: str, is_whole: IsWhole = lambda provenance: True) -> str | None:
    """The name of a folder's table with the newest listing; None if there is no table.

    Raises LakeError, and TableUnreadable for a file that is not a table of this platform.
    """
    tables = tables_of(lake, folder)
    pointed = _pointed(lake.see(folder + _POINTER), folder, tables)
    if pointed is not None:
        return pointed[0]
    counted = counted_as(lake, folder)
    said = ((read_footer(lake, name).provenance, name) for name in tables)
    listed = ((_listed_at(each, name, counted), name) for each, name in said if is_whole(each))
    return max(listed, default=(None, None))[1]


def _listed_at(provenance: Provenance, name: str, counted: Mapping[str, datetime]) -> datetime:
    at = provenance.listed_at
    return min(at, counted.get(PurePosixPath(name).stem, at))


def pointed_table(lake: Lake, folder: str) -> str | None:
    """The name of the table that a folder's pointer names; None if the pointer cannot be used.

    Raises LakeError.
    """
    pointed = _pointed(lake.see(folder + _POINTER), folder, tables_of(lake, folder))
    return pointed and pointed[0]


def tables_of(lake: Lake, folder: str) -> list[str]:
    """The names of a folder's tables. Raises LakeError."""
    return [file.name for file in lake.list(folder) if file.name.endswith(".parquet")]


def _pointed(seen: Seen | None, folder: str, tables: list[str]) -> tuple[str, datetime] | None:
    """The table that the pointer names, and when it was listed by it."""
    try:
        pointer = _read(seen.text if seen else "")
        name, listed_at = f"{folder}{pointer['run_id']}.parquet", datetime.fromisoformat(pointer["listed_at"])
    except (ValueError, TypeError, KeyError):
        return None
    return (name, listed_at) if name in tables and listed_at.tzinfo else None


def _dated(seen: Seen | None) -> Dated | None:
    """What the pointer says of the newest time; one of an earlier version says nothing."""
    try:
        pointer = _read(seen.text if seen else "")
        dated = Dated(datetime.fromisoformat(pointer["dated"]), pointer["dated_table"], pointer["dated_by"])
    except (ValueError, TypeError, KeyError):
        return None
    return dated if dated.at.tzinfo else None


def _read(text: str) -> dict[str, Any]:
    values = unsealed_or_old(text)
    if set(values) not in _SAYS:
        raise ValueError("it is another text")
    return values
