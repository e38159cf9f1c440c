"""Buckets: listed and read on S3, on a compatible endpoint, or on a local disk.

Hashing the bytes and keeping results do not belong here.
"""

from __future__ import annotations

import time

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
from fixity.buckets.finder import MOST, START, Finder
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

DEFAULT_CONCURRENCY = START
"""How many requests are sent at once by default, where it is not found how many bring more."""


def open_bucket(catalog: Catalog, bucket: Bucket, share: int = 1) -> BucketReader:
    """Open a bucket of the catalog for listing and reading. `exclude` is not applied.

    Without `max_concurrency`, how many requests at once bring more from a store is found while it is read.
    Arguments: `share`, how many processes read the bucket at the same time; each gets its part of the
    bucket's limits. Raises BucketUnreachable.
    """
    bandwidth = bucket.max_bandwidth and max(1, bucket.max_bandwidth // share)
    at_once = max(1, (bucket.max_concurrency or DEFAULT_CONCURRENCY) // share)
    finds = bucket.path is None and bucket.max_concurrency is None
    concurrency = Finder(at_once, max(1, MOST // share), time.process_time) if finds else at_once
    throttle = Throttle(concurrency, bandwidth, bucket.min_bandwidth)
    if bucket.path is not None:
        return LocalReader(bucket.path, throttle)
    # botocore takes a fifth of a second to import; local directories and `--help` do not need it.
    from fixity.buckets.s3.address import resolve
    from fixity.buckets.s3.reader import S3Reader

    address = resolve(catalog.store_of(bucket), bucket.real_name)
    return S3Reader(
        f"{bucket.name} ({bucket.real_name} at {address.origin.host_header})",
        address,
        throttle,
        prefix=bucket.prefix,
        versions=bucket.versions == "all",
    )
