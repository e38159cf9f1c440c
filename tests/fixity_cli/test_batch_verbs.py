"""`fixity request` and `fixity jobs` as processes, against the stand-in for S3 Control."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pyarrow as pa
from typer.testing import CliRunner

from fixity.engines.s3_batch.batch_jobs import JobManifest
from fixity.engines.s3_batch.copy_jobs import CopyJob, keep_copy_outcome, keep_job_id, keep_request
from fixity.engines.s3_batch.job_records import Waiting, keep_waiting
from fixity_cli.main import app
from tests.batch_platform import REPLICA, BatchPlatform
from tests.fixity_cli.test_fixity_command import fixity
from tests.platform import PAIR

NOW = "2026-01-01T00:00:00+00:00"


def test_a_pair_is_requested_and_its_jobs_are_shown(batch: BatchPlatform) -> None:
    batch.put("a")
    batch.put("b")
    batch.control.behaviour.hold = threading.Event()
    catalog = str(batch.file)
    done = fixity("request", PAIR, "--catalog", catalog, folder=batch.folder)
    assert done.returncode == 0, done.stderr
    jobs = dict(line.split(": job ") for line in done.stdout.splitlines())
    assert set(jobs) == {PAIR, REPLICA}
    shown = fixity("jobs", "--catalog", catalog, folder=batch.folder)
    assert shown.returncode == 0, shown.stderr
    head, *rows = (line.split() for line in shown.stdout.splitlines())
    assert head == ["BUCKET", "JOB", "KIND", "STATUS", "TASKS", "DONE", "FAILED", "AGE"]
    assert [row[:8] for row in rows] == [
        [bucket, jobs[bucket], "checksums", "Active", "0", "of", "2", "0"] for bucket in (PAIR, REPLICA)
    ]


def test_second_looks_and_the_copies_of_repairs_are_shown_with_the_jobs(batch: BatchPlatform) -> None:
    lake, manifest = batch.lake, JobManifest("key", "etag", ("Bucket", "Key"))
    keep_waiting(lake, Waiting(PAIR, "token", NOW, "inventory/x.parquet", manifest, 1, "checksums/x.parquet"))
    asked = CopyJob(PAIR, PAIR, REPLICA, "t1", "run", NOW, manifest, batch.managed, "prefix", 1)
    for job in (asked, replace(asked, token="t2"), replace(asked, token="t3")):
        keep_request(lake, job, pa.table({"key": ["k"]}))
    keep_job_id(lake, asked, "copying")
    keep_copy_outcome(lake, replace(asked, token="t3"), "Complete", "run")
    shown = CliRunner().invoke(app, ["jobs", "--json", "--catalog", str(batch.file)])
    assert shown.exit_code == 0, shown.stderr
    rows = [
        (row["bucket"], row["job"], row["kind"], row["status"]) for row in json.loads(shown.stdout)["rows"]
    ]
    waits = "waiting to be submitted"
    assert rows == [
        (PAIR, "-", "second look", waits),
        (REPLICA, "-", "checksums", "never requested"),
        (REPLICA, "copying", "copy", "Vanished"),  # the stand-in does not know it
        (REPLICA, "-", "copy", waits),
    ]


def test_a_bucket_that_s3_does_not_check_is_wrong_use(batch: BatchPlatform) -> None:
    batch.bucket_settings["engine"] = "stream"
    done = fixity("request", PAIR, "--catalog", str(batch.file), folder=batch.folder)
    assert done.returncode == 2 and "has no `engine: s3_batch`; run `fixity checksums" in done.stderr
    assert fixity("request", "depsit", "--catalog", str(batch.file), folder=batch.folder).returncode == 2
