"""Stores: how a bucket is reached, listed and read, be it on S3, a compatible endpoint or a local disk."""

from __future__ import annotations

from fixity.buckets.base import (
    CHANGED,
    DELETED,
    BucketReader,
    ListedObject,
    ObjectError,
    ObjectSkipped,
    ObjectUnreadable,
    Sink,
    listed_objects,
)
from fixity.buckets.local import LocalReader
from fixity.buckets.throttle import Throttle
from fixity.catalog import Bucket, Catalog
from fixity.errors import BucketUnreachable

__all__ = [
    "CHANGED",
    "DELETED",
    "BucketReader",
    "BucketUnreachable",
    "ListedObject",
    "LocalReader",
    "ObjectError",
    "ObjectSkipped",
    "ObjectUnreadable",
    "Sink",
    "Throttle",
    "listed_objects",
    "open_bucket",
]

DEFAULT_CONCURRENCY = 16
"""Objects read at once where the catalog says nothing."""


def open_bucket(catalog: Catalog, bucket: Bucket, share: int = 1) -> BucketReader:
    """Open a bucket of the catalog for listing and reading; all that is there, `exclude` or not.

    Arguments: `share`, how many processes read the bucket at the same time: each gets its part of
    the bucket's limits. Raises BucketUnreachable.
    """
    bandwidth = bucket.max_bandwidth and max(1, bucket.max_bandwidth // share)
    throttle = Throttle(max(1, (bucket.max_concurrency or DEFAULT_CONCURRENCY) // share), bandwidth)
    if bucket.path is not None:
        return LocalReader(bucket.path, throttle)
    # botocore takes a fifth of a second to import: not for local directories and `--help`.
    from fixity.buckets.s3.address import resolve
    from fixity.buckets.s3.reader import S3Reader

    address = resolve(catalog.store_of(bucket), bucket.real_name)
    return S3Reader(
        bucket.name,
        address,
        throttle,
        prefix=bucket.prefix,
        versions=bucket.versions == "all",
    )
