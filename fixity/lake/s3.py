"""The lake in an S3 bucket. An upload appears whole or not at all.

What both kinds of lake share does not belong here; it is in `base`.
"""

from __future__ import annotations

import filecmp
import hashlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from os import SEEK_END
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NotConnected

from fixity.catalog import Store
from fixity.catalog.byte_ranges import WholeObject
from fixity.catalog.clients import s3_client
from fixity.lake.base import Lake, LakeError, LakeFile, Seen, naming_what_is_full
from fixity.lake.temporary import TemporaryFolder

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CopySourceTypeDef


_CHUNK = 1 << 20  # bytes
_MOST = 1 << 50  # bytes, more than a file has
_CONDITION_FAILED = (409, 412)  # 409: another request was under way
_NO_ANSWER = (NotConnected, HTTPClientError)
_NO_CONDITIONS = (400, 501)  # what stores say that know no conditions, if they do not ignore them


class _Condition(TypedDict, total=False):
    IfMatch: str
    IfNoneMatch: str


class S3Lake(Lake):
    """A prefix of a bucket.

    Arguments: `bucket` and `prefix` ('' or ending in '/'); `store` says how to reach it.
    """

    at_once = 24  # a store answers each request in tens of milliseconds

    def __init__(self, bucket: str, prefix: str, store: Store) -> None:
        super().__init__()
        self._bucket = bucket
        self._prefix = prefix
        self._client = s3_client(store, self.at_once)

    def list(self, folder: str) -> list[LakeFile]:
        """See Lake."""
        with self._errors(folder):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + folder
            )
            found = [
                LakeFile(item["Key"].removeprefix(self._prefix), item["Size"], item["LastModified"])
                for page in pages
                for item in page.get("Contents", [])
            ]
        return sorted(found, key=lambda file: file.name)

    def _fetch(self, name: str, workspace: Path) -> Path:
        """See Lake. Each workspace downloads a file once."""
        local = workspace / "fetched" / name
        if not local.exists():
            local.parent.mkdir(parents=True, exist_ok=True)
            with self._errors(name):
                of = (self._bucket, self._prefix + name, str(local))
                try:
                    self._client.download_file(*of)
                except WholeObject:  # a large file is downloaded in ranges, which this store does not know
                    in_one = TransferConfig(multipart_threshold=_MOST, multipart_chunksize=_MOST)
                    self._client.download_file(*of, Config=in_one)
        return local

    def read_bytes(self, name: str) -> bytes:
        """See Lake."""
        with self._errors(name):
            return self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"].read()

    def sha256(self, name: str) -> str:
        """See Lake. The bytes are not kept."""
        digest = hashlib.sha256()
        with self._errors(name):
            body = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"]
            for chunk in body.iter_chunks(_CHUNK):
                digest.update(chunk)
        return digest.hexdigest()

    def tail(self, name: str, size: int) -> bytes:
        """See Lake. Downloads only this range."""
        return self._range(name, None, size)

    def part(self, name: str, start: int, size: int) -> bytes:
        """See Lake. Downloads only this range."""
        return self._range(name, start, size)

    def _range(self, name: str, start: int | None, size: int) -> bytes:
        """Arguments: `start`, None for the last bytes."""
        asked = f"-{size}" if start is None else f"{start}-{start + size - 1}"
        with self._errors(name):
            try:
                found = self._client.get_object(
                    Bucket=self._bucket, Key=self._prefix + name, Range=f"bytes={asked}"
                )
                return found["Body"].read()
            except WholeObject:
                with self.workspace() as workspace, self._fetch(name, workspace).open("rb") as file:
                    file.seek(max(0, file.seek(0, SEEK_END) - size) if start is None else start)
                    return file.read(size)
            except ClientError as error:
                # An empty file has no range, and none begins after its end.
                if _status(error) == 416 and self._size(name) <= (start or 0):
                    return b""
                raise

    def _size(self, name: str) -> int:
        return self._client.head_object(Bucket=self._bucket, Key=self._prefix + name)["ContentLength"]

    def _put(self, name: str, file: Path, replace: bool, keep: bool) -> None:
        """See Lake. The local file always stays.

        Looking first is safe: names contain run ids, so only one run writes each name.
        """
        with self._errors(name):
            if not replace and self._exists(name):
                with self.workspace() as workspace:
                    if filecmp.cmp(file, self._fetch(name, workspace), shallow=False):
                        return
                raise FileExistsError(f"{self.location(name)} is there already")
            # So that a browser shows a page, and does not offer to save it.
            kind = {"ContentType": "text/html; charset=utf-8"} if name.endswith(".html") else {}
            self._client.upload_file(str(file), self._bucket, self._prefix + name, ExtraArgs=kind)

    def _exists(self, name: str) -> bool:
        try:
            self._client.head_object(Bucket=self._bucket, Key=self._prefix + name)
        except ClientError as error:
            if _status(error) == 404:
                return False
            raise
        return True

    def see(self, name: str) -> Seen | None:
        """See Lake."""
        try:
            with self._errors(name):
                found = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)
                return Seen(found["Body"].read().decode(errors="replace"), found["ETag"])
        except FileNotFoundError:
            return None

    def put_if(self, name: str, text: str, seen: Seen | None) -> bool:
        """See Lake. The store compares ETags."""
        if self.decides:
            return self._put_if(name, text, seen)
        self.put_text(name, text, replace=True)
        return True

    @cached_property
    def decides(self) -> bool:
        """See Lake. Found out by putting a small object twice."""
        name = f"scratch/probe-{uuid.uuid4()}/text"
        try:
            return self._put_if(name, "", None) and not self._put_if(name, "", None)
        except LakeError as error:
            why = error.__cause__
            if isinstance(why, ClientError) and _status(why) in _NO_CONDITIONS:
                return False
            raise
        finally:
            self._remove(name)

    def _put_if(self, name: str, text: str, seen: Seen | None) -> bool:
        condition: _Condition = {"IfMatch": seen.state} if seen else {"IfNoneMatch": "*"}
        with self._errors(name):
            try:
                self._client.put_object(
                    Bucket=self._bucket, Key=self._prefix + name, Body=text.encode(), **condition
                )
            except ClientError as error:
                if _status(error) in _CONDITION_FAILED or (_status(error) == 404 and seen):
                    return False
                raise
        return True

    def copy(self, name: str, to: str) -> None:
        """See Lake. The store copies the object."""
        with self._errors(name):
            source: CopySourceTypeDef = {"Bucket": self._bucket, "Key": self._prefix + name}
            self._client.copy(source, self._bucket, self._prefix + to)

    def discard(self, name: str) -> None:
        """See Lake."""
        with self._errors(name):
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + name)

    def _remove(self, folder: str) -> None:
        """See Lake."""
        with self._errors(folder):
            for file in self.list(folder):
                self._client.delete_object(Bucket=self._bucket, Key=self._prefix + file.name)

    def location(self, name: str) -> str:
        """See Lake."""
        return f"s3://{self._bucket}/{self._prefix}{name}"

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        """See Lake. A temporary directory (set TMPDIR to choose where)."""
        with TemporaryFolder("fixity-") as path, naming_what_is_full(path):
            yield Path(path)

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            if _status(error) == 404 and error.response["Error"]["Code"] != "NoSuchBucket":
                raise FileNotFoundError(f"{self.location(name)} is not in the lake") from error
            raise LakeError(f"the lake's {self.location(name)}: {error}") from error
        except (BotoCoreError, Boto3Error) as error:
            why = getattr(error, "last_exception", error)  # the last error of a download with retries
            # Its own requests are repeated already: whoever reads this must look at the store.
            to_do = ". See whether its store answers: fixity doctor" if isinstance(why, _NO_ANSWER) else ""
            raise LakeError(f"the lake's {self.location(name)}: {why}{to_do}") from error


def _status(error: ClientError) -> int:
    return error.response["ResponseMetadata"]["HTTPStatusCode"]
