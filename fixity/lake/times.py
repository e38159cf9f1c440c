"""What the times of tables count as that a wrong clock dated ahead, after a person has said so.

The tables stay as they were kept. A note beside them, `TIMES.json`, has for each a moment when it was there
already, although its times are later: they count as that moment, wherever a table is read to decide which
check or which inventory is the newest. A copy of the note stands with the tables' records, so that its loss
is noticed. When that is asked of a person is in `fixity.ledger.clocks`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from fixity import compute as pc
from fixity.lake.base import Lake, LakeError
from fixity.lake.paths import records_folder
from fixity.lake.proof import sealed, unsealed
from fixity.tables import Provenance

_NOTE = "TIMES.json"


class TimesUnknown(LakeError):
    """It is not known which tables of a bucket a wrong clock dated. The text says why, and what to do.

    is_gone: whether the note is gone, and not only damaged.
    """

    def __init__(self, text: str, is_gone: bool = False) -> None:
        super().__init__(text)
        self.is_gone = is_gone


def note_of(folder: str) -> str:
    """The name of a folder's note."""
    return folder + _NOTE


def counted_as(lake: Lake, folder: str) -> dict[str, datetime]:
    """Up to which moment (UTC) the times of a folder's tables are believed, by the run that names a table.

    Tables without one are believed. Raises TimesUnknown, also where only the note's copy is left: without the
    note, times that a person has called wrong would be believed again. Raises LakeError.
    """
    note = _read(lake, note_of(folder))
    if isinstance(note, dict):
        return note
    copy = _read(lake, _copy_of(folder))
    if note == copy == "gone":
        return {}
    to_do = "Restore it from a copy of the lake"
    if isinstance(copy, dict):
        to_do = f"Put it back from {_copy_of(folder)}: fixity lake redate {PurePosixPath(folder).name}"
    raise TimesUnknown(
        f"{lake.location(note_of(folder))} is {note}: it says which tables a wrong clock dated. {to_do}",
        is_gone=note == "gone",
    )


def believed(lake: Lake, folder: str) -> dict[str, datetime]:
    """What is left where `counted_as` raises TimesUnknown: what the note's copy says. Raises LakeError.

    For those who say so beside what rests on it. Whoever decides by these times asks `counted_as`.
    """
    copy = _read(lake, _copy_of(folder))
    return copy if isinstance(copy, dict) else {}


def count_as(lake: Lake, folder: str, times: Mapping[str, datetime]) -> None:
    """Note that times of some tables count as earlier moments; see `counted_as`. Raises LakeError."""
    _put(lake, folder, {**times, **counted_as(lake, folder)})  # what was said first is nearer to the truth


def put_back(lake: Lake, folder: str) -> bool:
    """Write a folder's note anew from its copy, or the copy from the note, where one is lost or damaged.

    Returns whether one was. If neither is usable, nothing is written; see `counted_as`. Raises LakeError.
    """
    said = [_read(lake, name) for name in (_copy_of(folder), note_of(folder))]
    usable = [each for each in said if isinstance(each, dict)]
    if not usable or said[0] == said[1]:
        return False
    _put(lake, folder, {run: at for each in usable for run, at in each.items()})
    return True


def _put(lake: Lake, folder: str, times: Mapping[str, datetime]) -> None:
    text = sealed({run: at.isoformat() for run, at in times.items()})
    lake.put_text(_copy_of(folder), text, replace=True)  # before the note, as a table's record
    lake.put_text(note_of(folder), text, replace=True)


def _read(lake: Lake, name: str) -> dict[str, datetime] | Literal["gone", "damaged"]:
    """What a note says, or why it says nothing. Raises LakeError."""
    try:
        return {run: datetime.fromisoformat(at) for run, at in unsealed(lake.read_text(name)).items()}
    except FileNotFoundError:
        return "gone"
    except (ValueError, TypeError):
        return "damaged"


def _copy_of(folder: str) -> str:
    """The copy of a folder's note, beside the records of its tables, whose loss is told too."""
    return records_folder(note_of(folder))


def folder_of_copy(name: str) -> str | None:
    """The folder whose note has its copy under this name; None for another file's name."""
    folder = name.removeprefix(records_folder("")).removesuffix(_NOTE)
    return folder if folder.endswith("/") and _copy_of(folder) == name else None


def as_counted(file: Path, at: datetime, copy: Path) -> Path:
    """Write a local `copy` of a table, in which times after a moment (UTC) are that moment; returns it.

    Raises as Arrow does.
    """
    copy.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetFile(file) as table:
        provenance = Provenance.from_metadata(table.schema_arrow.metadata, file)
        provenance = replace(provenance, listed_at=min(provenance.listed_at, at))
        schema = provenance.attach(table.schema_arrow)
        with pq.ParquetWriter(copy, schema) as writer:
            for number in range(table.num_row_groups):
                rows = table.read_row_group(number).replace_schema_metadata(schema.metadata)
                place = rows.schema.get_field_index("checked_at")
                if place >= 0:
                    kind = rows.schema.field(place)
                    times, latest = rows.column(place), pa.scalar(at, kind.type)
                    earlier = pc.if_else(pc.greater(times, latest), latest, times)
                    rows = rows.set_column(place, kind, earlier)
                writer.write_table(rows, row_group_size=max(rows.num_rows, 1))
    return copy
