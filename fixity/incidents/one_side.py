"""The second look at the objects of one bucket of a pair.

An object is asked for, by a listing of its key and by HEAD, or read again, whole. Which rows of a report are
looked at, and what both sides together say, does not belong here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, NamedTuple, Protocol

import pyarrow as pa

from fixity import compute as pc
from fixity.buckets import CHANGED, DELETED, BucketReader, BucketUnreachable, ListedObject, listed_objects
from fixity.buckets.base import ObjectSkipped, ObjectUnreadable
from fixity.catalog import Bucket, Catalog
from fixity.clock import utc_now
from fixity.engines.stream.engine import Check
from fixity.engines.stream.parts import PartOfShard
from fixity.engines.stream.second_look import SecondReader
from fixity.incidents.limits import SideLimits
from fixity.lake import Lake
from fixity.ledger.expected import expected_of_some
from fixity.ledger.fold_some import Known, known_of_some
from fixity.ledger.inventory import objects_table, write_rows
from fixity.ledger.selection import is_excluded
from fixity.tables import CHECKSUMS, INVENTORY, SKIPPED, Provenance

if TYPE_CHECKING:
    from fixity.buckets.s3.attributes import Attributes

_GONE = {DELETED: "deleted", CHANGED: "overwritten"}

Row = tuple[str, str | None]
"""A row of a pair's report: its key and version."""


class Stores(Protocol):
    """Opens the buckets of a catalog, by name."""

    def open(self, bucket: str) -> AbstractContextManager[BucketReader]:
        """An open bucket for the length of a `with` block. Raises BucketUnreachable."""

    def threads(self, bucket: str) -> int:
        """How many of its objects are asked for at once. How many are read, the open bucket says."""

    def etag_is_md5(self, bucket: str) -> Callable[[str, str | None], bool]:
        """Asks whether the ETag of an object (key, version) is an MD5."""


class Stopped(Exception):
    """Nobody needs the checks any more."""


class Asked(NamedTuple):
    """An object to ask for, of a row that was chosen, by its number.

    named: its key and version in the report. listed: as this side lists it; None where the side has none.
    """

    row: int
    named: Row
    listed: ListedObject | None


class Work(NamedTuple):
    """What to look at on one side. asks: the objects to ask for. read: those to read, as from `to_read`."""

    asks: list[Asked]
    read: pa.Table


_ROW = "row"


