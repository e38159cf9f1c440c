"""Finds out whether a store obeys the preconditions of writes, by writing small objects of its own.

AWS obeys them. Other stores may not know them, refuse them, or overlook them, each for some ways of writing.
What is written, and with which preconditions, belongs to `writer`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError

from fixity.catalog.exclude import QUARANTINE

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Way = Literal["put", "copy", "parts"]
"""How an object is written: by one request, as a copy by the store, or in parts."""

_REFUSED = (409, 412)
_NOT_KNOWN = (400, 501)  # what stores say that know no preconditions, if they do not overlook them
_CONDITIONS: tuple[dict[str, str], ...] = ({"IfNoneMatch": "*"}, {"IfMatch": f'"{"0" * 32}"'})


class Conditions:
    """Whether the store of a bucket obeys preconditions; each way of writing is tried once, when asked for.

    May be used by several threads at once. Arguments: `known`, whether they are known to be obeyed.
    """

    def __init__(self, client: S3Client, bucket: str, known: bool = False) -> None:
        self._client, self._bucket, self._known = client, bucket, known
        self._obeyed: dict[Way, bool] = {}
        self._lock = threading.Lock()

    def obeyed(self, way: Way) -> bool:
        """Whether they are obeyed by writes of this kind. Raises ClientError, BotoCoreError."""
        with self._lock:
            if not self._known and way not in self._obeyed:
                self._obeyed[way] = self._try(way)
            return self._known or self._obeyed[way]

    def _try(self, way: Way) -> bool:
        """Write over an object of our own, with preconditions that do not hold."""
        place: dict[str, Any] = {"Bucket": self._bucket, "Key": f"{QUARANTINE}probe-{uuid4().hex}"}
        other = {**place, "Key": f"{place['Key']}-source"}
        written: list[tuple[dict[str, Any], Any]] = []
        try:
            for each in (place, other):
                written += [(each, self._client.put_object(**each, Body=b"fixity"))]
            return all([self._refuses(way, place, other, condition, written) for condition in _CONDITIONS])
        finally:
            for each, answer in written:
                version: Any = {"VersionId": answer["VersionId"]} if answer.get("VersionId") else {}
                with suppress(ClientError, BotoCoreError):  # who may not delete leaves a few bytes
                    self._client.delete_object(**each, **version)

    def _refuses(
        self,
        way: Way,
        place: dict[str, Any],
        other: Any,  # noqa: ANN401 - boto3 wants its names one by one
        condition: dict[str, Any],
        written: list[tuple[dict[str, Any], Any]],
    ) -> bool:
        try:
            answer: Mapping[str, Any]
            if way == "put":
                answer = self._client.put_object(**place, Body=b"other", **condition)
            elif way == "copy":
                answer = self._client.copy_object(**place, CopySource=other, **condition)
            else:
                answer = self._in_parts(place, condition)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status in _REFUSED:
                return True
            if status in _NOT_KNOWN:
                return False
            raise
        written.append((place, answer))
        return False

    def _in_parts(self, place: dict[str, Any], condition: dict[str, Any]) -> Mapping[str, Any]:
        upload = {**place, "UploadId": self._client.create_multipart_upload(**place)["UploadId"]}
        try:
            sent = self._client.upload_part(**upload, PartNumber=1, Body=b"other")
            parts: Any = {"Parts": [{"PartNumber": 1, "ETag": sent["ETag"]}]}
            return self._client.complete_multipart_upload(**upload, MultipartUpload=parts, **condition)
        except ClientError:
            with suppress(ClientError, BotoCoreError):
                self._client.abort_multipart_upload(**upload)
            raise
