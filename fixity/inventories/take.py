"""Takes the newest list of a bucket's provider as the bucket's inventory.

A list is proved before it is believed, and completed by what was asked for. How an inventory is kept does not
belong here; that is in `fixity.ledger.inventory`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.buckets import BucketReader, ListedObject
from fixity.catalog import Bucket
from fixity.clock import utc_now
from fixity.inventories.absent import absent, merged, still_there
from fixity.inventories.doubts import (
    at_edges,
    refuse_a_part,
    refuse_empty,
    refuse_encoded,
    refuse_not_encoded,
    refuse_unlike,
)
from fixity.inventories.folder import ListRefused
from fixity.inventories.s3_inventory import ProvidedList
from fixity.ledger.bucket_run import BucketRun
from fixity.ledger.inventory import (
    TAKEN_FROM,
    Inventory,
    TableMissing,
    fetch_inventory,
    kept_inventory,
    take_inventory,
)
from fixity.ledger.listing import Listing, inventory_in_force

_LIST_MD5 = "fixity-list-md5"
"""The key of an inventory's metadata with the MD5 of the list's manifest, which tells it from one of the same
time."""


@dataclass(frozen=True)
class Asking:
    """How what a list lacks is asked for: the open bucket, so many requests at once, for so many objects at
    most."""

    store: BucketReader
    threads: int
    objects: int


class Provider(Protocol):
    """Who writes lists of a bucket."""

    def describe(self, name: str | None, bucket: Bucket, now: datetime) -> ProvidedList:
        """A list, proved and held against the catalog; by default the newest.

        Raises ListRefused, BucketUnreachable.
        """

    def rows(
        self, provided: ProvidedList, bucket: Bucket, workspace: Path, note: Callable[[str], None]
    ) -> Path:
        """A table in `workspace` with what the list says of the bucket, sorted by key and version.

        Objects may be in it more than once, as the list has them. Arguments: `note` takes what is odd about
        the rows, for people. Raises ListRefused, BucketUnreachable.
        """


def take_list(
    provider: Provider,
    run: BucketRun,
    asking: Asking,
    name: str | None = None,
    progress: Callable[[int], None] = lambda objects: None,
    now: Callable[[], datetime] = utc_now,
) -> Inventory:
    """Keep a provider's list as `inventory/<bucket>/<run_id>.parquet`.

    A list that is the inventory in force already is not kept a second time.
    Arguments: `name`, of the list; by default the newest that is complete. `progress`, as of
    `take_inventory`.
    Raises ListRefused, BucketUnreachable, LakeError; nothing is kept then.
    """
    provided = provider.describe(name, run.bucket, now())
    before = _in_force(run)
    if before is not None and before.provenance.listed_at == provided.listed_at:
        with run.lake.workspace() as workspace:
            said = pq.read_metadata(run.lake.fetch(before.name, workspace)).metadata
            if said.get(_LIST_MD5.encode()) == provided.md5.encode():
                return replace(kept_inventory(run.lake, before.name, workspace), notes=provided.notes)
    of_list = _OfList(provider, run, asking, provided, before, [])
    more = {TAKEN_FROM: provided.url, _LIST_MD5: provided.md5}
    taken = take_inventory(of_list, run, progress, now, more, provided.listed_at)
    if before is not None and before.provenance.listed_at > provided.listed_at:
        of_list.notes.append(
            f"{provided.url} is older than the inventory in force, of "
            f"{before.provenance.listed_at:%Y-%m-%d %H:%M} UTC, which stays in force"
        )
    return replace(taken, notes=(*taken.notes, *provided.notes, *of_list.notes), taken_from=provided.url)


def _in_force(run: BucketRun) -> Listing | None:
    """The bucket's inventory in force, of the same place; None if there is none."""
    try:
        listing = inventory_in_force(run.lake, run.bucket.name)
    except TableMissing:
        return None
    return listing if listing.provenance.place == run.place else None


@dataclass(frozen=True)
class _OfList:
    """A bucket whose objects are those of a list. notes: what is odd about it, for people."""

    provider: Provider
    run: BucketRun
    asking: Asking
    provided: ProvidedList
    before: Listing | None
    notes: list[str]

    def list_objects(self) -> Iterator[pa.RecordBatch]:
        """As of a `BucketReader`."""
        with self.run.lake.workspace() as workspace:
            listed = self.provider.rows(self.provided, self.run.bucket, workspace, self.notes.append)
            store, provided = self.asking.store, self.provided
            if provided.format == "CSV":
                refuse_not_encoded(store, listed, provided.url)
            else:
                refuse_encoded(store, listed, provided.url)
            refuse_empty(store, listed, provided.url)
            refuse_a_part(at_edges(store, listed), listed, provided)
            self.notes.extend(refuse_unlike(store, listed, provided))
            yield from merged(listed, self._lacking(listed, workspace))

    def _lacking(self, listed: Path, workspace: Path) -> list[ListedObject]:
        """What the list lacks of the inventory before, and the bucket has.

        Raises ListRefused if it lacks more than may be asked for: nobody knows whether the rest is gone.
        """
        before, url = self.before, self.provided.url
        if before is None or before.provenance.listed_at > self.provided.listed_at:
            return []
        file = fetch_inventory(self.run.lake, before.name, workspace)
        gone = absent(file, listed, self.asking.objects, workspace)
        found = still_there(self.asking.store, gone.known, self.asking.threads) if gone.known else []
        refuse_a_part(found, listed, self.provided)
        if gone.count > len(gone.known):
            raise ListRefused(
                f"{url} lacks {gone.count:,} objects of the inventory before. The first {len(gone.known):,} "
                f"were asked for, and {len(found):,} of them are in the bucket. Nothing of this list is "
                "used, since `second_look.objects` lets no more be asked for: if so many were deleted, raise "
                "it, or list the bucket without `inventory`"
            )
        if found:
            self.notes.append(
                f"{url} lacks {len(found):,} objects that the bucket has: they were asked for, and are in "
                "the inventory"
            )
        return found
