"""`fixity request` and `fixity jobs` as processes, against the stand-in for S3 Control."""

from __future__ import annotations

import threading

from tests.batch_platform import REPLICA, BatchPlatform
from tests.fixity_cli.test_fixity_command import fixity
from tests.platform import PAIR


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
    assert head == ["BUCKET", "JOB", "STATUS", "TASKS", "DONE", "FAILED", "AGE"]
    assert [row[:7] for row in rows] == [
        [bucket, jobs[bucket], "Active", "0", "of", "2", "0"] for bucket in (PAIR, REPLICA)
    ]


def test_a_bucket_that_s3_does_not_check_is_wrong_use(batch: BatchPlatform) -> None:
    batch.bucket_settings["engine"] = "stream"
    done = fixity("request", PAIR, "--catalog", str(batch.file), folder=batch.folder)
    assert done.returncode == 2 and "has no `engine: s3_batch`; run `fixity checksums" in done.stderr
    assert fixity("request", "depsit", "--catalog", str(batch.file), folder=batch.folder).returncode == 2
