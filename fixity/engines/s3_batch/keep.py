"""From a job's completion report to a table of the ledger: CSV to sorted Parquet, beside the inventory.

The inventory is sorted, and cut into ranges of keys. Rows are judged one by one in `stage`, and put into a
file for each range; then they meet the inventory range by range in `join`, so that memory does not grow
with the bucket. Which job, and when, is decided elsewhere. What is
expected of an object comes along with the inventory.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

from fixity.catalog import Bucket
from fixity.clock import utc_now
from fixity.engines.s3_batch.absent import Absentees, Find
from fixity.engines.s3_batch.batch_jobs import JobState
from fixity.engines.s3_batch.job_records import JobRecord
from fixity.engines.s3_batch.join import joined
from fixity.engines.s3_batch.report import Report, fetch_report
from fixity.engines.s3_batch.stage import staged
from fixity.errors import AnotherPlace
from fixity.lake import Lake
from fixity.lake.ranges import key_ranges
from fixity.ledger.expected import expected_by_ledger
from fixity.ledger.inventory import TableMissing
from fixity.ledger.write import Checksums, ChecksWriter, kept_before
from fixity.tables import Provenance, this_software

_RANGE_BYTES = 64 * 1024 * 1024  # of the inventory, encoded and not compressed: some 500,000 objects


def ingest_report(
    lake: Lake,
    reports: Lake,
    bucket: Bucket,
    job: JobRecord,
    run_id: str,
    state: JobState | None = None,
    find: Find | None = None,
    place: str | None = None,
) -> Checksums:
    """Keep a finished job's report as `checksums/<bucket>/<run_id>.parquet`.

    Arguments: `reports`, the report bucket; `state`, the job as S3 describes it, where S3 still does: the
    report must have as many rows; `find`, looks for objects that the report does not name; `place`, where
    the bucket is (`Catalog.place_of`). Nothing is kept when any part of the report is not right.
    Raises ReportUnusable, NoReport, TableMissing where the inventory is gone, AnotherPlace where it is one of
    another place, BucketUnreachable, LakeError.
    """
    with lake.workspace() as workspace:
        report = fetch_report(reports, job.report, workspace)
        return keep_report(lake, bucket, job, report, run_id, workspace, state, find, place)


def keep_empty(
    lake: Lake,
    bucket: Bucket,
    job: JobRecord,
    run_id: str,
    find: Find | None = None,
    place: str | None = None,
) -> Checksums:
    """Keep the table of a job that found nothing to check.

    Raises TableMissing, AnotherPlace, BucketUnreachable, LakeError.
    """
    with lake.workspace() as workspace:
        return keep_report(lake, bucket, job, Report([], utc_now()), run_id, workspace, None, find, place)


def keep_report(
    lake: Lake,
    bucket: Bucket,
    job: JobRecord,
    report: Report,
    run_id: str,
    workspace: Path,
    state: JobState | None = None,
    find: Find | None = None,
    place: str | None = None,
) -> Checksums:
    """Keep the rows of a report that was fetched; see `ingest_report`."""
    try:
        inventory = lake.fetch(job.inventory, workspace)
    except FileNotFoundError as error:
        raise TableMissing(
            f"the inventory {lake.location(job.inventory)}, with which the report of the job {job.job_id} is "
            f"to be compared, is gone: put it back, or run `fixity request {bucket.name}`"
        ) from error
    listed = Provenance.read(inventory)
    if place is not None and listed.place not in (None, place):
        raise AnotherPlace(
            f"the report of the job {job.job_id} is of '{bucket.name}' at {listed.place}, but the catalog "
            f"now says {place}: put the catalog back, or run `fixity request {bucket.name}`"
        )
    provenance = replace(listed, bucket=bucket.name, run_id=run_id, software=this_software())
    if before := kept_before(lake, provenance, workspace):
        return before
    inventory = expected_by_ledger(lake, bucket, inventory, run_id, workspace)
    absentees = Absentees(find)
    with ChecksWriter(lake, provenance, workspace) as checks:
        ranges = key_ranges(inventory, inventory, 2 * _RANGE_BYTES)
        folder = staged(report, bucket, job, [each.lower for each in ranges[1:]], workspace, state)
        with closing(joined(inventory, folder, ranges, bucket, job, report, run_id, workspace)) as tables:
            for table in tables:
                checks.write(absentees.settle(table))
    return checks.keep()
