"""Finds the newest table of a bucket by the tables' own content, not by the times of their files.

Copying or restoring a lake gives its files new times in any order, and an older state of a bucket could seem
to be the newest. So each folder has a pointer to its newest table, replaced as a whole. If the pointer is
missing, the footers of the tables are read. Removing old tables does not belong here.
"""

from __future__ import annotations

import json

from fixity.lake import Lake
from fixity.lake.footer import read_footer
from fixity.tables import Provenance

_POINTER = "NEWEST.json"


def point_to_latest(lake: Lake, folder: str, provenance: Provenance) -> None:
    """Point to a table just kept in a folder, unless the folder has a table of a newer listing.

    Raises LakeError.
    """
    pointer = _pointer(lake, folder)
    listed_at = provenance.listed_at.isoformat()
    if pointer is None or pointer["listed_at"] <= listed_at:
        text = json.dumps({"run_id": provenance.run_id, "listed_at": listed_at})
        lake.put_text(folder + _POINTER, text, replace=True)


def latest_table(lake: Lake, folder: str) -> str | None:
    """The name of a folder's table with the newest listing; None if there is no table.

    Raises LakeError, and TableUnreadable for a file that is not a table of this platform.
    """
    pointer = _pointer(lake, folder)
    tables = [file.name for file in lake.list(folder) if file.name.endswith(".parquet")]
    if pointer is not None and f"{folder}{pointer['run_id']}.parquet" in tables:
        return f"{folder}{pointer['run_id']}.parquet"
    if not tables:
        return None
    return max(tables, key=lambda name: (read_footer(lake, name).provenance.listed_at, name))


def _pointer(lake: Lake, folder: str) -> dict[str, str] | None:
    try:
        pointer: dict[str, str] = json.loads(lake.read_text(folder + _POINTER))
    except (FileNotFoundError, ValueError):
        return None
    return pointer
