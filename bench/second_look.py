"""What the second look at a pair costs: nothing where both sides are the same, else one read more a side.

Both sides read one real bucket. To make a pair that differs, one of them gives another byte at the end.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa

from bench import ours
from bench.data import Collection, Collections, serving
from bench.measure import Row, beside
from devstack.seaweedfs import REGION
from fixity.buckets import BucketReader, ListedObject, Sink, open_bucket
from fixity.catalog import Catalog, load_catalog
from fixity.incidents.second_look import SecondLook
from fixity.lake import Lake, LocalLake
from fixity.lake.paths import scratch_folder
from fixity.ledger import known_so_far
from fixity.ledger.fold import Settings
from fixity.reports.pair import Compared, PairReport, make_report

_SETTINGS = Settings(timedelta(days=365), "SHA256")  # of the catalog's buckets, else the look folds again
_THREADS = 16
_REPORTS = 8  # a round: each takes a tenth of a second, and a hundredth of that is to be told


def rows(collections: Collections, rounds: int, scratch: Path) -> list[Row]:
    """CPU of the report of a clean pair; wall time of the second look at a pair of which half the objects
    differ, and of its whole report.

    The wall times of two reports of a clean pair differ by more than what is to be told.
    """
    small = collections.small
    with serving(scratch, small) as endpoint, patch.dict(os.environ, endpoint.environment):
        catalog = _catalog(scratch, endpoint.url, small)
        clean, different = _Pair(catalog, small.objects), _Pair(catalog, small.objects // 2, b"!")
        lake = LocalLake(scratch / "clean")
        clean.hash(lake)
        clean.fold(lake)
        with_look, without = list[float](), list[float]()
        for number in range(rounds * _REPORTS):
            for times, look in [(with_look, True), (without, False)][:: 1 if number % 2 else -1]:
                times.append(_timed(partial(clean.report, lake, look), time.process_time))
        reports, looks, hashings = list[float](), list[float](), list[float]()
        for number in range(rounds):
            lake = LocalLake(scratch / f"different-{number}")
            hashings.append(_timed(partial(different.hash, lake)))
            different.fold(lake)
            different.looked = 0.0
            reports.append(_timed(partial(different.report, lake, True)))
            looks.append(different.looked)
    return [
        beside(
            f"report of a clean pair of {small.objects:,} objects, CPU",
            "s",
            with_look,
            without,
            1.01,
            "without a second look",
        ),
        beside(
            f"second look at {small.objects // 2:,} objects of 64 KiB that differ",
            "s",
            looks,
            hashings,
            1.3,
            "hashing them once a side",
        ),
        beside(
            f"report of a pair of which {small.objects // 2:,} objects of 64 KiB differ, looked at again",
            "s",
            reports,
            hashings,
            1.3,
            "hashing them once a side",
        ),
    ]


def _catalog(scratch: Path, url: str, small: Collection) -> Catalog:
    store = f"{{endpoint_url: '{url}', region: {REGION}}}"
    file = scratch / "fixity.yaml"
    file.write_text(
        f"lake: {scratch / 'lake'}\nstores:\n  one: {store}\n  other: {store}\n"
        f"buckets:\n  a: {{store: one, bucket: {small.bucket}, fixity_every: 365d}}\n"
        "  b: {store: other, bucket: no-bucket, fixity_every: 365d}\n"
        "pairs:\n  a: {replica: b, replication_lag: 0s}\n",
        encoding="utf-8",
    )
    return load_catalog(file)


class _Some:
    """The first objects of a bucket, with more bytes at their end."""

    def __init__(self, store: BucketReader, objects: int, more: bytes) -> None:
        self._store, self._objects, self._more = store, objects, more
        self.at_once, self.find, self.close = store.at_once, store.find, store.close
        self.waits_in_turns = store.waits_in_turns

    def list_objects(self) -> Iterator[pa.RecordBatch]:
        left = self._objects
        for batch in self._store.list_objects():
            yield batch.slice(0, left)
            left -= min(left, batch.num_rows)
            if not left:
                return

    def read(self, item: ListedObject, sink: Sink) -> None:
        self._store.read(item, sink)
        sink.update(memoryview(self._more))

    def read_afresh(self, item: ListedObject, sink: Sink) -> None:
        self._store.read_afresh(item, sink)
        sink.update(memoryview(self._more))


class _Look(SecondLook):
    """A second look that says how long it took, without what the report does with it."""

    seconds = 0.0
    _began: float | None = None

    @contextmanager
    def _counted(self) -> Iterator[None]:
        if self._began is not None:  # `look_again` calls `complete`
            yield
            return
        self._began = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - self._began
        self._began = None

    def look_again(self, compared: Compared) -> bool:
        with self._counted():
            return super().look_again(compared)

    def complete(self) -> None:
        with self._counted():
            super().complete()


class _Pair:
    """A pair of so many objects, of which the replica has `more` bytes; as the catalog's stores.

    looked: the seconds that the second looks of its reports took.
    """

    def __init__(self, catalog: Catalog, objects: int, more: bytes = b"") -> None:
        self._catalog, self._objects, self._more = catalog, objects, more
        self.looked = 0.0

    @contextmanager
    def open(self, bucket: str) -> Iterator[BucketReader]:
        store = open_bucket(self._catalog, self._catalog.buckets["a"])
        yield _Some(store, self._objects, self._more if bucket == "b" else b"")
        store.close()

    def threads(self, bucket: str) -> int:
        return _THREADS

    def etag_is_md5(self, bucket: str) -> Callable[[str, str | None], bool]:
        return lambda key, version_id: True

    def hash(self, lake: Lake) -> None:
        """Hash both sides once."""
        for bucket in "ab":
            with self.open(bucket) as store:
                ours.verify(store, lake, bucket, "SHA256", _THREADS)
            lake.remove(scratch_folder(ours.RUN_ID))  # else the other bucket would take the parts of this one

    def fold(self, lake: Lake) -> None:
        """Fold both ledgers, as the runs do that check buckets with a term."""
        for bucket in "ab":
            known_so_far(lake, bucket, _SETTINGS, "fold")

    def report(self, lake: Lake, look: bool) -> PairReport:
        """Report the pair. Arguments: `look`, whether suspects are looked at again."""
        pair = self._catalog.pairs["a"]
        examine = _Look(lake, self._catalog, pair, self, "look") if look else None
        report = make_report(lake, pair, _SETTINGS, "run", examine)
        self.looked += examine.seconds if examine else 0.0
        assert report.outcome.counts.mismatches == (self._objects if self._more else 0)
        assert all(report.findings["looked"].to_pylist())
        return report


def _timed(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    began = clock()
    work()
    return clock() - began
