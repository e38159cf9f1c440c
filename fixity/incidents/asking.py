"""What the stores say of suspect rows: when a missing object was deleted; whether a multipart ETag is right.

A store that does not answer says nothing. Whether objects are still as they were listed does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fixity.buckets import (
    DEFAULT_CONCURRENCY,
    BucketReader,
    BucketUnreachable,
    ListedObject,
    ObjectError,
    open_bucket,
)
from fixity.catalog import Bucket, Catalog
from fixity.digests.algorithms import Digest, Together
from fixity.digests.etag import MultipartEtag, likely_part_sizes, parts_of
from fixity.incidents.known import SIDES, SideName

if TYPE_CHECKING:
    from fixity.buckets.s3.attributes import Attributes

Row = dict[str, Any]
"""A row of SUSPECTS."""

Digests = dict[SideName, dict[str, str]]
"""Checksums of both sides' bytes, by algorithm."""


def deletions(catalog: Catalog, bucket: Bucket, keys: Iterable[str]) -> dict[str, datetime]:
    """When missing objects were deleted (UTC), those of which the store has a delete marker."""
    asked = sorted(set(keys))
    if not asked:
        return {}
    try:
        attributes = _attributes(catalog, bucket)
        if attributes is None:
            return {}

        def ask(key: str) -> datetime | None:
            try:
                return attributes.deleted_at(key)
            except ObjectError:
                return None

        with ThreadPoolExecutor(_threads(bucket)) as pool:
            answers = dict(zip(asked, pool.map(ask, asked), strict=True))
    except BucketUnreachable:
        return {}
    return {key: at for key, at in answers.items() if at is not None}


def has_parts(row: Row, buckets: Mapping[SideName, Bucket]) -> bool:
    """Whether a side was uploaded in parts, so that its ETag can be computed only by reading it again."""
    return any(_parts(row, name, buckets[name]) for name in SIDES)


def part_digests(
    catalog: Catalog, buckets: Mapping[SideName, Bucket], rows: Iterable[Row]
) -> Iterator[tuple[Row, Digests]]:
    """The multipart ETags that the bytes of both sides would have, as far as `second_look` allows to read.

    Each side is read once, in parts as both were uploaded. An ETag's algorithm says how large the parts are.
    """
    left = catalog.second_look.bytes
    chosen = []
    for row in list(rows)[: catalog.second_look.objects]:
        left -= row["source_size"] + row["replica_size"]
        if left >= 0:
            chosen.append(row)
    if not chosen:
        return
    try:
        with ExitStack() as opened:
            stores = {
                name: opened.enter_context(closing(open_bucket(catalog, buckets[name]))) for name in SIDES
            }
            attributes = {name: _attributes(catalog, buckets[name]) for name in SIDES}
            pool = opened.enter_context(ThreadPoolExecutor(min(map(_threads, buckets.values()))))

            def read(row: Row) -> Digests:
                try:
                    sizes = {
                        size
                        for name in SIDES
                        if _parts(row, name, buckets[name])
                        for size in _part_sizes(attributes[name], _item(row, name))
                    }
                    return {name: _read(stores[name], row, name, sorted(sizes)) for name in SIDES}
                except ObjectError:
                    return {}

            yield from zip(chosen, pool.map(read, chosen), strict=True)
    except BucketUnreachable:
        return


def _read(store: BucketReader, row: Row, name: SideName, sizes: Iterable[int]) -> dict[str, str]:
    """The ETags of a side's bytes in parts of these sizes; none if they are not the bytes of its check."""
    own, parts = Digest(row[f"{name}_algorithm"]), {size: MultipartEtag([size]) for size in sizes}
    store.read(_item(row, name), Together([own, *parts.values()]))
    if own.hexdigest() != row[f"{name}_checksum"]:
        return {}
    return {f"MD5 of parts of {size:,} bytes": each.hexdigest() for size, each in parts.items()}


def _part_sizes(attributes: Attributes | None, item: ListedObject) -> list[int]:
    """The size of the parts as the store says it, else the usual ones."""
    parts = parts_of(item.etag or "") or 1
    try:
        first = attributes.head(item.key, item.version_id, item.etag, part=1).size if attributes else None
    except ObjectError:
        first = None
    return [first] if first and -(-item.size // first) == parts else likely_part_sizes(item.size, parts)


def _parts(row: Row, name: SideName, bucket: Bucket) -> int | None:
    return parts_of(row[f"{name}_etag"] or "") if bucket.etag_is_md5 is not False else None


def _item(row: Row, name: SideName) -> ListedObject:
    listed = ("version_id", "is_latest", "size", "etag", "last_modified", "storage_class")
    return ListedObject(row["key"], *(row[f"{name}_{column}"] for column in listed))


def _attributes(catalog: Catalog, bucket: Bucket) -> Attributes | None:
    # boto3 takes a third of a second to import, and hardly ever is a store asked.
    from fixity.buckets.s3.attributes import open_attributes

    return open_attributes(catalog, bucket, _threads(bucket))


def _threads(bucket: Bucket) -> int:
    return bucket.max_concurrency or DEFAULT_CONCURRENCY
