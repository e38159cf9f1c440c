"""Inventories: what a bucket holds, listed once and kept as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fixity.buckets import BucketReader, ListedObject
from fixity.catalog.exclude import QUARANTINE, excluded_by
from fixity.clock import utc_now
from fixity.errors import FixityError
from fixity.lake import Lake
from fixity.lake.latest import latest_table, point_to_latest
from fixity.lake.paths import inventory_file, inventory_folder
from fixity.lake.writer import TableWriter
from fixity.ledger.bucket_run import BucketRun
from fixity.ledger.oddities import Oddities
from fixity.tables import INVENTORY, Provenance

EXCLUDED = "fixity-excluded"
"""The key of an inventory's metadata with the number of objects that the catalog left out."""

Wanted = tuple[str, str | None]
"""A key below the bucket's prefix, and a version; None for the current one."""


@dataclass(frozen=True)
class Inventory:
    """An inventory in the lake: its file's name, rows, bytes of all objects, how many objects the
    bucket's `exclude` left out, and when the listing began (UTC). notes: what is odd about the listing, for
    people.
    """

    file: str
    objects: int
    size: int
    excluded: int
    listed_at: datetime
    notes: tuple[str, ...] = ()


def take_inventory(
    store: BucketReader,
    run: BucketRun,
    progress: Callable[[int], None] = lambda objects: None,
    now: Callable[[], datetime] = utc_now,
) -> Inventory:
    """List a bucket into `inventory/<bucket>/<run_id>.parquet`.

    Arguments: `progress` takes the number of objects listed so far. Keys that the bucket's `exclude`
    matches are left out and counted. An object that is listed more than once is one row. If the listing
    fails, nothing is kept: with half an inventory the other objects would look missing.
    Raises BucketUnreachable, LakeError.
    """
    listed_at = now()
    lake, bucket = run.lake, run.bucket.name
    name = inventory_file(bucket, run.run_id)
    with lake.workspace() as workspace:
        file = workspace / "inventory.parquet"
        provenance = Provenance(bucket, run.run_id, run.run_id, listed_at, run.place)
        odd = Oddities()
        writer = TableWriter(file, INVENTORY, provenance, odd.merge)
        objects = excluded = 0
        try:
            for batch in store.list_objects():
                kept = _without(batch, run.bucket.exclude)
                excluded += batch.num_rows - kept.num_rows
                writer.write(kept)
                odd.look_at(kept)
                objects += kept.num_rows
                progress(objects)
        except BaseException:
            writer.abandon()
            raise
        written = writer.close({EXCLUDED: str(excluded)})
        lake.put(name, file)
        point_to_latest(lake, inventory_folder(bucket), provenance)
    return Inventory(name, written.rows, written.size, excluded, listed_at, odd.notes())


def list_selection(store: BucketReader, run: BucketRun, wanted: Iterable[Wanted], file: Path) -> list[Wanted]:
    """Look up the wanted objects in the bucket, and write those that exist as an inventory to `file`.

    Returns those that do not exist (any more). Raises BucketUnreachable.
    """
    found: list[ListedObject] = []
    gone: list[Wanted] = []
    for key, version_id in wanted:
        item = store.find(key, version_id)
        if item is None:
            gone.append((key, version_id))
        else:
            found.append(item)
    write_objects(found, Provenance(run.bucket.name, run.run_id, run.run_id, utc_now(), run.place), file)
    return gone


def write_objects(items: Iterable[ListedObject], provenance: Provenance, file: Path) -> None:
    """Write some objects as an inventory, sorted, each once."""
    found = {(item.key, item.version_id): item for item in items}
    rows = [
        {"checksum_algorithm": None, **{name: getattr(found[place], name) for name in ListedObject.__slots__}}
        for place in sorted(found, key=lambda place: (place[0].encode(), place[1] or ""))
    ]
    pq.write_table(pa.Table.from_pylist(rows, provenance.attach(INVENTORY)), file)


def _without(batch: pa.RecordBatch, exclude: tuple[str, ...]) -> pa.RecordBatch:
    """The rows whose keys are not left out."""
    if not exclude:
        aside = pc.starts_with(batch.column("key"), QUARANTINE)
        return batch.filter(pc.invert(aside)) if pc.any(aside).as_py() else batch
    excluded = excluded_by(exclude)
    kept = [not excluded(key) for key in batch.column("key").to_pylist()]
    return batch.filter(pa.array(kept, pa.bool_()))


class TableMissing(FixityError):
    """A bucket has no such table yet. The message says what to run."""


def newest_inventory(lake: Lake, bucket: str) -> str:
    """The name of a bucket's newest inventory. Raises TableMissing, LakeError."""
    newest = latest_table(lake, inventory_folder(bucket))
    if newest is None:
        raise TableMissing(
            f"there is no inventory of '{bucket}' yet: materialize inventory[{bucket}], or run "
            f"fixity inventory {bucket} first"
        )
    return newest
