"""Has S3 read again, in a job of their own, objects that its checks call wrong and the platform cannot read.

The request waits until `batch_reconciliation` submits it. What both reads of an object together say does not
belong here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fixity.catalog import Bucket
from fixity.clock import utc_now
from fixity.engines.s3_batch.batch_jobs import request_token
from fixity.engines.s3_batch.job_records import JobRecord, Waiting, job_of_request, keep_waiting
from fixity.engines.s3_batch.request import manifest_name, note_request, put_manifest, requested_job
from fixity.lake import Lake
from fixity.ledger.judge import BEYOND_LIMITS, NOT_TWICE
from fixity.tables import CHECKSUMS, DIFFERS, naming_the_unreadable


def note_second_look(
    lake: Lake, reports: Lake, bucket: Bucket, job: JobRecord, checks: str
) -> Waiting | None:
    """Keep a request to read again what a job found to differ, if it could not be read by the platform.

    Arguments: `reports`, the report bucket; `checks`, the file of the ledger with the job's checks. None if
    there is nothing to read, if it was requested before, or if others submitted the job. Nothing is read a
    third time. Raises TableUnreadable, LakeError.
    """
    if job.first is not None or job.token is None:
        return None
    with lake.workspace() as workspace:
        file = lake.fetch(checks, workspace)
        message = pc.field("error_message")
        unread = pc.starts_with(message, NOT_TWICE) & (message != BEYOND_LIMITS)
        with naming_the_unreadable(file):
            rows = pq.read_table(
                file,
                columns=["key", "version_id", "checksum"],
                filters=(pc.field("verdict") == DIFFERS) & unread,
            ).to_pylist()
        if not rows:
            return None
        which = [tuple(row.values()) for row in rows]
        token = request_token(bucket.name, f"second look at {job.job_id}: {_hash_of(which)}")
        if job_of_request(lake, bucket.name, token):
            return None
        objects = ((row["key"], row["version_id"]) for row in rows)
        manifest = put_manifest(reports, bucket, manifest_name(bucket, token), objects, workspace)
    now = utc_now().isoformat()
    waiting = Waiting(bucket.name, token, now, job.inventory, manifest, len(rows), checks)
    keep_waiting(lake, waiting)
    return waiting


def note_look_at(
    lake: Lake, reports: Lake, bucket: Bucket, unread: Mapping[tuple[str, str | None], str | None]
) -> Waiting | None:
    """Keep a request to read again what a pair's report found to differ, if the platform could not read it.

    Arguments: `reports`, the report bucket; `unread`, the objects (key, version) with the checksums that they
    had. None if there are none, or if the same was requested before.
    Raises TableMissing, NotInInventory, LakeError.
    """
    request_id = f"second look: {_hash_of(sorted(map(repr, unread.items())))}"
    if not unread or requested_job(lake, bucket, request_id):
        return None
    return note_request(lake, reports, bucket, request_id, {key for key, _ in unread})


def _hash_of(what: object) -> str:
    return hashlib.sha256(repr(what).encode()).hexdigest()


def first_checks(lake: Lake, job: JobRecord) -> pa.Table | None:
    """The checks of which a job is the second look, as rows of the ledger; None if it is none.

    Raises TableUnreadable, FileNotFoundError, LakeError.
    """
    if job.first is None:
        return None
    with lake.workspace() as workspace:
        file = lake.fetch(job.first, workspace)
        with naming_the_unreadable(file):
            return pq.read_table(file, schema=CHECKSUMS, filters=pc.field("verdict") == DIFFERS)
