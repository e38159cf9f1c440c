"""Writes objects of an S3 bucket: whole, with all that they have, and only in the place of what is expected.

Each write has a precondition (`If-Match`, `If-None-Match`). AWS compares it with the object in the same
moment as it writes; whether another store does is found out in `conditions`. Listing and reading are in
`reader`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from botocore.exceptions import BotoCoreError, ClientError

from fixity.buckets.base import CHANGED, ListedObject, ObjectSkipped, ObjectUnreadable
from fixity.buckets.s3.attributes import Attributes
from fixity.buckets.s3.conditions import Conditions, Way
from fixity.buckets.s3.upload import MOST_AT_ONCE, MOST_COPIED, NewObject, Parts, Sending, part_size_for
from fixity.buckets.writing import NotAsExpected, NotWritten, Upload
from fixity.catalog import Bucket, Catalog
from fixity.catalog.clients import s3_client
from fixity.catalog.exclude import QUARANTINE
from fixity.errors import BucketUnreachable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_KEPT = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Expires",
    "Metadata",
    "WebsiteRedirectLocation",
)
"""What HEAD says of an object, and what is given with a new one."""
_CHANGED = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
_NO_TAGS = ("NotImplemented", "MethodNotAllowed", "NoSuchTagSet")
_LONGEST_KEY = 1024  # bytes
_IN_PARTS = re.compile(r"-[0-9]+$")


class S3Writer(Attributes):
    """The objects of a bucket. May be used by several threads at once.

    sends_crc: whether the store is sent checksums, and keeps a CRC64NVME. conditions: whether it obeys
    preconditions. begun: takes the bucket, the key and the id of each multipart upload that has begun.
    """

    sends_crc = False

    def __init__(self, client: S3Client, bucket: str, prefix: str = "", etag_is_md5: bool = True) -> None:
        super().__init__(client, bucket, prefix, etag_is_md5)
        self.begun: Callable[[dict[str, str]], None] = lambda upload: None
        self.conditions = Conditions(client, bucket)

    def loses_nothing(self, size: int, attributes: Mapping[str, Any], by_store: bool) -> bool:
        """Whether nothing that is newer is lost by writing an object of `size` bytes: the store obeys the
        precondition, or keeps what it replaces as a version.

        Arguments: `attributes`, as `attributes` gives them; `by_store`, whether the store copies it. Raises
        NotWritten, BucketUnreachable.
        """
        most = MOST_COPIED if by_store else MOST_AT_ONCE
        in_parts = part_size_for(size, attributes.get("part_size"), most) < size
        with self._writing(""):
            way: Way = "parts" if in_parts else "copy" if by_store else "put"
            return self.conditions.obeyed(way) or self.keeps_versions()

    def keeps_versions(self) -> bool:
        """Whether a replaced object stays as an older version. False if the store does not say."""
        try:
            return self._client.get_bucket_versioning(Bucket=self._bucket).get("Status") == "Enabled"
        except (ClientError, BotoCoreError):
            return False

    def attributes(self, item: ListedObject) -> dict[str, Any]:
        """What an object has besides its bytes, in the words of boto3; also the `part_size` of its upload in
        bytes.

        The storage class is not among them: a new object has that of the one that it replaces. Raises
        ObjectError, BucketUnreachable.
        """
        with self._errors(item.key):
            place: Any = self._object(item.key, item.version_id)
            head: Any = self._client.head_object(**place)
            kept = {name: head[name] for name in _KEPT if head.get(name)}
            try:
                tag_set = self._client.get_object_tagging(**place)["TagSet"]
            except ClientError as error:
                if error.response["Error"]["Code"] not in _NO_TAGS:
                    raise
                tag_set = []
        tags = {tag["Key"]: tag["Value"] for tag in tag_set}
        if tags:
            kept["Tagging"] = urlencode(tags)
        if _IN_PARTS.search(item.etag or ""):
            first = self.head(item.key, item.version_id, item.etag, part=1)
            if first.size and first.parts == -(-item.size // first.size):
                kept["part_size"] = first.size
        return kept

    def version_of(self, item: ListedObject) -> str | None:
        """The version id of a current object, which listings of current objects do not tell; None if it has
        none of its own.

        Raises ObjectSkipped if it is no longer as it was listed, ObjectUnreadable, BucketUnreachable.
        """
        head = self.head(item.key, None, item.etag)
        times = [each and each.replace(microsecond=0) for each in (head.last_modified, item.last_modified)]
        if times[0] != times[1] or head.size != item.size:
            raise ObjectSkipped(CHANGED, "the object was overwritten since it was listed")
        return None if head.version_id == "null" else head.version_id

    def upload(
        self,
        key: str,
        size: int,
        replaces: ListedObject | None,
        attributes: Mapping[str, Any],
    ) -> Upload:
        """Begin to write `size` bytes in the place of an object; None: there must be none.

        Arguments: `attributes`, as `attributes` gives them. Raises NotWritten, BucketUnreachable.
        """
        new = replace(self._new(key, replaces, attributes), crc=self.sends_crc)
        return Sending(new, size, part_size_for(size, attributes.get("part_size")))

    def copy_from(
        self,
        source: S3Writer,
        item: ListedObject,
        replaces: ListedObject | None,
        attributes: Mapping[str, Any],
    ) -> None:
        """Have the store copy an object of another of its buckets to the same key of this one, as it is
        listed.

        Arguments: as for `upload`. Raises NotAsExpected, NotWritten, BucketUnreachable.
        """
        new = self._new(item.key, replaces, attributes)
        _copy(new, source.as_source(item), item.size, attributes.get("part_size"))

    def set_aside(self, item: ListedObject, name: str) -> str:
        """Keep an object below QUARANTINE, in a folder of this name; returns where, for people.

        Raises NotAsExpected, NotWritten, BucketUnreachable.
        """
        full = f"{QUARANTINE}{name}/{self._prefix}{item.key}"
        if len(full.encode()) > _LONGEST_KEY:
            raise NotWritten("KeyTooLong", "its key is too long for a copy of the bad bytes")
        new = replace(self._new(item.key, item, self.attributes(item)), precondition={})
        _copy(
            replace(new, place={"Bucket": self._bucket, "Key": full}), self.as_source(item), item.size, None
        )
        return f"s3://{self._bucket}/{full}"

    def remove(self, item: ListedObject) -> None:
        """Delete an object's current version. Raises NotAsExpected, NotWritten, BucketUnreachable."""
        with self._writing(item.key):
            self._client.delete_object(**self._object(item.key, None))

    def abort(self, upload: Mapping[str, str]) -> None:
        """Remove what a killed process sent in parts. Arguments: as `begun` takes them. Never raises."""
        given: Any = upload
        with suppress(ClientError, BotoCoreError):
            self._client.abort_multipart_upload(**given)

    def as_source(self, item: ListedObject) -> dict[str, Any]:
        """An object as the source of a copy, pinned to how it is listed."""
        with self._writing(item.key):
            place = self._object(item.key, item.version_id)
        pinned = {"CopySourceIfMatch": f'"{item.etag}"'} if item.etag else {}
        return {"CopySource": place, **pinned}

    def _new(self, key: str, replaces: ListedObject | None, attributes: Mapping[str, Any]) -> NewObject:
        with self._writing(key):
            place = self._object(key, None)
        kept = {name: value for name, value in attributes.items() if name != "part_size"}
        if replaces is None:
            precondition = {"IfNoneMatch": "*"}
        else:
            precondition = {"IfMatch": f'"{replaces.etag}"'} if replaces.etag else {}
            if replaces.storage_class not in (None, "STANDARD"):
                kept["StorageClass"] = replaces.storage_class
        return NewObject(self._client, place, kept, precondition, partial(self._writing, key), self.begun)

    @contextmanager
    def _writing(self, key: str) -> Iterator[None]:
        """Maps the errors of requests that write."""
        try:
            with self._errors(key):
                yield
        except ObjectUnreadable as error:
            if error.code in _CHANGED:
                raise NotAsExpected("the store refused the write: the object has changed") from error
            raise NotWritten(error.code, error.message) from error
        except ObjectSkipped as error:
            raise NotAsExpected("the store refused the write: the object is gone") from error


