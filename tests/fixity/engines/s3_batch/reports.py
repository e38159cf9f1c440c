"""Completion reports by hand: rows as S3 writes them, a manifest, an inventory, and what is ingested."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.catalog import Bucket, S3Batch
from fixity.engines.s3_batch.absent import Find
from fixity.engines.s3_batch.batch_jobs import JobState
from fixity.engines.s3_batch.job_records import JobRecord
from fixity.engines.s3_batch.keep import ingest_report
from fixity.lake import LocalLake
from fixity.lake.writer import TableWriter
from fixity.ledger.bucket_run import BucketRun
from fixity.ledger.judge import LookAgain
from fixity.ledger.write import Checksums
from fixity.tables import INVENTORY, Provenance

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
BUCKET = "deposit"
# As the user guide and real reports have them.
REAL_ROW = (
    "test-stack-private,wasteland01elio.pdf,FOnd2QGDWnvlayX7twmpossPZCggjvkW,succeeded,200,,"
    '"{""checksum_base64"":""l2kHKxgAOCnRFlcGDcmNz7XJbVDBl79A60DZLi0teGk="",'
    '""ETag"":""b6962e69f0505dc50e8022c7f0bf09b6"",""checksumAlgorithm"":""SHA256"",'
    '""checksumType"":""FULL_OBJECT"",'
    '""checksum_hex"":""9769072B18003829D11657060DC98DCFB5C96D50C197BF40EB40D92E2D2D7869""}"\n'
)
CRC32_ROW = (
    "amzn-s3-demo-bucket1,s3-standard-1mb-test-object,,succeeded,200,,"
    '"{""checksum_base64"":""bS9TOQ\\u003d\\u003d"",""etag"":""3c3c1813042989094598e4b57ecbdc82"",'
    '""checksumAlgorithm"":""CRC32"",""checksumType"":""FULL_OBJECT"",""checksum_hex"":""6D2F5339""}"\n'
)
FAILED_ROWS = (
    "amzn-s3-demo-bucket1,image_14975,,failed,200,PermanentFailure,"
    '"error details: {""failureMessage"":"Task 2845ca0d-38d9-4c4b-abcf-379dc749c452 SSE-C encryption type '
    'is not supported for this operation", ""errorCode"": ""400""}"\n'
    "amzn-s3-demo-bucket1,image_14976,,failed,200,PermanentFailure,"
    '"error details: {""failureMessage"":"Task 2845ca0d-38d9-4c4b-abcf-379dc749c452 Key not found", '
    '""errorCode"": ""404""}"\n'
)


def etag(key: str) -> str:
    """The ETag that a key has in inventories and reports, unless told otherwise."""
    return hashlib.md5(key.encode()).hexdigest()


def row(key: str, version: str = "", bucket: str = BUCKET, **other: Any) -> str:
    """A succeeded task's row; `other` replaces members of its message, or removes them (None)."""
    digest = hashlib.sha256(key.encode()).digest()
    said = {
        "checksum_base64": base64.b64encode(digest).decode(),
        "ETag": etag(key),
        "checksumAlgorithm": "SHA256",
        "checksumType": "FULL_OBJECT",
        "checksum_hex": digest.hex().upper(),
    } | other
    said = {name: value for name, value in said.items() if value is not None}
    message = json.dumps(said, separators=(",", ":"))
    cell = quoted(key) if any(each in key for each in '",\r\n') else key
    return ",".join([bucket, cell, version, "succeeded", "200", "", quoted(message)]) + "\n"


def failed_row(key: str, why: str, version: str = "", code: str = "403") -> str:
    """A failed task's row, its message as S3 leaves it: no CSV."""
    task = "Task 2845ca0d-38d9-4c4b-abcf-379dc749c452"
    message = f'"error details: {{""failureMessage"":"{task} {why}", ""errorCode"": ""{code}""}}"'
    return ",".join([BUCKET, key, version, "failed", "200", "PermanentFailure", message]) + "\n"


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def listed(key: str, version_id: str | None = None, tag: str | None = None) -> dict[str, Any]:
    """An object as an inventory lists it."""
    return {
        "key": key,
        "version_id": version_id,
        "is_latest": True,
        "size": len(key),
        "etag": tag or etag(key),
        "last_modified": NOON,
        "storage_class": "GLACIER",
        "checksum_algorithm": None,
    }


