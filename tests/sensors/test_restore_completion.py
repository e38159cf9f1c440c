"""What is restored is read at once; what is not is looked at again in time; nothing is read twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from moto.moto_api import state_manager

from devstack.moto_server import MotoServer, TestQueue
from jobs.names import INGEST_SELECTED_JOB, INVENTORY_JOB, RESTORE_JOB
from sensors.restore_completion import READING
from tests.platform import definitions_of, read_report
from tests.sensors.archive import BUCKET, ArchivePlatform

SENSOR = "restore_completion"


@pytest.fixture
def archive(moto_server: MotoServer, queue: TestQueue, tmp_path: Path) -> Iterator[ArchivePlatform]:
    state_manager.set_transition("s3::keyrestore", {"progression": "manual", "times": 1})
    settings = {"archived": "restore", "restore": {"tier": "Expedited"}}
    yield ArchivePlatform(tmp_path, moto_server, {"restore_completion": queue}, settings)
    state_manager.unset_transition("s3::keyrestore")


def completed(archive: ArchivePlatform, key: str) -> dict[str, object]:
    about = {"bucket": {"name": archive.real_name}, "object": {"key": key, "size": 3, "etag": "e"}}
    return {"detail-type": "Object Restore Completed", "source": "aws.s3", "detail": about}


def test_without_an_event_it_is_looked_again_after_the_tiers_time_and_what_is_ready_is_read(
    archive: ArchivePlatform, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, storage_class in (("film", "GLACIER"), ("at-hand", "STANDARD")):
        archive.s3.put_object(
            Bucket=archive.real_name,
            Key=key,
            Body=b"abc",
            StorageClass=storage_class,  # type: ignore[arg-type]
        )
    archive.run(instance, INVENTORY_JOB)
    assert archive.run(instance, RESTORE_JOB)["requested"] == 1
    assert archive.tick(instance, SENSOR)[0] == []
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + 5 * 60)
    (look,), _ = archive.tick(instance, SENSOR)
    assert (look.job_name, look.partition_key) == (RESTORE_JOB, BUCKET)
    archive.run(instance, RESTORE_JOB)  # in progress still, as moto counts
    assert archive.run(instance, RESTORE_JOB)["restored"] == 1
    (read,), _ = archive.tick(instance, SENSOR)
    assert read.job_name == INGEST_SELECTED_JOB
    assert archive.tick(instance, SENSOR)[0] == [read]  # the same run key: one run
    (row,) = read_report(archive.run(instance, INGEST_SELECTED_JOB, read)["csv"])
    assert (row["key"], row["result"], row["compared_with"]) == ("film", "MATCHED", "object-etag")
    last = archive.run(instance, RESTORE_JOB)
    assert (last["checked"], "look_again_at" in last) == (1, False)
    assert archive.tick(instance, SENSOR)[0] == []


def test_an_event_has_its_object_read_at_once_and_is_acknowledged_by_the_next_tick(
    archive: ArchivePlatform, queue: TestQueue, instance: dg.DagsterInstance
) -> None:
    archive.s3.put_object(Bucket=archive.real_name, Key="film 1", Body=b"abc", StorageClass="GLACIER")
    queue.send(completed(archive, "film 1"))
    queue.send(completed(archive, "film 1"))
    queue.send({"Records": [{"eventName": "ObjectRestore:Completed", "s3": {
        "bucket": {"name": archive.real_name}, "object": {"key": "film+2"}}}]})  # fmt: skip
    queue.send({**completed(archive, "x"), "detail": {"bucket": {"name": "other"}, "object": {"key": "x"}}})
    queue.send("no JSON")
    (request,), cursor = archive.tick(instance, SENSOR)
    assert request.partition_key == BUCKET
    assert archive.selected(request).replace("\n", "") == '[["film 1",null],["film 2",null]]'
    assert queue.kept == 5
    assert archive.tick(instance, SENSOR, cursor)[0] == []
    assert queue.kept == 0


def test_an_event_that_came_too_early_leaves_the_object_skipped_and_undamaged(
    archive: ArchivePlatform, queue: TestQueue, instance: dg.DagsterInstance
) -> None:
    archive.s3.put_object(Bucket=archive.real_name, Key="film", Body=b"abc", StorageClass="GLACIER")
    queue.send(completed(archive, "film"))
    (request,), _ = archive.tick(instance, SENSOR)
    (row,) = read_report(archive.run(instance, INGEST_SELECTED_JOB, request)["csv"])
    assert (row["result"], row["status"], row["error_code"]) == ("SKIPPED", "skipped", "Archived")


def test_a_look_that_failed_is_repeated_later_and_later(
    archive: ArchivePlatform, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.s3.put_object(Bucket=archive.real_name, Key="film", Body=b"abc", StorageClass="GLACIER")
    archive.run(instance, INVENTORY_JOB)
    archive.run(instance, RESTORE_JOB)
    clock, waited = time.time, [5 * 60.0]
    monkeypatch.setattr(time, "time", lambda: clock() + waited[0])
    (first,), _ = archive.tick(instance, SENSOR)
    keys = [first.run_key]
    for rest in (15 * 60, 30 * 60):
        failed = instance.create_run_for_job(
            definitions_of(archive.catalog).resolve_job_def(RESTORE_JOB),
            tags={"dagster/partition": BUCKET},
        )
        instance.report_run_failed(failed)
        waited[0] += rest - 60
        assert archive.tick(instance, SENSOR)[0] == []
        waited[0] += 120
        (again,), _ = archive.tick(instance, SENSOR)
        keys.append(again.run_key)
    assert len(set(keys)) == 3


def test_only_runs_of_what_was_ready_hold_the_next_look_back(
    archive: ArchivePlatform, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.s3.put_object(Bucket=archive.real_name, Key="film", Body=b"abc", StorageClass="GLACIER")
    archive.run(instance, INVENTORY_JOB)
    archive.run(instance, RESTORE_JOB)
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + 5 * 60)
    job = definitions_of(archive.catalog).resolve_job_def(INGEST_SELECTED_JOB)
    of_bucket = {"dagster/partition": BUCKET}
    instance.create_run_for_job(job, tags=of_bucket, status=dg.DagsterRunStatus.STARTED)
    assert len(archive.tick(instance, SENSOR)[0]) == 1
    instance.create_run_for_job(
        job, tags={**of_bucket, READING: "restored"}, status=dg.DagsterRunStatus.STARTED
    )
    assert archive.tick(instance, SENSOR)[0] == []
