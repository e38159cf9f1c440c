"""Which table of a bucket is the newest: said by the tables themselves, not by their files' times.

A lake that is copied or restored gives its files new times in any order; to go by them would bring
back an older state of a bucket as today's. So each folder has a note of its newest table, replaced as
a whole, and where the note is missing the tables' own footers are read.
"""

from __future__ import annotations

import json

from fixity.lake import Lake
from fixity.lake.footer import read_footer
from fixity.tables import Provenance

_NOTE = "NEWEST.json"


def point_to_latest(lake: Lake, folder: str, provenance: Provenance) -> None:
    """Note a table that was just kept in a folder, unless a younger listing has one there.

    Raises LakeError.
    """
    noted = _note(lake, folder)
    listed_at = provenance.listed_at.isoformat()
    if noted is None or noted["listed_at"] <= listed_at:
        note = json.dumps({"run_id": provenance.run_id, "listed_at": listed_at})
        lake.put_text(folder + _NOTE, note, replace=True)


def latest_table(lake: Lake, folder: str) -> str | None:
    """The name of the table of a folder whose listing is the youngest, None where there is none.

    Raises LakeError, and ValueError for a file that is no table of this platform.
    """
    noted = _note(lake, folder)
    tables = [file.name for file in lake.list(folder) if file.name.endswith(".parquet")]
    if noted is not None and f"{folder}{noted['run_id']}.parquet" in tables:
        return f"{folder}{noted['run_id']}.parquet"
    if not tables:
        return None
    return max(tables, key=lambda name: (read_footer(lake, name).provenance.listed_at, name))


def _note(lake: Lake, folder: str) -> dict[str, str] | None:
    try:
        noted: dict[str, str] = json.loads(lake.read_text(folder + _NOTE))
    except (FileNotFoundError, ValueError):
        return None
    return noted
