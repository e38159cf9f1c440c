"""Where a bucket is cut into ranges that are listed at the same time: keys of its last inventory.

Cuts are only hints: any keys give the same inventory. Listing ranges does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol, runtime_checkable

import pyarrow as pa
import pyarrow.parquet as pq

from fixity import compute as pc
from fixity.buckets.base import NOT_UTF8
from fixity.lake import LakeError
from fixity.lake.latest import latest_table
from fixity.lake.paths import inventory_folder
from fixity.ledger.bucket_run import BucketRun
from fixity.tables import Provenance, TableUnreadable

IN_ORDER = "fixity-listed-in-order"
"""The key of an inventory's metadata that is there if the store listed keys in the order of their bytes."""

_PAGE = 1_000
_RANGES = 15
"""Ranges of a bucket that can be listed all at once: the first page is listed alone, before them."""
_MOST_PAGES = 10
"""Pages of a range at most. What is listed before it is its turn waits in memory."""


@runtime_checkable
class ListsInRanges(Protocol):
    """A bucket that can be listed in ranges at the same time."""

    def list_in_ranges(self, cuts: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        """See `S3Reader`."""


class KeyOrder:
    """Whether all keys of a listing came in the order of their bytes."""

    def __init__(self) -> None:
        self.is_kept = True
        self._last: str | None = None

    def look_at(self, batch: pa.RecordBatch) -> None:
        """Look at the next rows."""
        keys = batch.column("key")
        if not self.is_kept or not len(keys):
            return
        first = keys[0].as_py()
        follows = self._last is None or self._last.encode() <= first.encode()
        self.is_kept = follows and pc.all(pc.less_equal(keys[:-1], keys[1:]), min_count=0).as_py()
        self._last = keys[-1].as_py()


def cuts_of_last(run: BucketRun, workspace: Path) -> list[str] | None:
    """Keys of a bucket's last inventory that cut it into even ranges of one to ten pages, in order.

    Empty for a store that lists in another order; None without a readable inventory of this place.
    """
    cuts: list[str] = []
    with suppress(pa.ArrowException, OSError, KeyError, LakeError, TableUnreadable):
        name = latest_table(run.lake, inventory_folder(run.bucket.name))
        if name is None:
            return None
        file = run.lake.fetch(name, workspace)
        if Provenance.read(file).place != run.place:
            return None
        with pq.ParquetFile(file) as table:
            if IN_ORDER.encode() not in (table.metadata.metadata or {}):
                return cuts
            pages = min(_MOST_PAGES, -(-table.metadata.num_rows // (_PAGE * _RANGES)))
            every = max(1, pages * _PAGE - 1)  # its last page has room for the first key of the next range
            wanted = every - 1
            for batch in table.iter_batches(columns=["key"]):
                keys = batch.column("key")
                while wanted < len(keys):
                    key = keys[wanted].as_py()
                    if not key.endswith(NOT_UTF8) and (not cuts or cuts[-1] != key):
                        cuts.append(key)
                    wanted += every
                wanted -= len(keys)
        return cuts
    return None
