"""Turns a job's completion report into a table of the ledger: CSV to sorted Parquet.

The sorted inventory is cut into ranges of keys. `stage` sorts the report's rows into these ranges on disk,
and `join` joins those of each range with its part of the inventory, so memory does not grow with the bucket.
The inventory also has the expected checksums. Which job, and when, does not belong here.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from fixity.clock import CLOCKS_AGREE, utc_now
from fixity.engines.s3_batch.absent import Absentees, Find
from fixity.engines.s3_batch.batch_jobs import JobState
from fixity.engines.s3_batch.composites import files_of_ledger, settle_composites
from fixity.engines.s3_batch.errors import ReportUnusable
from fixity.engines.s3_batch.job_records import JobRecord
from fixity.engines.s3_batch.join import ReadBetween, Sides, joined
from fixity.engines.s3_batch.report import Report, fetch_report
from fixity.engines.s3_batch.stage import staged
from fixity.errors import AnotherPlace
from fixity.lake import Lake
from fixity.lake.ranges import key_ranges
from fixity.ledger.bucket_run import BucketRun
from fixity.ledger.expected import expected_by_ledger
from fixity.ledger.inventory import TableMissing, fetch_inventory
from fixity.ledger.judge import COMPOSITE, LookAgain
from fixity.ledger.write import Checksums, ChecksWriter, kept_before
from fixity.tables import Provenance, this_software

_RANGE_BYTES = 20 * 1024 * 1024  # of the inventory before compression: mostly a row group


def ingest_report(
    run: BucketRun,
    reports: Lake,
    job: JobRecord,
    state: JobState | None = None,
    find: Find | None = None,
    look_again: LookAgain = lambda checks, expectations: checks,
) -> Checksums:
    """Keep a finished job's report as `checksums/<bucket>/<run_id>.parquet`.

    Arguments: `reports`, the report bucket; `state`, the job as S3 describes it: the report must have as
    many rows as S3 counted, if it did; a job that found nothing to check has no report. `find` looks for
    objects that the report does not name; `look_again` reads objects that differ.
    Keeps nothing if any part of the report is wrong.
    Raises ReportUnusable, NoReport, TableMissing if the inventory is gone, AnotherPlace if it is of
    another place, BucketUnreachable, LakeError.
    """
    with run.lake.workspace() as workspace:
        is_empty = state is not None and state.empty
        report = Report([], utc_now()) if is_empty else fetch_report(reports, job.report, workspace)
        times = _times(job, state, report)
        inventory = _inventory(run, job, workspace)
        listed = Provenance.read(inventory)
        provenance = replace(
            listed,
            bucket=run.bucket.name,
            run_id=run.run_id,
            partial=job.objects is not None,
            software=this_software(),
        )
        if before := kept_before(run.lake, provenance, workspace):
            return before
        inventory = expected_by_ledger(run.lake, run.bucket, inventory, run.run_id, workspace)
        absentees = Absentees(find)
        by_parts = job.checksum_type == COMPOSITE
        earlier = files_of_ledger(run.lake, run.bucket.name, workspace) if by_parts else []
        with ChecksWriter(run.lake, provenance, workspace) as checks:
            ranges = key_ranges(inventory, most=_RANGE_BYTES)
            rows = staged(report, run.bucket, job, [each.lower for each in ranges[1:]], workspace, state)
            sides = Sides(inventory, rows, ranges)
            with closing(joined(sides, run, job, times, workspace)) as tables:
                for table, expectations in tables:
                    settled = absentees.settle(table)
                    if by_parts:
                        settled = settle_composites(settled, earlier, workspace)
                    checks.write(look_again(settled, expectations))
        return checks.keep()


def _times(job: JobRecord, state: JobState | None, report: Report) -> ReadBetween:
    """When a job began at the earliest, by whoever ran it or by whoever submitted it, and when it ended.

    Raises ReportUnusable if its report is older.
    """
    created, told = state.created_at if state else None, report.created_at
    # Where the platform submitted it, that was noted at once, by the clock that its own reads go by.
    noted = datetime.fromisoformat(job.created_at) if job.token is not None else None
    created = created or noted  # S3 may have forgotten it
    if created is None:  # jobs of others are noted here only when they have ended
        return ReadBetween(told, told)
    if told < created - CLOCKS_AGREE:
        raise ReportUnusable(
            f"the report of the job {job.job_id} of '{job.bucket}' is of {told:%Y-%m-%d %H:%M:%S} UTC, but "
            f"the job was created at {created:%Y-%m-%d %H:%M:%S} UTC: it is an earlier job's report, or a "
            "clock is wrong; nothing of it was kept"
        )
    if noted is not None:
        return ReadBetween(min(created, noted, told), told, timedelta(0))
    return ReadBetween(min(created, told), told)


def _inventory(run: BucketRun, job: JobRecord, workspace: Path) -> Path:
    """The inventory from which the job was made."""
    name = run.bucket.name
    try:
        inventory = fetch_inventory(run.lake, job.inventory, workspace)
    except FileNotFoundError as error:
        raise TableMissing(
            f"the report of the job {job.job_id} needs the inventory {run.lake.location(job.inventory)}, "
            f"which is gone: put it back, or run `fixity request {name}`"
        ) from error
    listed_at = Provenance.read(inventory).place
    if run.place is not None and listed_at not in (None, run.place):
        raise AnotherPlace(
            f"the report of the job {job.job_id} is of '{name}' at {listed_at}, but the catalog "
            f"now says {run.place}: put the catalog back, or run `fixity request {name}`"
        )
    return inventory
