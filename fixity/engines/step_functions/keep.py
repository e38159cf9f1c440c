"""Keeps the results of a map run: writes the results object, and adds the checks to the ledger.

Reading result files (`gather`) and comparing with the listing (`keep_checks`) do not belong here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import partial

from fixity.buckets import BucketReader
from fixity.catalog import Bucket, Catalog, MapResults
from fixity.engines.step_functions.checks import MapChecksWriter
from fixity.engines.step_functions.errors import ResultsRefused
from fixity.engines.step_functions.gather import Gathered, gather
from fixity.engines.step_functions.keep_checks import KeptChecks, MapManifest, keep_checks
from fixity.engines.step_functions.map_run import MANIFEST, MapRun
from fixity.engines.step_functions.results_bucket import ResultsBucket, StoredObject
from fixity.lake import Lake
from fixity.lake.paths import scratch_folder
from fixity.ledger.bucket_run import BucketRun
from fixity.ledger.inventory import Inventory
from fixity.ledger.judge import LookAgain


@dataclass(frozen=True)
class Ledgers:
    """The ledgers of the catalog's buckets, for one run.

    open_bucket: opens a bucket of the catalog, to list it. look_again: how objects of an open bucket that
    differ are read again.
    """

    lake: Lake
    catalog: Catalog
    open_bucket: Callable[[str], AbstractContextManager[BucketReader]]
    run_id: str
    look_again: Callable[[str, BucketReader], LookAgain]

    def run_of(self, bucket: str) -> BucketRun:
        """The run over one bucket."""
        entry = self.catalog.buckets[bucket]
        return BucketRun(self.lake, entry, self.run_id, self.catalog.place_of(entry))

    def in_store(self, store: str) -> list[Bucket]:
        """The buckets of a store that is not a local directory."""
        return [each for each in self.catalog.buckets.values() if not each.is_local and each.store == store]


@dataclass(frozen=True)
class Kept:
    """The results object and the checks of a map run. left_out: counts of results that are not checks of our
    buckets, by reason."""

    gathered: Gathered
    checks: list[KeptChecks]
    left_out: Counter[str]


def runs_among(settings: MapResults, heads: Iterable[StoredObject]) -> Iterator[tuple[MapRun, StoredObject]]:
    """The map runs whose manifests are among listed objects. Other `manifest.json` files are ignored."""
    for head in heads:
        if head.key.endswith(MANIFEST):
            with suppress(ResultsRefused):
                yield MapRun.of(settings.bucket, head.key, settings.prefix, settings.results_key), head


def find_run(bucket: ResultsBucket, settings: MapResults, name: str) -> MapRun:
    """The map run of a partition, `<consignment id>/<random id>`; the newest if it was repeated.

    Raises ResultsRefused if there is no manifest, or if several maps wrote there, because their results
    would overwrite each other; BucketUnreachable.
    """
    folder = f"{settings.prefix}{name}/"
    found = [
        (head.last_modified, run) for page in bucket.list(folder) for run, head in runs_among(settings, page)
    ]
    if not found:
        raise ResultsRefused(f"there is no manifest below {bucket.url(folder)}")
    writers = sorted({run.writer_prefix for _, run in found})
    if len(writers) > 1:
        raise ResultsRefused(
            f"several maps wrote below {bucket.url(folder)}: {', '.join(writers[:5])}; "
            "they share one results key: give each map a random id of its own"
        )
    return max(found, key=lambda each: (each[0], each[1].manifest))[1]


def keep_run(
    bucket: ResultsBucket,
    run: MapRun,
    settings: MapResults,
    ledgers: Ledgers,
    kept: Callable[[str, Inventory | KeptChecks], object] = lambda bucket, table: None,
) -> Kept:
    """Gather a map run's results and, if the catalog has `ledger`, keep their checks in the ledger.

    Arguments: `kept` is called with each table as soon as it is kept, even if a later bucket fails.
    Raises ResultsRefused (nothing was written), BucketUnreachable, LakeError.
    """
    results_key = run.results_key(settings.results_key)
    if settings.ledger is None:
        return Kept(gather(bucket, run, results_key, settings.on_failed), [], Counter())
    with ledgers.lake.workspace() as workspace:
        writer = MapChecksWriter(
            settings.ledger, ledgers.in_store(settings.store), workspace / "map_checks.parquet"
        )
        try:
            gathered = gather(bucket, run, results_key, settings.on_failed, writer.take)
        except BaseException:
            writer.abandon()
            raise
        found = writer.close()
        manifest = MapManifest(run.url, gathered.manifest.last_modified)
        checks = []
        for name in found.buckets:
            with ledgers.open_bucket(name) as store:
                look_again = ledgers.look_again(name, store)
                checks.append(
                    keep_checks(ledgers.run_of(name), store, found, manifest, partial(kept, name), look_again)
                )
            kept(name, checks[-1])
    ledgers.lake.remove(scratch_folder(ledgers.run_id))
    return Kept(gathered, checks, found.left_out)
