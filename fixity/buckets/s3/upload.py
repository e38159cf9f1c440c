"""Sends the bytes of a new object to S3 while they come: at once if they are few, otherwise in parts.

The object appears when the upload is finished, whole. Memory is bounded by a few parts. What an object has
besides its bytes, and what the store's errors mean, belong to `writer`.
"""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fixity.buckets.base import ObjectError
from fixity.errors import BucketUnreachable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MOST_AT_ONCE = 64 * 1024**2
"""An object of at most so many bytes is sent by one request. Parts are larger only if they would be too
many.
"""
MOST_COPIED = 5 * 1024**3
"""An object of at most so many bytes is copied by the store by one request."""
_LEAST, _PART = 5 * 1024**2, 16 * 1024**2
_MOST_PARTS = 10_000
_SENDERS = 2


def part_size_for(size: int, wanted: int | None, most: int = MOST_AT_ONCE) -> int:
    """The size of the parts in bytes; not less than `size` if it is sent at once.

    Arguments: `wanted`, with which the ETag stays the same, None if no parts are needed for that; `most`, in
    one request.
    """
    if wanted is not None and _LEAST <= wanted <= most:
        return wanted
    return max(size, 1) if size <= most else max(_PART, -(-size // _MOST_PARTS))


@dataclass(frozen=True)
class NewObject:
    """An object that is to be written.

    place: its bucket and key. attributes: all that it has besides its bytes. precondition: what must be there
    before. errors: maps the store's errors. begun: takes the place and the id of a multipart upload. crc:
    whether the store is sent checksums, and keeps a CRC64NVME.
    """

    client: S3Client
    place: dict[str, Any]
    attributes: dict[str, Any]
    precondition: dict[str, str]
    errors: Callable[[], AbstractContextManager[None]]
    begun: Callable[[dict[str, str]], None]
    crc: bool = False


class Parts:
    """A multipart upload. Raises NotAsExpected, NotWritten, BucketUnreachable in all methods but `abort`."""

    def __init__(self, new: NewObject) -> None:
        self._new = new
        kept: Any = {"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "FULL_OBJECT"} if new.crc else {}
        with new.errors():
            answer = new.client.create_multipart_upload(**new.place, **new.attributes, **kept)
        self._upload: Any = {**new.place, "UploadId": answer["UploadId"]}
        new.begun(self._upload)
        self._sent: list[dict[str, Any]] = []

    def send(self, number: int, body: bytearray, checksum: dict[str, str]) -> None:
        """Send the part of a number, from 1. May be called from several threads."""
        more: Any = {**checksum, "Body": body}
        with self._new.errors():
            answer = self._new.client.upload_part(**self._upload, PartNumber=number, **more)
        self._sent.append({"PartNumber": number, "ETag": answer["ETag"], **checksum})

    def copy(self, number: int, source: dict[str, Any], first: int, last: int) -> None:
        """Have the store copy the bytes `first` to `last` of another object as the part of a number."""
        with self._new.errors():
            answer = self._new.client.upload_part_copy(
                **self._upload, **source, PartNumber=number, CopySourceRange=f"bytes={first}-{last}"
            )
        self._sent.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})

    def complete(self, whole: dict[str, str] | None = None) -> None:
        """Make the object of all parts, in the order of their numbers. Arguments: `whole`, its checksum."""
        parts: Any = sorted(self._sent, key=lambda part: part["PartNumber"])
        more: Any = {**self._new.precondition, **(whole or {})}
        with self._new.errors():
            self._new.client.complete_multipart_upload(
                **self._upload, MultipartUpload={"Parts": parts}, **more
            )

    def abort(self) -> None:
        """Remove what was sent. Never raises."""
        with suppress(ObjectError, BucketUnreachable), self._new.errors():
            self._new.client.abort_multipart_upload(**self._upload)


class Sending:
    """The bytes of an object on their way to S3; an Upload. Arguments: `size` and `part_size` in bytes."""

    def __init__(self, new: NewObject, size: int, part_size: int) -> None:
        self._new = new
        self._size, self._part_size = size, part_size
        self._parts: Parts | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._forget()

    def _forget(self) -> None:
        self.count = 0
        self._number = self._crc = 0
        self._buffer = bytearray()
        self._waiting = deque[Future[None]]()

    def update(self, piece: memoryview) -> None:
        """Take the next bytes."""
        self.count += len(piece)
        while len(piece):
            taken = piece[: self._part_size - len(self._buffer)]
            if not len(taken):  # more than its size came: reading will fail
                return
            self._buffer += taken
            piece = piece[len(taken) :]
            if len(self._buffer) == self._part_size < self._size:
                self._send()

    def restart(self) -> None:
        """Forget all bytes taken."""
        self.abandon()
        self._forget()

    def finish(self) -> None:
        """See Upload."""
        if self._part_size >= self._size:
            more: Any = {**self._new.attributes, **self._new.precondition, **self._checksum(self._buffer)}
            more["Body"] = self._buffer
            with self._new.errors():
                self._new.client.put_object(**self._new.place, **more)
            return
        if self._buffer:
            self._send()
        while self._waiting:
            self._waiting.popleft().result()
        assert self._parts is not None
        self._parts.complete(_encoded(self._crc) if self._new.crc else None)
        self._parts = None
        self.abandon()

    def abandon(self) -> None:
        """See Upload."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
        if self._parts is not None:
            self._parts.abort()
            self._parts = None

    def _send(self) -> None:
        if self._parts is None or self._pool is None:
            self._parts = Parts(self._new)
            self._pool = ThreadPoolExecutor(_SENDERS, thread_name_prefix="send")
        if len(self._waiting) == _SENDERS:
            self._waiting.popleft().result()
        body, self._buffer = self._buffer, bytearray()
        self._number += 1
        send, checksum = self._parts.send, self._checksum(body)
        self._waiting.append(self._pool.submit(send, self._number, body, checksum))

    def _checksum(self, body: bytearray) -> dict[str, str]:
        if not self._new.crc:
            return {}
        # Imported here: the import costs as much time as hashing fifty megabytes.
        from awscrt import checksums

        self._crc = checksums.crc64nvme(body, self._crc)
        return _encoded(checksums.crc64nvme(body))


def _encoded(crc: int) -> dict[str, str]:
    return {"ChecksumCRC64NVME": base64.b64encode(crc.to_bytes(8, "big")).decode()}
