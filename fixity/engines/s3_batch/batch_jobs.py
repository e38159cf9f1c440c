"""Submits jobs of S3 Batch Operations, and describes them. Reading their reports does not belong here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from fixity.catalog import Bucket, S3Batch, Store
from fixity.catalog.clients import s3_control_client
from fixity.engines.s3_batch.errors import AccountFull, S3ControlError

if TYPE_CHECKING:
    from mypy_boto3_s3control import S3ControlClient

MOST_ACTIVE = 6
"""How many jobs may be active in an account at a time."""

COMPLETE, FAILED, CANCELLED, VANISHED = "Complete", "Failed", "Cancelled", "Vanished"
TERMINAL = frozenset({COMPLETE, FAILED, CANCELLED, VANISHED})
"""Final statuses. `Vanished` is our own: S3 forgets a job after 90 days."""

_ACTIVE: Any = ["New", "Preparing", "Suspended", "Ready", "Active", "Pausing", "Paused", "Completing",
                "Cancelling", "Failing"]  # fmt: skip
_EMPTY = "InvalidManifestContent"


@dataclass(frozen=True)
class JobState:
    """A job as S3 describes it: its status, its tasks (total, succeeded, failed), and why it failed.

    created_at: UTC; it read nothing before. ended_at: UTC, None while it runs. empty: it failed because there
    was no object to check. counted: the numbers of tasks come from S3, which has none for a job that it has
    forgotten.
    """

    job_id: str
    status: str
    tasks: int = 0
    succeeded: int = 0
    failed: int = 0
    reasons: tuple[str, ...] = ()
    created_at: datetime | None = None
    ended_at: datetime | None = None
    empty: bool = False
    counted: bool = False

    @property
    def ended(self) -> bool:
        """Whether the status is final."""
        return self.status in TERMINAL

    @property
    def progress(self) -> str:
        """The progress in words."""
        return f"{self.succeeded + self.failed:,} of {self.tasks:,} tasks done, {self.failed:,} failed"


def request_token(bucket: str, request_id: str) -> str:
    """The idempotency token of a request. It is the same for every attempt, so S3 creates only one job."""
    return hashlib.sha256(f"fixity:{bucket}:{request_id}".encode()).hexdigest()


def report_prefix(bucket: Bucket) -> str:
    """The prefix of a bucket's completion reports in its report bucket, as in DuraCloud."""
    return f"batch/reports/checksum/{bucket.real_name}"


def copy_report_prefix(bucket: Bucket) -> str:
    """The prefix of the completion reports of the jobs that copy to a bucket."""
    return f"batch/reports/copy/{bucket.real_name}"


@dataclass(frozen=True)
class JobManifest:
    """A manifest of our own: its key in the report bucket, its ETag, and the fields of its rows."""

    key: str
    etag: str
    fields: tuple[str, ...]


def job_request(
    bucket: Bucket, settings: S3Batch, token: str, manifest: JobManifest | None = None
) -> dict[str, Any]:
    """The CreateJob request for the checksums of a bucket, or of the objects in a manifest.

    It is the same for every attempt, because S3 refuses a token that was used with another request.
    """
    operation = {
        "S3ComputeObjectChecksum": {
            "ChecksumAlgorithm": bucket.algorithm,
            "ChecksumType": settings.checksum_type,
        }
    }
    request = _request(bucket, settings, token, operation, report_prefix(bucket))
    request["Description"] = f"Checksums of {bucket.real_name}, for fixity"[:256]
    if manifest:
        return request | {"Manifest": _manifest(settings, manifest)}
    generator: dict[str, Any] = {
        "ExpectedBucketOwner": settings.account_id,
        "SourceBucket": f"arn:aws:s3:::{bucket.real_name}",
        "EnableManifestOutput": True,
        "ManifestOutputLocation": {
            "ExpectedManifestBucketOwner": settings.account_id,
            "Bucket": f"arn:aws:s3:::{settings.report_bucket}",
            "ManifestPrefix": "batch/manifests/checksum",
            "ManifestFormat": "S3InventoryReport_CSV_20211130",
            "ManifestEncryption": {"SSES3": {}},
        },
    }
    if bucket.prefix:
        generator["Filter"] = {"KeyNameConstraint": {"MatchAnyPrefix": [bucket.prefix]}}
    return request | {"ManifestGenerator": {"S3JobManifestGenerator": generator}}