@dataclass
class Ingest:
    """A lake with an inventory, and a report bucket with a report."""

    folder: Path
    bucket_settings: dict[str, Any] = field(default_factory=dict)
    batch_settings: dict[str, Any] = field(default_factory=dict)
    objects: int | None = None
    state: JobState | None = None
    find: Find | None = None
    place: str | None = None
    token: str | None = None
    noted: datetime = NOON
    look_again: LookAgain = lambda checks, expectations: checks

    def __post_init__(self) -> None:
        self.lake = LocalLake(self.folder / "lake")
        self.reports = LocalLake(self.folder / "reports")
        self.manifest: dict[str, Any] = {
            "Format": "Report_CSV_20180820",
            "ReportCreationDate": "2026-01-24T01:26:27.366827532Z",
            "Results": [],
        }

    @property
    def bucket(self) -> Bucket:
        settings = S3Batch(
            account_id="111122223333",
            role_arn="arn:aws:iam::111122223333:role/jobs",
            report_bucket="managed",
            **self.batch_settings,
        )
        said = {"name": BUCKET, "engine": "s3_batch", "s3_batch": settings, **self.bucket_settings}
        return Bucket(**said)

    def listing(self, *objects: dict[str, Any], name: str = "listing") -> None:
        """Keep an inventory."""
        rows = sorted(objects, key=lambda each: (each["key"], each["version_id"] or ""))
        with self.lake.workspace() as workspace:
            file = workspace / "inventory.parquet"
            writer = TableWriter(file, INVENTORY, Provenance(BUCKET, name, name, NOON, "s3://deposit/"))
            writer.write(pa.RecordBatch.from_pylist(rows, schema=INVENTORY))
            writer.close()
            self.lake.put(f"inventory/{BUCKET}/{name}.parquet", file)

    def result(self, kind: str, text: str | bytes) -> None:
        """Add a result file to the report."""
        body = text.encode() if isinstance(text, str) else text
        key = f"prefix/job-j/results/{len(self.manifest['Results'])}.csv"
        with self.reports.workspace() as workspace:
            (workspace / "result").write_bytes(body)
            self.reports.put(key, workspace / "result")
        md5 = hashlib.md5(body).hexdigest()
        self.manifest["Results"].append(
            {"TaskExecutionStatus": kind, "Bucket": "managed", "MD5Checksum": md5, "Key": key}
        )

    def put_manifest(self, text: str | None = None) -> None:
        """Write the report's manifest."""
        self.reports.put_text("prefix/job-j/manifest.json", text or json.dumps(self.manifest), replace=True)

    def run(self, run_id: str = "run") -> Checksums:
        """Ingest the report."""
        if not (self.reports._root / "prefix/job-j/manifest.json").exists():
            self.put_manifest()
        algorithm = self.bucket.algorithm
        inventory, noted = f"inventory/{BUCKET}/listing.parquet", self.noted.isoformat()
        record = JobRecord(
            BUCKET, "j", "submitter", noted, inventory, algorithm,
            "FULL_OBJECT", "managed", "prefix", self.objects, token=self.token,
        )  # fmt: skip
        run = BucketRun(self.lake, self.bucket, run_id, self.place)
        return ingest_report(run, self.reports, record, self.state, self.find, self.look_again)

    def table(self, run_id: str = "run") -> Sequence[dict[str, Any]]:
        """The rows that were kept."""
        rows: list[dict[str, Any]] = pq.read_table(
            self.folder / f"lake/checksums/{BUCKET}/{run_id}.parquet"
        ).to_pylist()
        return rows

    @property
    def kept(self) -> list[str]:
        """The files of the ledger."""
        return [file.name for file in self.lake.list(f"checksums/{BUCKET}/")]
