"""Attributes of an S3 object besides its bytes: metadata, tags, stored checksums, archive status.

Through boto3, because attributes are read less often than bytes. Using them (as recorded checksums, for
restores) does not belong here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from fixity.buckets.base import CHANGED, DELETED, ObjectSkipped, ObjectUnreadable
from fixity.buckets.s3.etag import plain_etag, same_etag
from fixity.buckets.s3.refusals import Refusals
from fixity.catalog import Algorithm, Bucket, Catalog, Tier
from fixity.catalog.clients import passes, s3_client
from fixity.errors import BucketUnreachable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CHECKSUMS: dict[str, Algorithm] = {
    "ChecksumSHA256": "SHA256",
    "ChecksumSHA1": "SHA1",
    "ChecksumCRC32": "CRC32",
    "ChecksumCRC32C": "CRC32C",
    "ChecksumCRC64NVME": "CRC64NVME",
    "ChecksumSHA512": "SHA512",
    "ChecksumMD5": "MD5",
}
_MD5 = re.compile(r"[0-9A-Fa-f]{32}")
_GOOGLES = re.compile(r"\bcrc32c=([A-Za-z0-9+/]{6}==)")
_OF_PARTS = re.compile(r"-[0-9]+$")
_BUCKET_GONE = {"NoSuchBucket", "ExpiredToken", "InvalidAccessKeyId", "RequestTimeTooSkewed"}


@dataclass(frozen=True)
class Head:
    """The answer of HEAD for an object.

    size: in bytes; None if the store does not say. metadata: the user's, with lower-case names. md5: the ETag
    if it is an MD5 of the bytes, as far as is known. checksums: those stored at upload, in base64 as in S3's
    answer, if they are known to be of the whole object, not of its parts. restore_ongoing: None if no restore
    was ever requested; restored_until: in UTC. parts: of a multipart upload, None if the store does not say.
    tags: how many it has, 0 also if the store does not say. version_id: None where the bucket gives none.
    """

    size: int | None
    etag: str | None
    last_modified: datetime | None
    storage_class: str | None
    archive_status: str | None
    restore_ongoing: bool | None
    restored_until: datetime | None
    metadata: Mapping[str, str]
    md5: str | None
    checksums: Mapping[Algorithm, str]
    parts: int | None
    tags: int = 0
    version_id: str | None = None


class Unanswered(ObjectUnreadable):
    """The store did not answer, for a reason that may pass."""


class Attributes:
    """The attributes of the objects of one bucket. May be used by several threads at once.

    Arguments: `bucket`, its real name; `prefix`, put before all keys; `etag_is_md5` as in the catalog.
    """

    def __init__(self, client: S3Client, bucket: str, prefix: str = "", etag_is_md5: bool = True) -> None:
        self._client = client
        self._etag_is_md5 = etag_is_md5
        self._bucket = bucket
        self._prefix = prefix
        self._refusals = Refusals(self._list_a_little)

    def head(
        self, key: str, version_id: str | None = None, etag: str | None = None, part: int | None = None
    ) -> Head:
        """The answer of HEAD.

        Arguments: `etag`, of the expected object; `part`, the number of a part to ask about.
        Raises ObjectUnreadable, ObjectSkipped (deleted, or another ETag than `etag`), BucketUnreachable.
        """
        with self._errors(key):
            more: dict[str, Any] = {"PartNumber": part} if part else {"ChecksumMode": "ENABLED"}
            answer: Any = self._client.head_object(**self._object(key, version_id), **more)
        head = _head(answer, self._etag_is_md5)
        if etag and head.etag and not same_etag(head.etag, etag):
            raise ObjectSkipped(CHANGED, "the object was overwritten since it was listed")
        return head

    def md5_in(self, etag: str | None) -> str | None:
        """The MD5 that a listed ETag is by its form, None if it is none. HEAD alone tells the encryption."""
        return etag.lower() if etag and self._etag_is_md5 and _MD5.fullmatch(etag) else None

    def tags(self, key: str, version_id: str | None = None) -> dict[str, str]:
        """An object's tags. Raises ObjectUnreadable, ObjectSkipped, BucketUnreachable."""
        with self._errors(key):
            answer = self._client.get_object_tagging(**self._object(key, version_id))
        return {tag["Key"]: tag["Value"] for tag in answer.get("TagSet", [])}

    def deleted_at(self, key: str) -> datetime | None:
        """When a key without a current version was deleted (UTC), by its delete marker; None without one.

        Raises ObjectUnreadable, BucketUnreachable.
        """
        full = self._prefix + key
        with self._errors(key):
            answer = self._client.list_object_versions(Bucket=self._bucket, Prefix=full)
        written = [each["LastModified"] for each in answer.get("Versions", []) if each["Key"] == full]
        markers = [each for each in answer.get("DeleteMarkers", []) if each["Key"] == full]
        if not any(each["IsLatest"] for each in markers):
            return None
        since = [each["LastModified"] for each in markers]
        return min((at for at in since if at >= max(written, default=at)), default=max(since))

    def put_tags(self, key: str, version_id: str | None, tags: Mapping[str, str]) -> None:
        """Replace all tags of an object.

        Raises ObjectUnreadable, ObjectSkipped, BucketUnreachable.
        """
        tag_set: list[Any] = [{"Key": name, "Value": value} for name, value in tags.items()]
        with self._errors(key):
            self._client.put_object_tagging(**self._object(key, version_id), Tagging={"TagSet": tag_set})

    def restore(self, key: str, version_id: str | None, tier: Tier, days: int | None) -> str:
        """Request a restore.

        Arguments: `days` to keep the restored copy; None for a storage class without such a time.
        Returns `requested`, `restored` (it already was) or `in_progress` (it was requested before).
        Raises ObjectUnreadable (its code is the store's), ObjectSkipped, BucketUnreachable.
        """
        request: Any = {"GlacierJobParameters": {"Tier": tier}}
        if days is not None:
            request["Days"] = days
        try:
            with self._errors(key):
                answer: Any = self._client.restore_object(
                    **self._object(key, version_id), RestoreRequest=request
                )
        except ObjectUnreadable as error:
            if error.code == "RestoreAlreadyInProgress":
                return "in_progress"
            raise
        return "restored" if answer["ResponseMetadata"]["HTTPStatusCode"] == 200 else "requested"

    def _object(self, key: str, version_id: str | None) -> dict[str, Any]:
        full = self._prefix + key
        if {".", ".."} & set(full.split("/")):
            # urllib3 would remove the segment and ask about another object.
            raise ObjectUnreadable("KeyNotAddressable", "the key has '.' or '..' between slashes")
        parameters = {"Bucket": self._bucket, "Key": full}
        return {**parameters, "VersionId": version_id} if version_id else parameters

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        row = self._refusals.begin()
        try:
            yield
            self._refusals.granted(row)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            code = error.response["Error"]["Code"]
            message = error.response["Error"].get("Message") or "no message"
            if code in _BUCKET_GONE:
                raise BucketUnreachable(f"{self._bucket}: {message} ({code})") from error
            if status == 404:
                raise ObjectSkipped(DELETED, "the object was deleted since it was listed") from error
            code = {"403": "AccessDenied", "400": "BadRequest"}.get(code, code)  # HEAD has no body
            if status in (400, 401, 403) and code != "InvalidObjectState":  # HEAD says 400 for a wrong token
                self._refusals.refused(code)
            kind = Unanswered if passes(status, code) else ObjectUnreadable
            raise kind(code, f"{message} (HTTP {status})") from error
        except BotoCoreError as error:
            raise Unanswered("ConnectionError", f"{type(error).__name__}: {error}") from error

    def _list_a_little(self) -> None:
        """Raises BucketUnreachable if the bucket may be listed in neither way."""
        try:
            self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)
        except (ClientError, BotoCoreError):
            try:
                self._client.list_object_versions(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)
            except (ClientError, BotoCoreError) as error:
                raise BucketUnreachable(f"{self._bucket} cannot be listed: {error}") from error


