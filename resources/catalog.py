"""Resources for the catalog of a code location, its buckets and its lake.

Queues, S3 Control and map results do not belong here; each has a module of its own.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from fixity.buckets import DEFAULT_CONCURRENCY, BucketReader, ObjectError, open_bucket
from fixity.catalog import Bucket, Catalog, CatalogError, Pair, load_catalog
from fixity.engines.stream.reported import look_at_reported
from fixity.engines.stream.second_look import Allowance, SecondReader
from fixity.lake import Lake, open_lake
from fixity.ledger.bucket_run import BucketRun
from fixity.ledger.judge import LookAgain
from resources.pool import steps_at_once

if TYPE_CHECKING:
    from fixity.buckets.s3.attributes import Attributes
    from fixity.repair.sides import Side


@lru_cache(maxsize=8)
def _load(file: Path, as_it_is: tuple[int, int, int]) -> Catalog:
    return load_catalog(file)


def catalog_now(file: Path) -> Catalog:
    """The catalog of a file, read again only if the file has changed. Raises CatalogError.

    A run's process is a copy of one that has loaded the definitions, and with them this.
    """
    try:
        is_now = file.stat()
    except OSError:
        return load_catalog(file)
    return _load(file, (is_now.st_mtime_ns, is_now.st_size, is_now.st_ino))


class CatalogResource(dg.ConfigurableResource):
    """The catalog, read again when its file has changed."""

    file: str = Field(description="Path of the catalog, fixity.yaml.")

    @property
    def catalog(self) -> Catalog:
        """The catalog as it is now. Raises CatalogError."""
        return catalog_now(Path(self.file))

    def bucket(self, name: str) -> Bucket:
        """A bucket by its partition key. Raises CatalogError if it was removed from the catalog."""
        if name not in self.catalog.buckets:
            raise CatalogError([f"there is no bucket '{name}' any more: reload the code location"])
        return self.catalog.buckets[name]

    def place_of(self, bucket: str) -> str:
        """Where a bucket is, according to the current catalog."""
        return self.catalog.place_of(self.bucket(bucket))

    def run_over(self, lake: Lake, bucket: str, run_id: str) -> BucketRun:
        """A run over a bucket, where the current catalog says that the bucket is."""
        return BucketRun(lake, self.bucket(bucket), run_id, self.place_of(bucket))

    def pair(self, name: str) -> Pair:
        """A pair by its partition key. Raises CatalogError if it was removed from the catalog."""
        if name not in self.catalog.pairs:
            raise CatalogError([f"there is no pair '{name}' any more: reload the code location"])
        return self.catalog.pairs[name]


class StoresResource(dg.ConfigurableResource):
    """Opens the catalog's buckets for reading."""

    catalog: dg.ResourceDependency[CatalogResource]
    steps: int | None = Field(
        default=1,
        description="How many steps read a bucket at once, at most; by default the limit of their pool.",
    )

    def steps_at_once(self, instance: dg.DagsterInstance) -> int:
        """How many steps read a bucket at once, at most. Raises NoPoolLimit, WrongUsage."""
        return steps_at_once(instance, self.steps)

    @contextmanager
    def open(self, bucket: str, share: int = 1) -> Iterator[BucketReader]:
        """An open bucket for the length of a `with` block.

        Arguments: `share`, how many steps read it at once: each has its part of the bucket's limits.
        Raises BucketUnreachable.
        """
        with closing(open_bucket(self.catalog.catalog, self.catalog.bucket(bucket), share=share)) as store:
            yield store

    @contextmanager
    def side(self, bucket: str) -> "Iterator[Side]":
        """A bucket that is open for a repair, for the length of a `with` block. Raises BucketUnreachable."""
        from fixity.repair.sides import open_side

        entry = self.catalog.bucket(bucket)
        with open_side(self.catalog.catalog, entry, self.threads(bucket), self.etag_is_md5(bucket)) as side:
            yield side

    def store_text(self, bucket: str) -> str:
        """The name of a bucket's store, for people."""
        found = self.catalog.bucket(bucket)
        return "the local disk" if found.is_local else f"the store '{found.store}'"

    def etag_is_md5(self, bucket: str) -> Callable[[str, str | None], bool]:
        """Asks HEAD whether the ETag of an object (key, version) is an MD5; True if it does not say."""

        @cache
        def attributes() -> "Attributes | None":
            # boto3 takes a third of a second to import, and hardly ever is an object asked about.
            from fixity.buckets.s3.attributes import open_attributes

            return open_attributes(self.catalog.catalog, self.catalog.bucket(bucket))

        def ask(key: str, version_id: str | None) -> bool:
            opened = attributes()
            with suppress(ObjectError):
                return opened is None or opened.head(key, version_id).md5 is not None
            return True

        return ask

    def look_again(self, bucket: str, store: BucketReader) -> LookAgain:
        """How objects of an open bucket are read again where S3 or a map found other bytes than expected."""
        limits, plain = self.catalog.catalog.second_look, self.catalog.bucket(bucket).etag_is_md5 is not False
        second = SecondReader(store, self.threads(bucket), plain)
        return partial(look_at_reported, second, Allowance(limits.objects, limits.bytes))

    def threads(self, bucket: str, share: int = 1) -> int:
        """How many objects of a bucket one step asks about at once. How many it reads, the open bucket says.

        Arguments: `share` as for `open`.
        """
        limit = self.catalog.bucket(bucket).max_concurrency or DEFAULT_CONCURRENCY
        return max(1, limit // share)


class LakeResource(dg.ConfigurableResource):
    """Opens the lake."""

    catalog: dg.ResourceDependency[CatalogResource]

    def open(self) -> Lake:
        """The catalog's lake. Where it has a log, what a step keeps is noted. Raises LakeError."""
        catalog = self.catalog.catalog
        lake = open_lake(catalog)
        if catalog.log is not None:
            from resources.kept import keeper_of_step  # with all that the log needs, such as cryptography

            lake.keeper = keeper_of_step(lake, catalog)
        return lake
