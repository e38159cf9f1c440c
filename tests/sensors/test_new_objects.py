"""New objects are read soon after they arrived, those of a tick in one run, whatever the message's form."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from devstack.moto_server import MotoServer, TestQueue
from jobs.names import INGEST_SELECTED_JOB
from tests.platform import read_report
from tests.sensors.archive import ArchivePlatform


@pytest.fixture
def arrivals(moto_server: MotoServer, queue: TestQueue, tmp_path: Path) -> ArchivePlatform:
    settings = {"prefix": "in/", "exclude": ["*.tmp"]}
    return ArchivePlatform(tmp_path, moto_server, {"new_objects": queue}, settings)


def created(bucket: str, key: str, sequencer: str = "01") -> dict[str, object]:
    about = {"key": key, "size": 3, "etag": "e", "sequencer": sequencer}
    return {
        "detail-type": "Object Created",
        "source": "aws.s3",
        "detail": {"bucket": {"name": bucket}, "object": about},
    }


def test_the_objects_of_a_tick_are_read_in_one_run(
    arrivals: ArchivePlatform, queue: TestQueue, instance: dg.DagsterInstance
) -> None:
    for key in ("in/a", "in/b c", "in/x.tmp", "elsewhere/d"):
        arrivals.s3.put_object(Bucket=arrivals.real_name, Key=key, Body=b"abc")
        queue.send(created(arrivals.real_name, key))
    queue.send(created("another-bucket", "in/a"))
    queue.send({"Service": "Amazon S3", "Event": "s3:TestEvent"})
    queue.send(created(arrivals.real_name, "in/deleted-since"))
    (request,), cursor = arrivals.tick(instance, "new_objects")
    rows = read_report(arrivals.run(instance, INGEST_SELECTED_JOB, request)["csv"])
    assert [(row["key"], row["result"], row["status"]) for row in rows] == [
        ("a", "MATCHED", "succeeded"),
        ("b c", "MATCHED", "succeeded"),
        ("deleted-since", "SKIPPED", "missing"),
    ]
    assert arrivals.tick(instance, "new_objects", cursor)[0] == []
    assert queue.kept == 0


def test_a_message_that_is_delivered_again_makes_no_second_run_and_an_overwrite_does(
    arrivals: ArchivePlatform, queue: TestQueue, instance: dg.DagsterInstance
) -> None:
    keys = []
    for sequencer in ("01", "01", "02"):
        queue.send(created(arrivals.real_name, "in/a", sequencer))
        (request,), _ = arrivals.tick(instance, "new_objects")
        keys.append(request.run_key)
    assert keys[0] == keys[1] != keys[2]


def test_objects_of_a_bucket_that_another_engine_reads_are_left_to_it(
    arrivals: ArchivePlatform, queue: TestQueue, instance: dg.DagsterInstance
) -> None:
    role = "arn:aws:iam::111122223333:role/batch"
    settings = {"account_id": "111122223333", "role_arn": role, "report_bucket": "reports"}
    arrivals.settings = {"engine": "s3_batch", "algorithm": "SHA256", "s3_batch": settings}
    queue.send(created(arrivals.real_name, "a"))
    requests, cursor = arrivals.tick(instance, "new_objects")
    assert requests == []
    assert arrivals.tick(instance, "new_objects", cursor)[0] == []
    assert queue.kept == 0
