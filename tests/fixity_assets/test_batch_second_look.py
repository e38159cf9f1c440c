"""Damage that S3 Batch finds in objects that only S3 can read, through sensors and assets on real servers."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg
import pytest

from devstack.seaweedfs import SeaweedFS
from devstack.seaweedfs_damage import corrupt_object
from fixity.buckets import ListedObject, ObjectSkipped, Sink
from fixity.buckets.s3.reader import S3Reader
from fixity.engines.s3_batch.job_records import open_jobs
from fixity.errors import FixityError
from fixity.incidents import opening
from fixity.incidents.state import incidents_now
from jobs.names import INGEST_JOB, REPORT_JOB, REQUEST_JOB
from sensors import batch_reconciliation
from tests.batch_platform import REPLICA, BatchPlatform, failures
from tests.platform import PAIR, read_report, report_metadata


def test_damage_that_only_s3_can_read_is_confirmed_by_a_job_of_its_own_and_a_killed_run_is_made_up_for(
    batch: BatchPlatform,
    instance: dg.DagsterInstance,
    seaweedfs: SeaweedFS,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(self: S3Reader, item: ListedObject, sink: Sink) -> None:
        raise ObjectSkipped("Archived", "it has to be restored")

    def killed(*_: object) -> None:
        raise FixityError("killed")

    def looked() -> dg.SensorResult:
        batch.control.jobs.wait()
        return batch.tick(instance, "batch_reconciliation")

    monkeypatch.setattr(S3Reader, "read_afresh", refuse)
    monkeypatch.setattr(batch_reconciliation, "HEAD_START", timedelta(0))
    for key in ("bad", "good"):
        batch.put(key, b"as deposited")
    batch.request(instance, REPLICA)
    batch.follow(instance, looked())
    corrupt_object(seaweedfs, batch.replica, "bad")
    batch.request(instance, REPLICA)
    with monkeypatch.context() as patched:  # after the checks were kept, before their incident is
        patched.setattr(opening, "append", killed)
        (result,) = batch.follow(instance, looked())
    assert not result.success and "killed" in failures(result)
    assert incidents_now(batch.lake) == [] and len(open_jobs(batch.lake, REPLICA)) == 1

    again = looked()
    assert sorted(each.job_name or "" for each in again.run_requests or []) == [INGEST_JOB, REQUEST_JOB]
    batch.follow(instance, again)
    (incident,) = incidents_now(batch.lake)
    assert [(each.key, each.confirmed) for each in incident.objects] == [("bad", False)]
    (job,) = open_jobs(batch.lake, REPLICA)
    assert job.first and job.objects == 1
    (settled,) = batch.follow(instance, looked())
    assert settled.success
    (incident,) = incidents_now(batch.lake)
    assert [(each.key, each.state, each.confirmed) for each in incident.objects] == [("bad", "open", True)]
    assert not looked().run_requests


def test_a_pair_s_report_has_s3_read_what_differs_and_it_cannot_read(
    batch: BatchPlatform, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = S3Reader.read

    def refuse(self: S3Reader, item: ListedObject, sink: Sink) -> None:
        if item.size == len(b"archived"):
            raise ObjectSkipped("Archived", "it has to be restored")
        read(self, item, sink)

    monkeypatch.setattr(S3Reader, "read_afresh", refuse)
    monkeypatch.setattr(batch_reconciliation, "HEAD_START", timedelta(0))
    batch.put("k", b"in the source", replica=b"archived")
    batch.put("same")

    def looked() -> dg.SensorResult:
        batch.control.jobs.wait()
        return batch.tick(instance, "batch_reconciliation")

    def reported() -> tuple[str, dict[str, object]]:
        said = report_metadata(batch.run(instance, REPORT_JOB, PAIR))
        return {row["key"]: row["detail"] for row in read_report(said["csv"])}["k"], said

    for bucket in (PAIR, REPLICA):
        batch.request(instance, bucket)
    batch.follow(instance, looked())
    detail, said = reported()
    assert "suspect, not looked at twice: Archived" in detail and said["to_be_read_again_by_s3"] == 1
    asked = looked()
    assert [each.partition_key for each in asked.run_requests or []] == [REPLICA]
    batch.follow(instance, asked)
    batch.follow(instance, looked())
    detail, said = reported()
    assert "not looked at twice" not in detail and "to_be_read_again_by_s3" not in said
    (incident,) = incidents_now(batch.lake)
    assert [(each.key, each.confirmed) for each in incident.objects] == [("k", True)]
