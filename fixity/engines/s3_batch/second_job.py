"""Has S3 read again, in a job of their own, objects that checks call wrong and the platform cannot read.

The request waits until `batch_reconciliation` submits it. What both reads of an object together say does not
belong here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fixity import compute as pc
from fixity.catalog import Bucket
from fixity.clock import utc_now
from fixity.engines.s3_batch.batch_jobs import request_token
from fixity.engines.s3_batch.job_records import JobRecord, Waiting, job_of_request, keep_waiting
from fixity.engines.s3_batch.request import manifest_name, note_request, put_manifest, requested_job
from fixity.lake import Lake
from fixity.ledger.inventory import newest_inventory
from fixity.ledger.judge import BEYOND_LIMITS
from fixity.tables import CHECKSUMS, DIFFERS, NOT_TWICE, naming_the_unreadable

_LISTED = ["key", "version_id", "size", "etag", "last_modified"]


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
        rows = _not_looked_at_twice(lake.fetch(checks, workspace))
        return _note(lake, reports, bucket, _First(job.job_id, job.inventory, checks), rows)


def note_second_look_at_map(lake: Lake, reports: Lake, bucket: Bucket, checks: str) -> Waiting | None:
    """The same for what a map found to differ.

    Arguments: `checks`, the file of the ledger with the map's checks. Only objects that are as the newest
    inventory lists them are requested: with it the report of S3 is compared. Raises TableMissing,
    TableUnreadable, LakeError.
    """
    inventory = newest_inventory(lake, bucket.name)
    with lake.workspace() as workspace:
        rows = _not_looked_at_twice(lake.fetch(checks, workspace))
        if rows.num_rows:
            file = lake.fetch(inventory, workspace)
            with naming_the_unreadable(file):
                of_keys = pc.field("key").isin(rows["key"])
                listed = set(_objects(pq.read_table(file, columns=_LISTED, filters=of_keys)))
            rows = rows.filter(pa.array([each in listed for each in _objects(rows)]))
        return _note(lake, reports, bucket, _First(checks, inventory, checks), rows)


def _objects(rows: pa.Table) -> Iterator[tuple[Any, ...]]:
    return zip(*(rows[name].to_pylist() for name in _LISTED), strict=True)


class _First(NamedTuple):
    """A first look: what is told of it in the request, the inventory to compare with, and its checks."""

    name: str
    inventory: str
    checks: str


def _not_looked_at_twice(checks: Path) -> pa.Table:
    """The rows of a file of the ledger that differ, and that the platform could not read."""
    message = pc.field("error_message")
    unread = pc.starts_with(message, NOT_TWICE) & (message != BEYOND_LIMITS)
    with naming_the_unreadable(checks):
        return pq.read_table(
            checks, columns=[*_LISTED, "checksum"], filters=(pc.field("verdict") == DIFFERS) & unread
        )


def _note(lake: Lake, reports: Lake, bucket: Bucket, first: _First, rows: pa.Table) -> Waiting | None:
    """Keep a request to read these objects again; None if there are none, or if it was requested before."""
    found = rows.select(["key", "version_id", "checksum"]).to_pylist()
    which = [tuple(row.values()) for row in found]
    token = request_token(bucket.name, f"second look at {first.name}: {_hash_of(which)}")
    if not found or job_of_request(lake, bucket.name, token):
        return None
    objects = ((row["key"], row["version_id"]) for row in found)
    with lake.workspace() as workspace:
        manifest = put_manifest(reports, bucket, manifest_name(bucket, token), objects, workspace)
    now = utc_now().isoformat()
    waiting = Waiting(bucket.name, token, now, first.inventory, manifest, len(found), first.checks)
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