def copy_request(
    target: Bucket, settings: S3Batch, token: str, manifest: JobManifest, storage_class: str | None
) -> dict[str, Any]:
    """The CreateJob request that has S3 copy the objects in a manifest to the same keys of another bucket.

    Metadata and tags are copied with them. Arguments: `settings`, of the target, in whose region such jobs
    run; `storage_class` of the new objects, None for S3's default.
    """
    copy = {"TargetResource": f"arn:aws:s3:::{target.real_name}"}
    if storage_class is not None:
        copy["StorageClass"] = storage_class
    request = _request(target, settings, token, {"S3PutObjectCopy": copy}, copy_report_prefix(target))
    request["Description"] = f"Repair of {target.real_name}, by fixity"[:256]
    return request | {"Manifest": _manifest(settings, manifest)}


def _request(
    bucket: Bucket, settings: S3Batch, token: str, operation: dict[str, Any], prefix: str
) -> dict[str, Any]:
    """What the requests of all jobs have."""
    return {
        "AccountId": settings.account_id,
        "ConfirmationRequired": False,
        "Priority": settings.priority,
        "RoleArn": settings.role_arn,
        "ClientRequestToken": token,
        "Tags": [
            {"Key": "fixity-bucket", "Value": bucket.name},
            {"Key": "fixity-request", "Value": token},
        ],
        "Operation": operation,
        "Report": {
            "Enabled": True,
            "Bucket": f"arn:aws:s3:::{settings.report_bucket}",
            "Format": "Report_CSV_20180820",
            "Prefix": prefix,
            "ReportScope": "AllTasks",
            "ExpectedBucketOwner": settings.account_id,
        },
    }


def _manifest(settings: S3Batch, manifest: JobManifest) -> dict[str, Any]:
    return {
        "Spec": {"Format": "S3BatchOperations_CSV_20180820", "Fields": list(manifest.fields)},
        "Location": {
            "ObjectArn": f"arn:aws:s3:::{settings.report_bucket}/{manifest.key}",
            "ETag": manifest.etag,
        },
    }


def open_s3_control(bucket: Bucket, store: Store, settings: S3Batch) -> S3ControlClient:
    """Open S3 Control for a bucket's jobs, which run in the bucket's region. Raises S3ControlError."""
    try:
        return s3_control_client(store, settings)
    except BotoCoreError as error:
        raise S3ControlError(f"S3 Control cannot be opened for '{bucket.name}': {error}") from error


def submit(client: S3ControlClient, request: dict[str, Any]) -> str:
    """Submit a job, and return its id. Raises AccountFull, S3ControlError."""
    if len(active_jobs(client, request["AccountId"])) >= MOST_ACTIVE:
        raise AccountFull(f"{MOST_ACTIVE} jobs are active in the account {request['AccountId']}")
    with _errors(f"a job for {request['Description']!r}"):
        return client.create_job(**request)["JobId"]


def active_jobs(client: S3ControlClient, account_id: str) -> list[str]:
    """The ids of the account's unfinished jobs. Raises S3ControlError."""
    with _errors("the account's jobs"):
        page = client.list_jobs(AccountId=account_id, JobStatuses=_ACTIVE)
        jobs = page.get("Jobs", [])
        while token := page.get("NextToken"):
            page = client.list_jobs(AccountId=account_id, JobStatuses=_ACTIVE, NextToken=token)
            jobs += page.get("Jobs", [])
        return [job["JobId"] for job in jobs]


def describe(client: S3ControlClient, account_id: str, job_id: str) -> JobState:
    """The current state of a job; `Vanished` if S3 does not know it. Raises S3ControlError."""
    with _errors(f"the job {job_id}"):
        try:
            job = client.describe_job(AccountId=account_id, JobId=job_id)["Job"]
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchJobException", "NoSuchJob", "NotFoundException"):
                return JobState(job_id, VANISHED)
            raise
    progress = job.get("ProgressSummary", {})
    reasons = job.get("FailureReasons", [])
    return JobState(
        job_id,
        job["Status"],
        progress.get("TotalNumberOfTasks", 0),
        progress.get("NumberOfTasksSucceeded", 0),
        progress.get("NumberOfTasksFailed", 0),
        tuple(f"{why.get('FailureCode', '')}: {why.get('FailureReason', '')}" for why in reasons),
        job.get("CreationTime"),
        job.get("TerminationDate"),
        job["Status"] == FAILED
        and any(
            why.get("FailureCode") == _EMPTY and "no keys" in why.get("FailureReason", "") for why in reasons
        ),
        "ProgressSummary" in job,
    )


@contextmanager
def _errors(what: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        kind = (
            AccountFull if error.response["Error"]["Code"] == "TooManyRequestsException" else S3ControlError
        )
        raise kind(f"S3 Control refused {what}: {error}") from error
    except BotoCoreError as error:
        raise S3ControlError(f"S3 Control cannot be asked for {what}: {error}") from error
