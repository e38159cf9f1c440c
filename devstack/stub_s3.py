"""An S3 endpoint in memory that keeps every key exactly as received.

It serves keys that SeaweedFS changes or refuses: with `//`, a leading `/`, `.` and `..` segments, long
segments, a `/` at the end, control characters. It also serves buckets of a million synthetic objects. It
supports listing, GET and HEAD; a test stores objects with `put`. It does not check signatures. It answers
unknown requests with 501, so that a test never passes by chance. Faults do not belong here, except for
listings that other stores write differently: a test replaces `lister`.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from email.utils import format_datetime
from urllib.parse import parse_qs

from devstack.loopback import LoopbackServer, S3Handler, S3Request, s3_error
from devstack.stub_s3_bucket import LONG_AGO, Bucket, StoredVersion, SyntheticBucket
from devstack.stub_s3_listing import list_objects_v2, list_versions

Lister = Callable[[str, Bucket, Mapping[str, str]], bytes]
"""Makes a page of a bucket's listing from its name, its objects and the query; a ValueError refuses it."""


def as_s3_lists(name: str, bucket: Bucket, query: Mapping[str, str]) -> bytes:
    """A page as S3 writes it."""
    return (list_versions if "versions" in query else list_objects_v2)(name, bucket, query)


class StubS3(LoopbackServer):
    """The endpoint, for the length of a `with` block. `requests` are those received, in order."""

    def __init__(self) -> None:
        super().__init__(_StubHandler)
        self.buckets: dict[str, Bucket] = {}
        self.lister: Lister = as_s3_lists
        self.requests: list[S3Request] = []
        self.lock = threading.Lock()

    def make_bucket(self, bucket: str) -> None:
        with self.lock:
            self.buckets.setdefault(bucket, Bucket())

    def make_synthetic_bucket(self, bucket: str, count: int, size: int = 1024) -> None:
        """A bucket of `count` objects. Their ETags are not MD5s, as with SSE-KMS."""
        with self.lock:
            self.buckets[bucket] = SyntheticBucket(count, size)

    def put(
        self,
        bucket: str,
        key: str,
        body: bytes,
        *,
        version_id: str | None = None,
        last_modified: datetime | None = None,
        storage_class: str = "STANDARD",
        checksum_algorithm: str | None = None,
    ) -> str:
        """Store a version as the newest one, and return its ETag; `version_id` None is version "null"."""
        etag = f'"{hashlib.md5(body).hexdigest()}"'
        version = StoredVersion(
            body,
            etag,
            len(body),
            last_modified or LONG_AGO,
            version_id or "null",
            storage_class,
            checksum_algorithm,
        )
        self._put(bucket, key, version)
        return etag

    def put_delete_marker(
        self, bucket: str, key: str, version_id: str, last_modified: datetime = LONG_AGO
    ) -> None:
        """Hide the object behind a delete marker."""
        self._put(bucket, key, StoredVersion(None, "", 0, last_modified, version_id))

    def _put(self, bucket: str, key: str, version: StoredVersion) -> None:
        self.make_bucket(bucket)
        with self.lock:
            self.buckets[bucket].put(key, version)


class _StubHandler(S3Handler):
    """Answers GET and HEAD as S3 does."""

    server: StubS3

    def handle_request(self, request: S3Request, body: bytes) -> None:
        with self.server.lock:
            self.server.requests.append(request)
            bucket = self.server.buckets.get(request.bucket)
        query = {name: values[0] for name, values in parse_qs(request.query, keep_blank_values=True).items()}
        if bucket is None:
            self._refuse(404, "NoSuchBucket", "The specified bucket does not exist")
        elif request.method not in ("GET", "HEAD") or "delimiter" in query:
            self._refuse(501, "NotImplemented", "The stub does not know this request")
        elif request.key:
            self._object(request, bucket, query.get("versionId"))
        elif request.method == "HEAD":
            self.send_whole(200, [("x-amz-bucket-region", "us-east-1")], b"")
        elif request.is_listing:
            self._list(request, bucket, query)
        else:
            self._refuse(501, "NotImplemented", "The stub does not know this request")

    def _list(self, request: S3Request, bucket: Bucket, query: dict[str, str]) -> None:
        try:
            with self.server.lock:
                page = self.server.lister(request.bucket, bucket, query)
        except ValueError:
            return self._refuse(400, "InvalidArgument", "The continuation token provided is incorrect")
        return self.send_whole(200, [], page)

    def _object(self, request: S3Request, bucket: Bucket, version_id: str | None) -> None:
        with self.server.lock:
            versions = bucket.versions(request.key)
        found = [each for each in versions if version_id in (None, each.version_id)]
        if not found:
            code = "NoSuchVersion" if versions else "NoSuchKey"
            return self._refuse(404, code, "The specified object does not exist.")
        version = found[0]
        if version.body is None:
            marker = [("x-amz-delete-marker", "true"), ("x-amz-version-id", version.version_id)]
            if version_id is None:
                return self._refuse(404, "NoSuchKey", "The specified key does not exist.", marker)
            return self._refuse(405, "MethodNotAllowed", "A delete marker cannot be read.", marker)
        if request.headers.get("If-Match", version.etag) not in (version.etag, version.etag.strip('"'), "*"):
            return self._refuse(412, "PreconditionFailed", "A precondition did not hold")
        if request.method == "GET" and version.storage_class in ("GLACIER", "DEEP_ARCHIVE"):
            return self._refuse(403, "InvalidObjectState", "The object's storage class forbids this")
        body = bucket.body(request.key) if isinstance(bucket, SyntheticBucket) else version.body
        self._send_object(version, body, request.headers.get("Range"))

    def _send_object(self, version: StoredVersion, body: bytes, asked: str | None) -> None:
        headers = [
            ("ETag", version.etag),
            ("Last-Modified", format_datetime(version.last_modified, usegmt=True)),
            ("Accept-Ranges", "bytes"),
            ("Content-Type", "binary/octet-stream"),
        ]
        if version.version_id != "null":
            headers.append(("x-amz-version-id", version.version_id))
        if version.storage_class != "STANDARD":
            headers.append(("x-amz-storage-class", version.storage_class))
        if asked is None:
            return self.send_whole(200, headers, body)
        start, _, end = asked.removeprefix("bytes=").partition("-")
        first, last = int(start), min(int(end or len(body)), len(body) - 1)
        if first >= len(body):
            return self._refuse(416, "InvalidRange", "The requested range is not satisfiable")
        headers.append(("Content-Range", f"bytes {first}-{last}/{len(body)}"))
        return self.send_whole(206, headers, body[first : last + 1])

    def _refuse(self, status: int, code: str, message: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        self.send_whole(status, headers, s3_error(code, message))
