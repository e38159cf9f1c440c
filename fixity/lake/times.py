"""What the times of tables count as that a wrong clock dated ahead, after a person has said so.

The tables stay as they were kept. A note beside them, `TIMES.json`, has for each a moment when it was there
already, although its times are later: they count as that moment, wherever a table is read to decide which
check or which inventory is the newest. When that is asked of a person is in `fixity.ledger.clocks`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fixity.lake.base import Lake, LakeError
from fixity.lake.proof import sealed, unsealed
from fixity.tables import Provenance

_NOTE = "TIMES.json"


def counted_as(lake: Lake, folder: str) -> dict[str, datetime]:
    """Up to which moment (UTC) the times of a folder's tables are believed, by the run that names a table.

    Tables without one are believed. Raises LakeError.
    """
    try:
        text = lake.read_text(folder + _NOTE)
    except FileNotFoundError:
        return {}
    try:
        return {run: datetime.fromisoformat(at) for run, at in unsealed(text).items()}
    except (ValueError, TypeError) as error:
        raise LakeError(
            f"{lake.location(folder + _NOTE)} is damaged: it says which tables a wrong clock dated. "
            "Restore it from a copy of the lake"
        ) from error


def count_as(lake: Lake, folder: str, times: Mapping[str, datetime]) -> None:
    """Note that times of some tables count as earlier moments; see `counted_as`. Raises LakeError."""
    known = {**times, **counted_as(lake, folder)}  # what was said first is nearer to the truth
    lake.put_text(folder + _NOTE, sealed({run: at.isoformat() for run, at in known.items()}), replace=True)


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
