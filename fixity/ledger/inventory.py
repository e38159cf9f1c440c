"""Inventories: what a bucket holds, listed once and kept as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from fixity import compute as pc
from fixity.buckets import BucketReader, ListedObject
from fixity.catalog.exclude import QUARANTINE, excluded_by
from fixity.clock import reached, utc_now
from fixity.errors import FixityError
from fixity.lake import Lake
from fixity.lake.known_columns import with_known_columns
from fixity.lake.latest import latest_table, point_to_latest
from fixity.lake.paths import inventory_file, inventory_folder
from fixity.lake.writer import TableWriter
from fixity.ledger.bucket_run import BucketRun
from fixity.ledger.clocks import refuse_wrong_clock
from fixity.ledger.cuts import IN_ORDER, KeyOrder, ListsInRanges, cuts_of_last
from fixity.ledger.oddities import Oddities
from fixity.tables import INVENTORY, Provenance, naming_the_unreadable

EXCLUDED = "fixity-excluded"
"""The key of an inventory's metadata with the number of objects that the catalog left out."""

TAKEN_FROM = "fixity-taken-from"
"""The key of an inventory's metadata with the provider's list that it was taken from."""

Wanted = tuple[str, str | None]
"""A key below the bucket's prefix, and a version; None for the current one."""


@dataclass(frozen=True)
class Inventory:
    """An inventory in the lake: its file's name, rows, bytes of all objects, how many objects the
    bucket's `exclude` left out, and when the listing began (UTC). notes: what is odd about the listing, for
    people. taken_from: the provider's list, if the bucket was not listed.
    """

    file: str
    objects: int
    size: int
    excluded: int
    listed_at: datetime
    notes: tuple[str, ...] = ()
    taken_from: str | None = None


class Objects(Protocol):
    """A bucket, or a list of it."""

    def list_objects(self) -> Iterator[pa.RecordBatch]:
        """All objects as batches of the inventory's schema."""


def take_inventory(
    store: Objects,
    run: BucketRun,
    progress: Callable[[int], None] = lambda objects: None,
    now: Callable[[], datetime] = utc_now,
    more: Mapping[str, str] = MappingProxyType({}),
    listed_at: datetime | None = None,
) -> Inventory:
    """List a bucket into `inventory/<bucket>/<run_id>.parquet`.

    Arguments: `progress` takes the number of objects listed so far; `more`, of the table's metadata;
    `listed_at`, when a list was made that others wrote (UTC). Keys that the bucket's `exclude` matches are
    left out and counted. An object that is listed more than once is one row. If the listing fails, nothing is
    kept: with half an inventory the others would look missing.
    Raises BucketUnreachable, ClockWrong, LakeError.
    """
    lake, bucket, began = run.lake, run.bucket.name, now()
    listed_at = listed_at or began
    refuse_wrong_clock(lake, bucket, began)
    name = inventory_file(bucket, run.run_id)
    with lake.workspace() as workspace:
        file = workspace / "inventory.parquet"
        provenance = Provenance(bucket, run.run_id, run.run_id, listed_at, run.place)
        odd, order = Oddities(), KeyOrder()
        writer = TableWriter(file, INVENTORY, provenance, odd.merge)
        objects = excluded = 0
        try:
            for batch in _listed(store, cuts_of_last(run, workspace)):
                order.look_at(batch)
                kept = _without(batch, run.bucket.exclude)
                excluded += batch.num_rows - kept.num_rows
                writer.write(kept)
                odd.look_at(kept)
                objects += kept.num_rows
                progress(objects)
        except BaseException:
            writer.abandon()
            raise
        in_order = {IN_ORDER: "yes"} if order.is_kept and TAKEN_FROM not in more else {}
        written = writer.close({EXCLUDED: str(excluded), **in_order, **more})
        refuse_wrong_clock(lake, bucket, now())
        lake.put(name, file)
        dated = min(listed_at, now())  # the time of a list that others wrote is of another clock
        point_to_latest(lake, inventory_folder(bucket), provenance, newest=dated, now=lambda: reached(now()))
    return Inventory(name, written.rows, written.size, excluded, listed_at, odd.notes())


def _listed(store: Objects, cuts: list[str] | None) -> Iterator[pa.RecordBatch]:
    return store.list_in_ranges(cuts) if isinstance(store, ListsInRanges) else store.list_objects()


def kept_inventory(lake: Lake, name: str, workspace: Path) -> Inventory:
    """An inventory that is in the lake. Arguments: its file's `name`. Raises TableUnreadable, LakeError."""
    file = lake.fetch(name, workspace)
    provenance = Provenance.read(file)
    with pq.ParquetFile(file) as table:
        said = table.metadata.metadata
        size = sum(pc.sum(batch["size"]).as_py() for batch in table.iter_batches(columns=["size"]))
        rows, taken_from = table.metadata.num_rows, said.get(TAKEN_FROM.encode())
        excluded = int(said.get(EXCLUDED.encode(), b"0"))
    return Inventory(
        name, rows, size, excluded, provenance.listed_at, (), taken_from.decode() if taken_from else None
    )


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
    write_rows(objects_table(items), provenance, file)


def write_rows(rows: pa.Table, provenance: Provenance, file: Path) -> None:
    """Write rows of an inventory that are sorted, and each once."""
    pq.write_table(rows.replace_schema_metadata(provenance.attach(INVENTORY).metadata), file)


def objects_table(items: Iterable[ListedObject]) -> pa.Table:
    """Some objects as the rows of an inventory, sorted, each once."""
    found = {(item.key, item.version_id): item for item in items}
    objects = [found[place] for place in sorted(found, key=lambda place: (place[0].encode(), place[1] or ""))]
    columns = {name: [getattr(each, name) for each in objects] for name in ListedObject.__slots__}
    columns["checksum_algorithm"] = [None] * len(objects)
    return pa.table(columns, INVENTORY)


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


def fetch_inventory(lake: Lake, name: str, workspace: Path) -> Path:
    """A local path of an inventory, without columns that another program added.

    Raises FileNotFoundError, TableUnreadable, LakeError.
    """
    file = lake.fetch(name, workspace)
    with naming_the_unreadable(file), pq.ParquetFile(file) as table:
        return with_known_columns(table, INVENTORY, workspace / "known-columns" / name) or file


def newest_inventory(lake: Lake, bucket: str) -> str:
    """The name of a bucket's newest inventory. Raises TableMissing, LakeError."""
    newest = latest_table(lake, inventory_folder(bucket))
    if newest is None:
        raise TableMissing(
            f"there is no inventory of '{bucket}' yet: materialize inventory[{bucket}], or run "
            f"fixity inventory {bucket} first"
        )
    return newest