def to_read(listed: pa.Table, rows: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Objects to read: rows of an inventory, and which of the chosen rows each is.

    Arguments: `listed`, with the columns of a ListedObject; `rows`, the numbers of the chosen rows.
    """
    columns = {name: listed[name] for name in ListedObject.__slots__}
    columns["checksum_algorithm"] = pa.nulls(listed.num_rows, pa.string())
    table = pa.table([columns[name] for name in INVENTORY.names], INVENTORY.names).cast(INVENTORY)
    return table.append_column(_ROW, rows)


@dataclass
class Seen:
    """What was seen. table: new rows of the ledger (CHECKSUMS). rows: which of the chosen rows each is, by
    number. left: why rows, by number, were not looked at. known: what the ledger had of the objects."""

    table: pa.Table = field(default_factory=CHECKSUMS.empty_table)
    rows: pa.Array = field(default_factory=lambda: pa.array([], pa.int64()))
    left: dict[int, str] = field(default_factory=dict)
    known: Known | None = None


@dataclass(frozen=True)
class OneSide:
    """A bucket of a pair, with all that is needed to look at its objects.

    by_version: whether the pair compares versions, not keys. listed: where and when the bucket was listed.
    run_id: of the new checks. stop: set when nobody needs them any more.
    """

    lake: Lake
    catalog: Catalog
    stores: Stores
    bucket: Bucket
    by_version: bool
    listed: Provenance
    run_id: str
    stop: Event

    def look(self, work: Work, limits: SideLimits) -> Seen:
        """Look at objects. Arguments: `limits`, of objects that were not listed, and of further reads.

        A bucket that cannot be reached is no error: its rows are left. Raises LakeError.
        """
        rows = work.read[_ROW].to_pylist()
        why = self._why_not()
        if why is not None:
            return Seen(left=dict.fromkeys([*rows, *(ask.row for ask in work.asks)], why))
        seen = Seen()
        objects: dict[int, ListedObject] = {}
        answered = 0
        try:
            with self.stores.open(self.bucket.name) as store:
                gone: dict[int, str] = {}
                for ask, answer in zip(work.asks, self._ask(store, work.asks), strict=True):
                    answered += 1
                    if isinstance(answer, ObjectUnreadable):
                        seen.left[ask.row] = str(answer)
                    elif ask.listed is not None:
                        if answer is None or not _is_same(answer, ask.listed):
                            objects[ask.row] = ask.listed
                            gone[ask.row] = DELETED if answer is None else CHANGED
                    elif answer is not None and (refusal := limits.refusal(answer)):
                        seen.left[ask.row] = f"it is there, but {refusal}"
                    elif answer is not None:
                        objects[ask.row] = answer
                self._read(store, _with_asked(work.read, objects), gone, limits, seen)
        except BucketUnreachable as error:
            settled = {*seen.rows.to_pylist(), *seen.left}
            unsettled = [*rows, *objects, *(ask.row for ask in work.asks[answered:])]
            seen.left |= {row: str(error) for row in unsettled if row not in settled}
        return seen

    def _why_not(self) -> str | None:
        """Why the bucket is not to be looked at; None if it is."""
        place, path = self.catalog.place_of(self.bucket), self.bucket.path
        if self.listed.place not in (None, place):
            return f"{self.bucket.name} was listed at {self.listed.place}, but the catalog now says {place}"
        if path is not None and not (path.is_dir() and any(path.iterdir())):
            # Without its disk, all its files would be deleted ones.
            return f"{path} is empty or not there: mount its disk"
        return None

    def _ask(
        self, store: BucketReader, asks: list[Asked]
    ) -> Iterator[ListedObject | ObjectUnreadable | None]:
        """Ask for objects, several at once; the answers in their order, None for what is not there."""
        if not asks:
            return
        threads = self.stores.threads(self.bucket.name)
        # boto3 takes a third of a second to import, and hardly ever is an object asked for.
        from fixity.buckets.s3.attributes import open_attributes

        attributes = open_attributes(self.catalog, self.bucket, threads)
        with ThreadPoolExecutor(threads) as pool:
            yield from pool.map(lambda ask: self._find(store, attributes, ask.named), asks)

    def _find(
        self, store: BucketReader, attributes: Attributes | None, row: Row
    ) -> ListedObject | ObjectUnreadable | None:
        self._go_on()
        key, version_id = row
        if is_excluded(self.bucket, key):
            return None
        wanted = _version_named(version_id) if self.by_version else None
        found = store.find(key, version_id if self.by_version else None)
        if found is not None and (not self.by_version or _version_named(found.version_id) == wanted):
            return found
        if attributes is None:
            return None
        try:  # a listing may lose an object that is there
            head = attributes.head(key, wanted)
        except ObjectSkipped:
            return None
        except ObjectUnreadable as error:
            return error
        if head.size is None:
            return ObjectUnreadable("SizeUnknown", "it is there, but the store does not say its size")
        storage_class = head.storage_class or "STANDARD"
        return ListedObject(key, wanted, True, head.size, head.etag, head.last_modified, storage_class)

    def _read(
        self, store: BucketReader, wanted: pa.Table, gone: dict[int, str], limits: SideLimits, seen: Seen
    ) -> None:
        """Read objects, and note those that are `gone` (with an error code) as skipped checks.

        Arguments: `wanted`, as from `to_read`, sorted.
        """
        if not wanted.num_rows:
            return
        rows = wanted[_ROW].combine_chunks()
        part, seen.known = self._part_of(wanted.drop_columns([_ROW]))
        for position, row in enumerate(rows.to_pylist()) if gone else ():
            if row in gone:
                text = f"the object was {_GONE[gone[row]]} since it was listed"
                part.add(position, Check(position, SKIPPED, None, gone[row], text, 0, utc_now()))
        try:
            seen.table, seen.rows = self._check(store, part, limits), rows
        except BucketUnreachable:  # what was done until then counts
            done = [position for position, check in enumerate(part.checks) if check is not None]
            whole = PartOfShard(part.rows.take(pa.array(done, pa.int64())))
            whole.checks = [part.checks[position] for position in done]
            seen.table, seen.rows = self._table(whole), rows.take(pa.array(done, pa.int64()))
            raise

    def _part_of(self, objects: pa.Table) -> tuple[PartOfShard, Known]:
        """Objects with what the ledger expects of them, sorted; and all that it has of them."""
        with self.lake.workspace() as workspace:
            file = workspace / "suspects.parquet"
            write_rows(objects, self.listed, file)
            known = known_of_some(self.lake, self.bucket, file, workspace)
            return PartOfShard(expected_of_some(file, known.rows, workspace)), known

    def _check(self, store: BucketReader, part: PartOfShard, limits: SideLimits) -> pa.Table:
        """Read the objects of a part that have no check yet; those that differ once more.

        Returns the checks of the part as rows of the ledger. Raises BucketUnreachable.
        """
        algorithm = self.bucket.algorithm

        def at_once() -> int:  # asked again and again while objects are read
            self._go_on()
            return store.at_once()

        second = SecondReader(store, at_once, self.bucket.etag_is_md5 is not False)
        items = [each for each in enumerate(listed_objects(part.rows)) if part.checks[each[0]] is None]
        others = dict(enumerate(map(set, part.others(algorithm))))
        for check in second.read_again(items, algorithm, others):
            part.add(check.position, check)
        table = self._table(part)
        suspects = part.take_out_suspects(table)
        if not suspects:
            return table
        for check in second.look_again(suspects, algorithm, limits):
            part.add(check.position, check)
        return self._table(part)

    def _go_on(self) -> None:
        """Raises Stopped if nobody needs the checks any more."""
        if self.stop.is_set():
            raise Stopped

    def _table(self, part: PartOfShard) -> pa.Table:
        """The checks of a part as rows of the ledger, judged."""
        return part.table(self.bucket.algorithm, self.run_id, self.stores.etag_is_md5(self.bucket.name))


def _with_asked(wanted: pa.Table, objects: dict[int, ListedObject]) -> pa.Table:
    """Objects to read, with those that were asked for, sorted. Arguments: `wanted`, as from `to_read`."""
    if objects:
        asked = objects_table(objects.values())
        rows = {(item.key, item.version_id): row for row, item in objects.items()}
        places = zip(asked["key"].to_pylist(), asked["version_id"].to_pylist(), strict=True)
        wanted = pa.concat_tables(
            [wanted, to_read(asked, pa.array(map(rows.__getitem__, places), pa.int64()))]
        )
    by = [(name, "ascending", "at_start") for name in ("key", "version_id")]
    return wanted.take(pc.sort_indices(wanted, by)).combine_chunks()


def _version_named(version_id: str | None) -> str | None:
    """A version's name on both sides of a pair: objects from before versioning have none."""
    return None if version_id in (None, "", "null") else version_id


def _is_same(found: ListedObject, listed: ListedObject) -> bool:
    """Whether an object is as it was listed. HEAD gives times in whole seconds."""
    times = [each.last_modified and each.last_modified.replace(microsecond=0) for each in (found, listed)]
    return (found.etag, found.size, times[0]) == (listed.etag, listed.size, times[1])
