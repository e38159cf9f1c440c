"""The whole flow on real servers: jobs requested, their events heard, reports ingested, the pair's report."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from fixity.status import StatusRow, status_of
from jobs.names import INGEST_JOB, JOB_TAG, REPORT_JOB
from tests.batch_platform import REPLICA, BatchPlatform, reason
from tests.platform import PAIR, read_report, report_metadata


def test_two_jobs_their_events_and_one_report(batch: BatchPlatform, instance: dg.DagsterInstance) -> None:
    batch.put("same é/a b+c.txt")
    batch.put("changed", b"as deposited", replica=b"not any more")
    batch.put("unsupported")
    batch.control.behaviour.fail_keys.add("unsupported")
    batch.control.behaviour.send_twice = True
    jobs = {bucket: batch.request(instance, bucket) for bucket in (PAIR, REPLICA)}
    batch.control.jobs.wait()

    heard = batch.tick(instance, "batch_completion")
    requests = heard.run_requests or []
    assert {request.tags["fixity/job_id"] for request in requests} == set(jobs.values())
    first, second = requests
    assert batch.follow(instance, dg.SensorResult(run_requests=[first]))[0].success
    both_sides = batch.tick(instance, "report_when_both_sides_are_checked")
    assert not both_sides.run_requests
    assert reason(both_sides) == f"{PAIR} waits for {second.partition_key}"
    assert batch.follow(instance, dg.SensorResult(run_requests=[second]))[0].success
    (asked,) = (
        batch.tick(instance, "report_when_both_sides_are_checked", both_sides.cursor).run_requests or []
    )
    result = batch.run(instance, REPORT_JOB, str(asked.partition_key))
    said = report_metadata(result)
    rows = {row["key"]: row for row in read_report(said["csv"])}
    assert {key: row["status"] for key, row in rows.items()} == {
        "changed": "mismatch",
        "same é/a b+c.txt": "ok",
        "unsupported": "ok",  # what S3 could not read, the platform could
    }
    assert rows["changed"]["checksum_source"] == hashlib.sha256(b"as deposited").hexdigest()
    assert (said["failed_source"], said["failed_replication"]) == (0, 0)
    assert (said["looked_again"], said["turned_out_right"]) == (2, 1)

    # The second delivery of each event, and every look afterwards, ask for nothing.
    later = batch.tick(instance, "batch_completion", heard.cursor)
    assert not later.run_requests and batch.queue.kept == 0
    assert not batch.tick(instance, "batch_reconciliation").run_requests


def _status(batch: BatchPlatform) -> StatusRow:
    rows = status_of(batch.lake, batch.catalog, datetime.now(UTC)).rows
    (found,) = (row for row in rows if (row.kind, row.name) == ("bucket", PAIR))
    return found


@pytest.mark.parametrize("term", [None, "90d"])
def test_a_job_over_some_objects_verifies_no_bucket_and_forgets_nothing_that_could_not_be_read(
    batch: BatchPlatform, instance: dg.DagsterInstance, term: str | None
) -> None:
    batch.bucket_settings |= {"fixity_every": term} if term else {}
    for key in ("a", "b"):
        batch.put(key)
    keys = batch.folder / "keys.txt"
    keys.write_text("a\n")

    def check(only: Path | None) -> StatusRow:
        job = batch.request(instance, PAIR, only)
        batch.control.jobs.wait()
        assert batch.run(instance, INGEST_JOB, PAIR, tags={JOB_TAG: str(job)}).success
        return _status(batch)

    never_counted = "nobody counted in the last day how much was checked within the term"
    assert check(keys).unknown == (never_counted if term else "only some of its objects were checked",)
    batch.control.behaviour.fail_keys.add("b")
    unread = check(None)
    assert unread.unknown == () and [each.check for each in unread.red] == ["all_read"]
    still = check(keys)
    assert still.unknown == () and [each.text for each in still.red] == ["could not be read before: 1"]
