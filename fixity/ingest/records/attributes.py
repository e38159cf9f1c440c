"""Records of the object itself: its tags, its metadata, S3's stored checksum, its ETag."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from fixity.buckets import ListedObject, ObjectSkipped, ObjectUnreadable
from fixity.buckets.s3.attributes import Attributes, Head
from fixity.catalog import Algorithm
from fixity.ingest.records.record import Record, Source, record_of

_NAMED: tuple[Algorithm, ...] = ("MD5", "SHA1", "SHA256", "SHA512", "CRC32", "CRC32C", "CRC64NVME")
OF_OBJECTS: tuple[Source, ...] = ("object-tagging", "object-metadata", "s3-checksum", "object-etag")
"""The kinds of records that an object has itself."""
TAG = "computed-"
"""The beginning of tags with a checksum, such as `computed-md5`."""


def attribute_records(
    attributes: Attributes,
    item: ListedObject,
    wanted: Collection[Source] = OF_OBJECTS,
    ask_tags: bool = True,
    ask_head: bool = True,
) -> list[Record]:
    """The records in an object's tags, metadata, stored checksum and ETag.

    Arguments: `wanted` kinds of records; `ask_tags`, False to ask for tags only where HEAD counts some;
    `ask_head`, False to take the ETag from the listing.
    If a request fails, the result is a record with a problem: there may be a record that could not be read.
    Raises ObjectSkipped (changed or gone since it was listed), BucketUnreachable.
    """
    records: list[Record] = []
    if not ask_head:
        records += from_listing(attributes, item)
    elif {*wanted} != {"object-tagging"}:
        try:
            head = attributes.head(item.key, item.version_id, item.etag)
            records += (record for record in from_head(item, head) if record.source in wanted)
            ask_tags |= head.tags > 0
        except ObjectUnreadable as error:
            records.append(_problem(item, "object-metadata", "HEAD", error))
            records += (record for record in from_listing(attributes, item) if record.source in wanted)
            ask_tags = True
    if "object-tagging" not in wanted or not ask_tags:
        return records
    try:
        records += from_tags(item, attributes.tags(item.key, item.version_id))
    except ObjectUnreadable as error:
        records.append(_problem(item, "object-tagging", "tags", error))
    return records


def has_tag_records(attributes: Attributes, item: ListedObject) -> bool:
    """Whether an object has records in its tags, or may have: they could not be read.

    Raises BucketUnreachable.
    """
    try:
        return any(from_tags(item, attributes.tags(item.key, item.version_id)))
    except ObjectSkipped:
        return False
    except ObjectUnreadable:
        return True


def head_says_more(attributes: Attributes, item: ListedObject, stored: bool) -> bool:
    """Whether HEAD tells more records of an object than its listing, or may do so: it failed.

    Arguments: `stored`, whether the listing says that S3 stores a checksum. Raises BucketUnreachable.
    """
    try:
        head = attributes.head(item.key, item.version_id, item.etag)
    except ObjectSkipped:
        return False
    except ObjectUnreadable:
        return True
    found = [record for record in from_head(item, head) if not (stored and record.source == "s3-checksum")]
    return head.tags > 0 or found != from_listing(attributes, item)


def from_listing(attributes: Attributes, item: ListedObject) -> list[Record]:
    """The ETag, where it has the form of an MD5."""
    md5 = attributes.md5_in(item.etag)
    return [Record(item.key, item.version_id, "MD5", md5, "object-etag", "ETag")] if md5 else []


def from_tags(item: ListedObject, tags: dict[str, str]) -> Iterator[Record]:
    """The tags `computed-<algorithm>`."""
    for algorithm in _NAMED:
        name = f"{TAG}{algorithm.lower()}"
        if name in tags:
            yield record_of(item.key, item.version_id, algorithm, tags[name], "object-tagging", f"tag {name}")


def from_head(item: ListedObject, head: Head) -> Iterator[Record]:
    """The user's metadata `<algorithm>`, S3's stored checksums, and the ETag where it is an MD5."""
    for algorithm in _NAMED:
        name = algorithm.lower()
        if name in head.metadata:
            yield record_of(
                item.key,
                item.version_id,
                algorithm,
                head.metadata[name],
                "object-metadata",
                f"x-amz-meta-{name}",
            )
    for algorithm, value in head.checksums.items():
        where = f"x-amz-checksum-{algorithm.lower()}"
        yield record_of(item.key, item.version_id, algorithm, value, "s3-checksum", where)
    if head.md5:
        yield Record(item.key, item.version_id, "MD5", head.md5, "object-etag", "ETag")


def _problem(item: ListedObject, source: Source, where: str, error: ObjectUnreadable) -> Record:
    return Record(item.key, item.version_id, None, None, source, where, f"could not be read: {error}")
