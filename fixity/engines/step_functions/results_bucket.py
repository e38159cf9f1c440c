"""The bucket of a map's results: reads objects in pieces, lists them, and writes one object whole.

The content of its objects does not belong here.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from fixity.catalog import Store
from fixity.catalog.clients import s3_client
from fixity.engines.step_functions.errors import ResultsRefused
from fixity.errors import BucketUnreachable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import PaginatorConfigTypeDef

PIECE = 8 * 1024 * 1024
"""Bytes of one request, and of the smallest part of an upload."""

_ATTEMPTS = 4
_MOST_PARTS = 9_000  # S3 allows 10,000


@dataclass(frozen=True)
class StoredObject:
    """An object as the store describes it; `last_modified` in UTC, `etag` without quotes."""

    key: str
    etag: str
    size: int
    last_modified: datetime


class ResultsBucket:
    """A bucket by its real name, through a boto3 client.

    Every method raises BucketUnreachable.
    Arguments: `backoff`, the first wait before a request is repeated, in seconds.
    """

    def __init__(self, client: S3Client, bucket: str, backoff: float = 0.5) -> None:
        self._client = client
        self._bucket = bucket
        self._backoff = backoff

    @classmethod
    def open(cls, store: Store, bucket: str) -> ResultsBucket:
        """Open a bucket of a store. Raises BucketUnreachable."""
        try:
            return cls(s3_client(store), bucket)
        except BotoCoreError as error:
            raise BucketUnreachable(f"the bucket {bucket} cannot be opened: {error}") from error

    def url(self, key: str) -> str:
        """An object's URL, for people."""
        return f"s3://{self._bucket}/{key}"

    def head(self, key: str) -> StoredObject | None:
        """An object as it is now; None if there is none."""
        try:
            answer = self._client.head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise self._unreachable(key, error) from error
        except BotoCoreError as error:
            raise self._unreachable(key, error) from error
        return StoredObject(key, answer["ETag"].strip('"'), answer["ContentLength"], answer["LastModified"])

    def list(self, prefix: str, after: str = "", pages: int | None = None) -> Iterator[list[StoredObject]]:
        """The objects below a prefix, in pages of 1,000, starting after the key `after`."""
        paginator = self._client.get_paginator("list_objects_v2")
        settings: PaginatorConfigTypeDef = {"MaxItems": pages * 1000} if pages else {}
        with self._errors(prefix):
            for page in paginator.paginate(
                Bucket=self._bucket,
                Prefix=prefix,
                StartAfter=after,
                PaginationConfig=settings,
            ):
                yield [
                    StoredObject(each["Key"], each["ETag"].strip('"'), each["Size"], each["LastModified"])
                    for each in page.get("Contents", [])
                ]

    def pieces(self, head: StoredObject) -> Iterator[bytes]:
        """An object's bytes in pieces, one request each.

        A reader may be slow, because no connection stays open between pieces. All pieces are of the same
        object. Raises ResultsRefused if it was replaced or deleted since `head` was read.
        """
        for start in range(0, head.size, PIECE):
            yield self._piece(head, start, min(start + PIECE, head.size) - 1)

    def _piece(self, head: StoredObject, first: int, last: int) -> bytes:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                answer = self._client.get_object(
                    Bucket=self._bucket, Key=head.key, Range=f"bytes={first}-{last}", IfMatch=f'"{head.etag}"'
                )
                body = answer["Body"].read()
                if len(body) == last + 1 - first:
                    return body
                trouble: Exception = OSError(f"{len(body):,} of {last + 1 - first:,} bytes came")
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] in (404, 412, 416):
                    raise ResultsRefused(f"{self.url(head.key)} was replaced while it was read") from error
                raise self._unreachable(head.key, error) from error  # botocore has already retried
            except (BotoCoreError, HTTPError, OSError) as error:  # in the middle of the body
                trouble = error
            if attempt < _ATTEMPTS:
                time.sleep(self._backoff * 2 ** (attempt - 1))
        raise self._unreachable(head.key, trouble) from trouble

    def put(self, key: str, pieces: Iterable[bytes], expected: int) -> None:
        """Write one object from pieces. It appears whole or, if `pieces` raises, not at all.

        Arguments: `expected`, the approximate number of bytes; it sets the size of the upload's parts.
        """
        from boto3.s3.transfer import TransferConfig  # boto3 takes a third of a second to import

        config = TransferConfig(
            multipart_threshold=PIECE,
            multipart_chunksize=max(PIECE, 2 * expected // _MOST_PARTS),
            max_concurrency=2,
            preferred_transfer_client="classic",
        )
        config.max_in_memory_upload_chunks = 3
        stream = _Stream(pieces)
        with self._errors(key):
            self._client.upload_fileobj(
                stream, self._bucket, key, ExtraArgs={"ContentType": "application/json"}, Config=config
            )

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        from boto3.exceptions import Boto3Error

        try:
            yield
        except (ClientError, BotoCoreError, Boto3Error) as error:
            raise self._unreachable(key, error) from error

    def _unreachable(self, key: str, error: Exception) -> BucketUnreachable:
        return BucketUnreachable(f"{self.url(key)}: {error}", final=False)


class _Stream(io.BytesIO):
    """Pieces as a file that can be read once, from start to end."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        super().__init__()
        self._pieces = iter(pieces)
        self._waiting = bytearray()

    def seekable(self) -> bool:
        return False

    def read(self, size: int | None = -1) -> bytes:
        size = -1 if size is None else size
        while size < 0 or len(self._waiting) < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._waiting += piece
        size = len(self._waiting) if size < 0 else size
        taken = bytes(memoryview(self._waiting)[:size])
        del self._waiting[:size]
        return taken
