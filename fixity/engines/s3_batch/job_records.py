"""The records of jobs in the lake: waiting requests, submitted jobs, and their outcomes.

Each job also has a receipt at DuraCloud's path, which gives the bucket for a job id. A job without a receipt
is not ours. A file that is damaged is left out by name, and blocks no other. Talking to S3 does not belong
here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Container, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter

from fixity.catalog import Bucket, Catalog
from fixity.clock import utc_now
from fixity.engines.s3_batch.batch_jobs import JobManifest, report_prefix
from fixity.engines.s3_batch.errors import JobRecordUnusable
from fixity.errors import WrongUsage
from fixity.humanize import printable
from fixity.lake import Lake
from fixity.lake.paths import LATEST
from fixity.lake.proof import json_object, sealed, unsealed_or_old

FOLDER = "s3_batch/"
# S3's ids, and those of AWS Batch: `<uuid>:1` in an array of jobs, `<uuid>#1` in a job of several nodes.
_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_:#-]{0,99}")
_NO_MORE = ConfigDict(extra="forbid")
FileT = TypeVar("FileT")

Log = Callable[[str], object]
"""Takes a text about each file that is damaged and left out."""


@dataclass(frozen=True)
class JobRecord:
    """A job as it was submitted.

    bucket: the catalog's name. job_id: S3's. run_id: the run that submitted it. created_at: ISO, UTC.
    inventory: the name of the table that its report is compared with. algorithm, checksum_type: as
    requested. report_bucket, report_prefix: where the report will be, below `job-<id>/`. objects: how many
    were requested, None if S3 makes the manifest. token: of the request; None for a job submitted by others.
    first: the file of the ledger with the checks of which this job is the second look.
    """

    bucket: str
    job_id: str
    run_id: str
    created_at: str
    inventory: str
    algorithm: str
    checksum_type: str
    report_bucket: str
    report_prefix: str
    objects: int | None = None
    token: str | None = None
    first: str | None = None

    __pydantic_config__ = _NO_MORE

    def __post_init__(self) -> None:
        if datetime.fromisoformat(self.created_at).tzinfo is None:
            raise ValueError("a time without its offset")

    @property
    def report(self) -> str:
        """The key of the completion report's manifest."""
        return f"{self.report_prefix}/job-{self.job_id}/manifest.json"

    @property
    def age(self) -> float:
        """Seconds since the job was submitted."""
        return (datetime.now(UTC) - datetime.fromisoformat(self.created_at)).total_seconds()


@dataclass(frozen=True)
class Waiting:
    """A request without a job yet.

    token: keeps S3 from creating two jobs. inventory: the newest table at the time of the request.
    manifest, objects: of a selection of objects; None for all. first: as in JobRecord.
    """

    bucket: str
    token: str
    requested_at: str
    inventory: str
    manifest: JobManifest | None = None
    objects: int | None = None
    first: str | None = None

    __pydantic_config__ = _NO_MORE


@dataclass(frozen=True)
class JobOutcome:
    """The outcome of a job: its last status, and the run that handled it."""

    job_id: str
    status: str
    run_id: str

    __pydantic_config__ = _NO_MORE


_RECORD, _WAITING, _OUTCOME = TypeAdapter(JobRecord), TypeAdapter(Waiting), TypeAdapter(JobOutcome)


def is_job_id(job_id: str) -> bool:
    """Whether this can be the id of a job of S3 or AWS Batch, and so a part of a file's name."""
    return bool(_JOB_ID.fullmatch(job_id))


def new_record(bucket: Bucket, job_id: str, run_id: str, inventory: str, of: Waiting | None) -> JobRecord:
    """The record of a job that was just submitted, or found; `of`, the request, None for a job of others."""
    assert bucket.s3_batch is not None  # the catalog guarantees it
    return JobRecord(
        bucket=bucket.name,
        job_id=job_id,
        run_id=run_id,
        created_at=utc_now().isoformat(),
        inventory=inventory,
        algorithm=bucket.algorithm,
        checksum_type=bucket.s3_batch.checksum_type,
        report_bucket=bucket.s3_batch.report_bucket,
        report_prefix=report_prefix(bucket),
        objects=of.objects if of else None,
        token=of.token if of else None,
        first=of.first if of else None,
    )


def receipt_file(job_id: str) -> str:
    """A job's receipt, at DuraCloud's path. Raises WrongUsage for what is no id of a job."""
    return f"metadata/{LATEST}/checksums/receipts/{_file(job_id)}"


def _job_file(bucket: str, job_id: str) -> str:
    return f"{FOLDER}{bucket}/jobs/{_file(job_id)}"


def _outcome_file(bucket: str, job_id: str) -> str:
    return f"{FOLDER}{bucket}/outcomes/{_file(job_id)}"


def _file(job_id: str) -> str:
    if not is_job_id(job_id):
        raise WrongUsage(f"'{printable(job_id, 100)}' is not the id of a job of S3 or AWS Batch")
    return f"{job_id}.json"


def _waiting_folder(bucket: str) -> str:
    return f"{FOLDER}{bucket}/waiting/"


def keep_waiting(lake: Lake, waiting: Waiting) -> None:
    """Keep a request before S3 is called. Raises LakeError."""
    name = f"{_waiting_folder(waiting.bucket)}{waiting.token}/request.json"
    lake.put_text(name, sealed(asdict(waiting)), replace=True)


def waiting_requests(lake: Lake, bucket: str, log: Log = lambda text: None) -> list[Waiting]:
    """A bucket's requests without a job, oldest first. Raises LakeError."""
    names = (file.name for file in lake.list(_waiting_folder(bucket)))
    return sorted(_readable(lake, names, _WAITING, log), key=lambda waiting: waiting.requested_at)


