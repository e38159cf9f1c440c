"""Requests a job for a bucket or for some of its objects. A repeated attempt never creates a second job.

The request is kept in the lake before S3 is called, until the job's id and receipt are kept. Calls to S3
(`batch_jobs`) and the form of the records (`job_records`) do not belong here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pyarrow.parquet as pq

from fixity.catalog import Bucket, Catalog
from fixity.clock import utc_now
from fixity.engines.s3_batch.batch_jobs import JobManifest, job_request, request_token, submit
from fixity.engines.s3_batch.errors import AccountFull
from fixity.engines.s3_batch.job_records import (
    JobRecord,
    Waiting,
    job_of_request,
    job_record,
    keep_job,
    keep_waiting,
    new_record,
    waiting_requests,
)
from fixity.errors import NotInInventory
from fixity.lake import Lake
from fixity.ledger.inventory import newest_inventory

if TYPE_CHECKING:
    from mypy_boto3_s3control import S3ControlClient


def note_request(
    lake: Lake, reports: Lake, bucket: Bucket, request_id: str, keys: Collection[str] | None = None
) -> Waiting:
    """Keep a request to check a bucket in the lake.

    Arguments: `reports`, the report bucket; `request_id`, the same for every attempt at one request;
    `keys` of the objects to check, below the bucket's prefix; by default all objects.
    Returns: the request, or the one for all objects that is already waiting.
    Raises TableMissing without an inventory, NotInInventory, LakeError.
    """
    inventory = newest_inventory(lake, bucket.name)
    token = request_token(bucket.name, request_id)
    for earlier in waiting_requests(lake, bucket.name):
        if earlier.token == token or (keys is None and earlier.manifest is None):
            return earlier
    manifest, objects = None, None
    if keys is not None:
        manifest, objects = _manifest_of(lake, reports, bucket, inventory, token, set(keys)), len(set(keys))
    waiting = Waiting(bucket.name, token, utc_now().isoformat(), inventory, manifest, objects)
    keep_waiting(lake, waiting)
    return waiting


def requested_job(lake: Lake, bucket: Bucket, request_id: str) -> JobRecord | None:
    """The job of an earlier attempt at a request; None if there is none. Raises LakeError."""
    return job_of_request(lake, bucket.name, request_token(bucket.name, request_id))


def submit_request(
    catalog: Catalog, lake: Lake, client: S3ControlClient, bucket: Bucket, waiting: Waiting, run_id: str
) -> JobRecord | None:
    """Submit a waiting request, and keep the job's record and receipt.

    Returns: the job, or None if the account has no room for another active job: the request keeps waiting.
    Raises S3ControlError, LakeError.
    """
    assert bucket.s3_batch is not None  # the catalog guarantees it
    if existing := job_of_request(lake, bucket.name, waiting.token):
        keep_job(lake, catalog, existing, waiting)
        return existing
    request = job_request(bucket, bucket.s3_batch, waiting.token, waiting.manifest)
    try:
        job_id = submit(client, request)
    except AccountFull:
        return None
    # A repeated attempt finds the job of the attempt before.
    record = job_record(lake, bucket.name, job_id)
    if record is None:
        # S3 lists the bucket now if it makes the manifest; our manifest comes from an older listing.
        inventory = waiting.inventory if waiting.manifest else newest_inventory(lake, bucket.name)
        record = new_record(bucket, job_id, run_id, inventory, waiting)
    keep_job(lake, catalog, record, waiting)
    return record


def _manifest_of(
    lake: Lake, reports: Lake, bucket: Bucket, inventory: str, token: str, keys: set[str]
) -> JobManifest:
    """Put a manifest of some listed objects."""
    with lake.workspace() as workspace:
        listed = pq.read_table(
            lake.fetch(inventory, workspace), columns=["key", "version_id"], filters=[("key", "in", keys)]
        ).to_pylist()
        missing = keys - {row["key"] for row in listed}
        if missing or not keys:
            raise NotInInventory(
                f"{len(missing):,} of {len(keys):,} requested objects are not in the newest inventory of "
                f"'{bucket.name}', such as {min(missing, default='')!r}: nothing was requested"
            )
        objects = ((row["key"], row["version_id"]) for row in listed)
        return put_manifest(reports, bucket, manifest_name(bucket, token), objects, workspace)


def manifest_name(bucket: Bucket, token: str) -> str:
    """The key of the manifest of a request, in the report bucket."""
    return f"batch/manifests/checksum/{bucket.real_name}/{token}.csv"


def put_manifest(
    reports: Lake,
    bucket: Bucket,
    name: str,
    objects: Iterable[tuple[str, str | None]],
    workspace: Path,
) -> JobManifest:
    """Put a manifest of objects (key, version) of a bucket into its report bucket, as `name`.

    Keys are URL-encoded; versions are given for all objects, or for none if one has none. A manifest that is
    there stays: an earlier attempt put it, and a job may be reading it. Raises LakeError.
    """
    rows = list(objects)
    versioned = all(version_id for _, version_id in rows)
    file = workspace / "manifest.csv"
    with file.open("w", encoding="ascii", newline="") as out:
        for key, version_id in rows:
            cells = [bucket.real_name, quote(bucket.prefix + key, safe="/")]
            out.write(",".join([*cells, str(version_id)] if versioned else cells) + "\n")
    etag = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
    try:
        reports.put(name, file)
    except FileExistsError:
        existing = reports.fetch(name, workspace).read_bytes()
        etag = hashlib.md5(existing, usedforsecurity=False).hexdigest()
        versioned = existing.partition(b"\n")[0].count(b",") == 2
    fields = ("Bucket", "Key", "VersionId") if versioned else ("Bucket", "Key")
    return JobManifest(name, etag, fields)
