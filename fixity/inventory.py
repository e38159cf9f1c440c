"""Inventories: what a bucket holds, listed once and kept as a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from fixity.hashing import utc_now
from fixity.lake import Lake
from fixity.lake.paths import inventory_file, inventory_folder
from fixity.newest import announce
from fixity.stores import Store
from fixity.table_writer import TableWriter
from fixity.tables import INVENTORY, Provenance


@dataclass(frozen=True)
class Inventory:
    """An inventory as kept: its file's name in the lake, its rows, their bytes, when listing began (UTC)."""

    file: str
    objects: int
    size: int
    listed_at: datetime


def take_inventory(
    store: Store,
    lake: Lake,
    bucket: str,
    run_id: str,
    progress: Callable[[int], None] = lambda objects: None,
    now: Callable[[], datetime] = utc_now,
) -> Inventory:
    """List a bucket into `inventory/<bucket>/<run_id>.parquet`.

    Arguments: `progress` is told the number of objects listed so far. Nothing is kept when the
    listing breaks off: half an inventory would make the rest look missing.
    Raises StoreUnreachable, LakeError.
    """
    listed_at = now()
    name = inventory_file(bucket, run_id)
    with lake.workspace() as workspace:
        file = workspace / "inventory.parquet"
        provenance = Provenance(bucket, run_id, run_id, listed_at)
        writer = TableWriter(file, INVENTORY, provenance)
        objects = 0
        try:
            for batch in store.list_objects():
                writer.write(batch)
                objects += batch.num_rows
                progress(objects)
        except BaseException:
            writer.abandon()
            raise
        written = writer.close()
        lake.put(name, file)
        announce(lake, inventory_folder(bucket), provenance)
    return Inventory(name, written.rows, written.size, listed_at)
