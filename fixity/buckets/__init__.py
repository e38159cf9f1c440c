"""Stores: how a bucket is reached, listed and read, be it on S3, a compatible endpoint or a local disk."""

from __future__ import annotations

from fixity.buckets.base import (
    CHANGED,
    DELETED,
    FindingStore,
    ListedObject,
    ObjectError,
    ObjectSkipped,
    ObjectUnreadable,
    Sink,
    Store,
    StoreUnreachable,
    listed_objects,
)
from fixity.buckets.local import LocalStore
from fixity.buckets.throttle import Pace
from fixity.catalog import Bucket, Catalog

__all__ = [
    "CHANGED",
    "DELETED",
    "FindingStore",
    "ListedObject",
    "LocalStore",
    "ObjectError",
    "ObjectSkipped",
    "ObjectUnreadable",
    "Pace",
    "Sink",
    "Store",
    "StoreUnreachable",
    "listed_objects",
    "open_store",
]

DEFAULT_CONCURRENCY = 16
"""Objects read at once where the catalog says nothing."""


def open_store(catalog: Catalog, bucket: Bucket, share: int = 1) -> FindingStore:
    """Open a bucket of the catalog for listing and reading; all that is there, `exclude` or not.

    Arguments: `share`, how many processes read the bucket at the same time: each gets its part of
    the bucket's limits. Raises StoreUnreachable.
    """
    bandwidth = bucket.max_bandwidth and max(1, bucket.max_bandwidth // share)
    pace = Pace(max(1, (bucket.max_concurrency or DEFAULT_CONCURRENCY) // share), bandwidth)
    if bucket.path is not None:
        return LocalStore(bucket.path, pace)
    # botocore takes a fifth of a second to import: not for local directories and `--help`.
    from fixity.buckets.s3.address import resolve
    from fixity.buckets.s3.reader import S3Store

    address = resolve(catalog.store_of(bucket), bucket.real_name)
    return S3Store(
        bucket.name,
        address,
        pace,
        prefix=bucket.prefix,
        versions=bucket.versions == "all",
    )
