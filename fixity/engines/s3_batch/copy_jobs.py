"""The records of jobs that copy good objects over bad ones, in the lake: `repairs/<pair>/<token>/`.

The objects and the request are kept before S3 is called, then the job's id, and at its end its outcome. Which
objects are copied, and the check after it, belong to `fixity.repair`. Jobs that compute checksums are in
`job_records`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ConfigDict, TypeAdapter

from fixity.engines.s3_batch.batch_jobs import JobManifest, JobState
from fixity.engines.s3_batch.errors import JobRecordUnusable, NoReport, ReportUnusable
from fixity.engines.s3_batch.failed_tasks import convert
from fixity.engines.s3_batch.job_records import Log
from fixity.engines.s3_batch.report import fetch_report
from fixity.humanize import printable
from fixity.lake import Lake
from fixity.lake.paths import REPAIRS
from fixity.lake.proof import sealed, unsealed

NO_ROOM = "NoRoom"
"""The outcome of a request that S3 got no job for, because the account had no room."""
_JOB = "job-"


@dataclass(frozen=True)
class CopyJob:
    """A request to copy objects from the bucket `source` to the bucket `target`, by their names here.

    run_id, person: who asked. requested_at: ISO, UTC. storage_class: of the new objects; None for S3's
    default. report_bucket, report_prefix: as in JobRecord. objects: how many. job_id: None until S3 gave one.
    """

    pair: str
    source: str
    target: str
    token: str
    run_id: str
    requested_at: str
    manifest: JobManifest
    report_bucket: str
    report_prefix: str
    objects: int
    storage_class: str | None = None
    person: str | None = None
    job_id: str | None = None

    __pydantic_config__ = ConfigDict(extra="forbid")

    @property
    def folder(self) -> str:
        """Its folder in the lake."""
        return f"{REPAIRS}{self.pair}/{self.token}/"

    @property
    def age(self) -> float:
        """Seconds since the request."""
        return (datetime.now(UTC) - datetime.fromisoformat(self.requested_at)).total_seconds()


_REQUEST = TypeAdapter(CopyJob)


def keep_request(lake: Lake, job: CopyJob, objects: pa.Table) -> None:
    """Keep a request with its objects, before S3 is called. Raises LakeError."""
    with lake.workspace() as workspace:
        file = workspace / "objects.parquet"
        pq.write_table(objects, file, compression="zstd")
        lake.put(f"{job.folder}objects.parquet", file)
    lake.put_text(f"{job.folder}request.json", sealed(asdict(job)))


def objects_of(lake: Lake, job: CopyJob) -> pa.Table:
    """The objects of a request. Raises TableUnreadable, LakeError, FileNotFoundError."""
    with lake.workspace() as workspace:
        return pq.read_table(lake.fetch(f"{job.folder}objects.parquet", workspace))


def keep_job_id(lake: Lake, job: CopyJob, job_id: str) -> CopyJob:
    """Keep the id that S3 gave the job of a request. Raises LakeError."""
    lake.put_text(f"{job.folder}{_JOB}{job_id}.json", sealed({"job_id": job_id}), replace=True)
    return replace(job, job_id=job_id)


def keep_copy_outcome(lake: Lake, job: CopyJob, status: str, run_id: str) -> None:
    """Keep how a job ended, and the run that handled it; it is no longer followed. Raises LakeError."""
    lake.put_text(f"{job.folder}outcome.json", sealed({"status": status, "run_id": run_id}), replace=True)


def open_copies(lake: Lake, pair: str | None = None, log: Log | None = None) -> list[CopyJob]:
    """The requests of a pair, or of all, that have no outcome yet, oldest first.

    Arguments: `log`, takes a text about each file that is damaged and left out; by default, one ends this.
    Raises JobRecordUnusable, LakeError.
    """
    folders: dict[str, set[str]] = {}
    for file in lake.list(f"{REPAIRS}{pair}/" if pair else REPAIRS):
        path = PurePosixPath(file.name)
        folders.setdefault(f"{path.parent}/", set()).add(path.name)
    found = []
    for folder, names in folders.items():
        if "outcome.json" in names or "request.json" not in names:
            continue
        try:
            found.append(_read(lake, folder, names))
        except JobRecordUnusable as error:
            if log is None:
                raise
            log(str(error))
    return sorted(found, key=lambda job: (job.requested_at, job.token))


def open_copy(lake: Lake, job_id: str, log: Log) -> CopyJob | None:
    """The request of a job of S3, if it has no outcome yet; `log` as in `open_copies`. Raises LakeError."""
    return next((job for job in open_copies(lake, log=log) if job.job_id == job_id), None)


def _read(lake: Lake, folder: str, names: set[str]) -> CopyJob:
    name = f"{folder}request.json"
    try:
        job = _REQUEST.validate_python(unsealed(lake.read_text(name)))
    except ValueError as error:
        raise JobRecordUnusable(
            f"{lake.location(name)} is damaged: restore it from a copy of the lake, or remove {folder}"
        ) from error
    ids = [name.removeprefix(_JOB).removesuffix(".json") for name in names if name.startswith(_JOB)]
    return replace(job, job_id=ids[0] if ids else None)


def not_copied(
    reports: Lake, job: CopyJob, state: JobState, real_name: str, workspace: Path
) -> tuple[dict[str, str], str]:
    """Why S3 did not copy objects: by their whole keys, and for those of which the report says nothing.

    The report alone is not believed: an object that it names as copied is read. Arguments: `real_name`, of
    the source. Raises LakeError.
    """
    reasons = "; ".join(state.reasons) or "S3 gives no reason"
    rest = (
        f"the S3 Batch job {job.job_id} is {state.status} ({state.progress}), and did not copy it: {reasons}"
    )
    try:
        report = fetch_report(reports, f"{job.report_prefix}/job-{job.job_id}/manifest.json", workspace)
        report.check()
        files = [(each.file, each.place) for each in report.results if each.kind == "failed"]
        rows = workspace / "failed.parquet"
        convert(files, real_name, rows)
    except (NoReport, ReportUnusable) as error:
        return {}, printable(f"{rest}. Its report cannot be used: {error}")
    failed: list[dict[str, Any]] = pq.read_table(rows).to_pylist()
    return {row["key"]: printable(_why(row), 300) for row in failed}, printable(rest)


def _why(row: dict[str, Any]) -> str:
    said = ": ".join(filter(None, (row["error_code"], row["message"])))
    return f"S3 Batch did not copy it: {said or row['http_status']}"