def open_writer(catalog: Catalog, bucket: Bucket, threads: int) -> S3Writer:
    """A writer of a bucket that is no local directory. Raises BucketUnreachable."""
    store = catalog.store_of(bucket)
    try:
        client = s3_client(store, threads)
    except BotoCoreError as error:
        raise BucketUnreachable(f"the store '{bucket.store}' cannot be opened: {error}") from error
    writer = S3Writer(client, bucket.real_name, bucket.prefix, bucket.etag_is_md5 is not False)
    writer.sends_crc = store.endpoint_url is None  # other vendors refuse checksums that they do not know
    writer.conditions = Conditions(client, bucket.real_name, known=store.endpoint_url is None)
    return writer


def _copy(new: NewObject, source: dict[str, Any], size: int, part_size: int | None) -> None:
    """Copy an object within a store: by one request if it is small enough, else in parts.

    A copy by one request takes all that the object has; only a storage class must be given.
    """
    parts_of = part_size_for(size, part_size, MOST_COPIED)
    if parts_of >= size:
        wanted = {name: new.attributes[name] for name in ("StorageClass",) if name in new.attributes}
        whole: Any = {**new.place, **source, **wanted, **new.precondition}
        with new.errors():
            new.client.copy_object(**whole)
        return
    parts = Parts(new)
    try:
        for number, first in enumerate(range(0, size, parts_of), 1):
            parts.copy(number, source, first, min(first + parts_of, size) - 1)
        parts.complete()
    except BaseException:
        parts.abort()
        raise