def open_attributes(catalog: Catalog, bucket: Bucket, threads: int = 10) -> Attributes | None:
    """Open the attributes of a bucket's objects; None for a local directory, which has none.

    Raises BucketUnreachable.
    """
    if bucket.is_local:
        return None
    try:
        client = s3_client(catalog.store_of(bucket), threads)
        return Attributes(client, bucket.real_name, bucket.prefix, bucket.etag_is_md5 is not False)
    except BotoCoreError as error:
        raise BucketUnreachable(f"the store '{bucket.store}' cannot be opened: {error}") from error


def _head(answer: Mapping[str, Any], etag_is_md5: bool) -> Head:
    ongoing, until = _restore(answer.get("Restore"))
    etag = plain_etag(answer.get("ETag") or "")
    encrypted = "SSECustomerAlgorithm" in answer or answer.get("ServerSideEncryption", "AES256") != "AES256"
    in_parts: bool | None = None
    if _OF_PARTS.search(etag) or answer.get("PartsCount", 1) > 1:
        in_parts = True
    elif etag_is_md5 and _MD5.fullmatch(etag):  # of this form whatever the encryption
        in_parts = False
    return Head(
        size=answer.get("ContentLength"),
        etag=etag or None,
        last_modified=answer.get("LastModified"),
        storage_class=answer.get("StorageClass"),
        archive_status=answer.get("ArchiveStatus"),
        restore_ongoing=ongoing,
        restored_until=until,
        metadata={name.lower(): value for name, value in answer.get("Metadata", {}).items()},
        md5=etag.lower() if in_parts is False and not encrypted else None,
        checksums={
            algorithm: answer[name]
            for name, algorithm in _CHECKSUMS.items()
            if answer.get(name) and _is_whole(answer[name], algorithm, answer.get("ChecksumType"), in_parts)
        }
        | _of_google(answer),
        parts=answer.get("PartsCount"),
        tags=answer.get("TagCount", 0),
        version_id=answer.get("VersionId"),
    )


def _of_google(answer: Mapping[str, Any]) -> dict[Algorithm, str]:
    """Google's `x-goog-hash: crc32c=…,md5=…`, of the whole object, however it was uploaded."""
    found = _GOOGLES.search(answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("x-goog-hash", ""))
    return {"CRC32C": found[1]} if found else {}


def _is_whole(checksum: str, algorithm: Algorithm, kind: str | None, in_parts: bool | None) -> bool:
    """Whether a stored checksum is known to be of the whole object.

    Arguments: `kind`, as the store says; `in_parts`, whether it was a multipart upload, None if unknown.
    """
    if _OF_PARTS.search(checksum):
        return False
    if kind is None:
        return in_parts is False
    # Of a multipart upload, S3 has these only of its parts.
    return kind == "FULL_OBJECT" and not (in_parts and algorithm in ("SHA1", "SHA256"))


def _restore(header: str | None) -> tuple[bool | None, datetime | None]:
    """Parse `ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT"`."""
    if not header:
        return None, None
    expiry = re.search(r'expiry-date="([^"]+)"', header)
    try:
        until = parsedate_to_datetime(expiry[1]).astimezone(UTC) if expiry else None
    except ValueError:
        until = None
    return 'ongoing-request="true"' in header, until
