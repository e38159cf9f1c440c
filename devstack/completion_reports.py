"""Writes completion reports as S3 does, with all their oddities. Running jobs does not belong here."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Task:
    """The result for one object: its checksum in hex, none if it was copied, or the message and code of its
    failure.
    """

    bucket: str
    key: str
    version_id: str
    etag: str = ""
    checksum: str = ""
    failure: str = ""
    failure_code: str = ""

    def row(self, algorithm: str, checksum_type: str) -> str:
        """The task's row. As in S3, the HTTP status comes before the error code, despite the schema."""
        first = f"{_cell(self.bucket)},{_cell(self.key)},{self.version_id}"
        if self.failure:
            # S3 does not escape the quote before the message, so this is not valid CSV.
            message = (
                f'error details: {{""failureMessage"":"Task {uuid4()} {self.failure}", '
                f'""errorCode"": ""{self.failure_code}""}}'
            )
            return f'{first},failed,200,PermanentFailure,"{message}"\n'
        if not self.checksum:  # of a copy
            return f"{first},succeeded,200,,Successful\n"
        result = {
            "checksum_base64": base64.b64encode(bytes.fromhex(self.checksum)).decode(),
            "ETag": self.etag,
            "checksumAlgorithm": algorithm,
            "checksumType": checksum_type,
            "checksum_hex": self.checksum.upper(),
        }
        message = json.dumps(result, separators=(",", ":")).replace("=", "\\u003d")
        return f"{first},succeeded,200,,{_cell(message, always=True)}\n"


def _cell(text: str, always: bool = False) -> str:
    if always or any(mark in text for mark in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


@dataclass(frozen=True)
class ReportRequest:
    """The parts of a CreateJob request that a report depends on: where it goes, and what was computed."""

    bucket: str
    prefix: str
    algorithm: str
    checksum_type: str

    @classmethod
    def of(cls, job: Mapping[str, Any]) -> ReportRequest:
        """From a job's CreateJob request."""
        report, operation = job["Report"], job["Operation"].get("S3ComputeObjectChecksum", {})
        return cls(
            report["Bucket"].rpartition(":")[2],
            report["Prefix"],
            operation.get("ChecksumAlgorithm", ""),
            operation.get("ChecksumType", ""),
        )


def write_report(
    s3: S3Client, request: ReportRequest, job_id: str, tasks: Sequence[Task], now: datetime
) -> None:
    """Write a job's report: the files of successful and of failed tasks, then the manifest."""
    folder = f"{request.prefix}/job-{job_id}"
    results = []
    for kind, some in (
        ("succeeded", [task for task in tasks if not task.failure]),
        ("failed", [task for task in tasks if task.failure]),
    ):
        if not some:
            continue
        body = "".join(task.row(request.algorithm, request.checksum_type) for task in some).encode()
        name = hashlib.sha1(body, usedforsecurity=False).hexdigest()
        key = f"{folder}/results/{name}.csv"
        s3.put_object(Bucket=request.bucket, Key=key, Body=body)
        md5 = hashlib.md5(body, usedforsecurity=False).hexdigest()
        results.append(
            {"TaskExecutionStatus": kind, "Bucket": request.bucket, "MD5Checksum": md5, "Key": key}
        )
    manifest = {
        "Format": "Report_CSV_20180820",
        "ReportCreationDate": now.strftime("%Y-%m-%dT%H:%M:%S.%f") + "532Z",
        "Results": results,
        "ReportSchema": "Bucket, Key, VersionId, TaskStatus, ErrorCode, HTTPStatusCode, ResultMessage",
    }
    s3.put_object(Bucket=request.bucket, Key=f"{folder}/manifest.json", Body=json.dumps(manifest).encode())
