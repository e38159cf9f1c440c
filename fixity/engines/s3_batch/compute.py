"""Checksum jobs of AWS Batch, the compute service. Teams run them; they write the same reports as S3's jobs.

The tag `fixity-bucket`, or the name `checksums-<bucket>`, shows the bucket of such a job. Its report is in
the report bucket at `batch/reports/checksum/<bucket>/job-<its id>/manifest.json`. Starting such jobs does
not belong here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from botocore.exceptions import BotoCoreError, ClientError

from fixity.catalog import Bucket, S3Batch, Store
from fixity.catalog.clients import batch_client
from fixity.engines.s3_batch.batch_jobs import COMPLETE, FAILED, VANISHED, JobState
from fixity.engines.s3_batch.errors import S3ControlError

BUCKET_TAG = "fixity-bucket"
NAME_PREFIX = "checksums-"
ENDED = {"SUCCEEDED": COMPLETE, "FAILED": FAILED}
"""The final statuses, and their names in S3."""


def bucket_of_job(name: str, tags: Mapping[str, str], buckets: Collection[str]) -> str | None:
    """Which of `buckets` a job checks; None if the job is not ours."""
    from_name = name.removeprefix(NAME_PREFIX) if name.startswith(NAME_PREFIX) else None
    return next((bucket for bucket in (tags.get(BUCKET_TAG), from_name) if bucket in buckets), None)


def describe_compute_job(bucket: Bucket, store: Store, settings: S3Batch, job_id: str) -> JobState:
    """The current state of a job of AWS Batch; `Vanished` if it is not a job of the bucket.

    Raises S3ControlError.
    """
    try:
        jobs = batch_client(store, settings).describe_jobs(jobs=[job_id]).get("jobs", [])
    except (ClientError, BotoCoreError) as error:
        raise S3ControlError(f"AWS Batch cannot be asked for the job {job_id}: {error}") from error
    if not jobs or bucket_of_job(jobs[0]["jobName"], jobs[0].get("tags", {}), [bucket.name]) is None:
        return JobState(job_id, VANISHED)
    (job,) = jobs
    created = job.get("createdAt")  # milliseconds
    return JobState(
        job_id,
        ENDED.get(job["status"], job["status"]),
        reasons=(job["statusReason"],) if job.get("statusReason") else (),
        created_at=datetime.fromtimestamp(created / 1000, UTC) if created else None,
    )