def keep_record(lake: Lake, record: JobRecord) -> None:
    """Keep a job's record, without a receipt. Raises LakeError."""
    lake.put_text(_job_file(record.bucket, record.job_id), sealed(asdict(record)), replace=True)


def keep_job(lake: Lake, catalog: Catalog, record: JobRecord, waiting: Waiting) -> None:
    """Keep a submitted job and its receipt, and remove its waiting request. Raises LakeError."""
    keep_record(lake, record)
    pair = next(iter(catalog.pairs_of(record.bucket)), None)
    receipt: dict[str, Any] = {
        "source_bucket": catalog.buckets[pair.source if pair else record.bucket].real_name,
        "source_job_id": None,
        "repl_bucket": catalog.buckets[pair.replica].real_name if pair else None,
        "repl_job_id": None,
        "created_at": record.created_at,
        "bucket": record.bucket,
    }
    own, other = "source_job_id", "repl_job_id"
    if pair and pair.replica == record.bucket:
        own, other = other, own
    receipt[own] = record.job_id
    if pair:
        _link(lake, receipt, pair.replica if own == "source_job_id" else pair.source, own, other)
    lake.put_text(receipt_file(record.job_id), _json(receipt), replace=True)
    lake.remove(f"{_waiting_folder(record.bucket)}{waiting.token}/")


def _link(lake: Lake, receipt: dict[str, Any], other_bucket: str, own: str, other: str) -> None:
    """If the other bucket's newest job is open and unlinked, link both receipts to each other's job."""
    job = newest_job(lake, other_bucket)
    theirs = _receipt(lake, job.job_id) if job else None
    if job and theirs and theirs.get(own) is None and not outcome_of(lake, other_bucket, job.job_id):
        receipt[other] = job.job_id
        lake.put_text(receipt_file(job.job_id), _json({**theirs, own: receipt[own]}), replace=True)


def bucket_of(lake: Lake, job_id: str) -> str | None:
    """The catalog's name of a job's bucket; None for a job that is not ours.

    Raises WrongUsage for what is no id of a job, LakeError.
    """
    receipt = _receipt(lake, job_id)
    if receipt is None:
        return None
    if isinstance(receipt.get("bucket"), str):
        return str(receipt["bucket"])
    name = f"/jobs/{_file(job_id)}"  # the receipt is damaged
    return next((file.name.split("/")[1] for file in lake.list(FOLDER) if file.name.endswith(name)), None)


def _receipt(lake: Lake, job_id: str) -> dict[str, Any] | None:
    """A job's receipt; {} if it is damaged."""
    try:
        return json_object(lake.read_text(receipt_file(job_id)))
    except FileNotFoundError:
        return None
    except ValueError:
        return {}


def job_record(lake: Lake, bucket: str, job_id: str) -> JobRecord | None:
    """A job of a bucket as it was submitted. Raises JobRecordUnusable, LakeError."""
    return _read(lake, _job_file(bucket, job_id), _RECORD)


def jobs_of(
    lake: Lake, bucket: str, without: Container[str] = (), log: Log = lambda text: None
) -> list[JobRecord]:
    """The jobs of a bucket, oldest first, without those of these ids. Raises LakeError."""
    files = lake.list(f"{FOLDER}{bucket}/jobs/")
    names = (file.name for file in files if PurePosixPath(file.name).stem not in without)
    found = _readable(lake, names, _RECORD, log)
    return sorted(found, key=lambda record: (record.created_at, record.job_id))


def job_of_request(lake: Lake, bucket: str, token: str) -> JobRecord | None:
    """The job of a request; None if it was not submitted yet. Raises LakeError."""
    return next((record for record in jobs_of(lake, bucket) if record.token == token), None)


def newest_job(lake: Lake, bucket: str, log: Log = lambda text: None) -> JobRecord | None:
    """The job that was submitted last. Raises LakeError."""
    return next(reversed(jobs_of(lake, bucket, log=log)), None)


def keep_outcome(lake: Lake, bucket: str, outcome: JobOutcome) -> None:
    """Keep the outcome of a job; the job is no longer followed. Raises LakeError."""
    lake.put_text(_outcome_file(bucket, outcome.job_id), sealed(asdict(outcome)), replace=True)


def outcome_of(lake: Lake, bucket: str, job_id: str) -> JobOutcome | None:
    """The outcome of a job, None while it is open. Raises LakeError."""
    name = _outcome_file(bucket, job_id)
    try:
        return _read(lake, name, _OUTCOME)
    except JobRecordUnusable:  # but there is one
        return JobOutcome(job_id, "not known", f"that {name} named before it was damaged")


def open_jobs(lake: Lake, bucket: str, log: Log = lambda text: None) -> list[JobRecord]:
    """The jobs of a bucket without an outcome, oldest first. Raises LakeError."""
    ended = {PurePosixPath(file.name).stem for file in lake.list(f"{FOLDER}{bucket}/outcomes/")}
    return jobs_of(lake, bucket, ended, log)


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2) + "\n"


def _readable(lake: Lake, names: Iterable[str], kind: TypeAdapter[FileT], log: Log) -> list[FileT]:
    found = []
    for name in names:
        try:
            found.append(_read(lake, name, kind))
        except JobRecordUnusable as error:
            log(str(error))
    return [each for each in found if each is not None]  # a request may be submitted just now


def _read(lake: Lake, name: str, kind: TypeAdapter[FileT]) -> FileT | None:
    try:
        return kind.validate_python(unsealed_or_old(lake.read_text(name)))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise JobRecordUnusable(
            f"{lake.location(name)} is damaged: restore it from a copy of the lake, or remove it and run "
            f"`fixity request {name.split('/')[1]}`"
        ) from error
