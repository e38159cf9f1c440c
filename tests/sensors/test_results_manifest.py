"""The sensor that gathers a map run's results: once for each manifest, however it is announced, if at all."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote_plus

import dagster as dg
import pytest

from devstack.faults import Refuse
from devstack.faulty_proxy import FaultyProxy
from devstack.moto_server import MotoServer, TestQueue
from fixity_assets import map_results as assets
from jobs.names import MAP_RESULTS_JOB, MAP_RUNS
from resources import CatalogResource, LakeResource, QueuesResource
from resources.map_results import MapResultsResource
from sensors.results_manifest import map_results_sensors
from tests.conftest import MakeBucket
from tests.fixity.engines.step_functions.support import WrittenRun, execution, failed
from tests.platform import Platform

NOW = datetime.now(UTC)


@pytest.fixture
def written(
    platform: Platform, make_bucket: MakeBucket, moto_server: MotoServer, queue: TestQueue
) -> WrittenRun:
    """A finished map run, on a platform with a queue."""
    run = WrittenRun(platform.s3, make_bucket())
    run.put([execution({"a": 1})])
    platform.more = {
        "stores": {
            "real": {"endpoint_url": platform.endpoint_url, "region": "us-east-1"},
            "moto": {"endpoint_url": moto_server.endpoint_url, "region": "us-east-1"},
        },
        "map_results": {"bucket": run.bucket, "store": "real"},
        "queues": {"results_manifest": {"url": queue.url, "store": "moto"}},
    }
    return run.finish()


def _eventbridge(bucket: str, key: str) -> dict[str, Any]:
    return {
        "version": "0",
        "id": "2d4eba74-fd51-3966-4bfa-b013c9da8ff1",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": "123456789012",
        "time": "2024-03-02T10:00:02Z",
        "region": "eu-west-2",
        "resources": [f"arn:aws:s3:::{bucket}"],
        "detail": {
            "version": "0",
            "bucket": {"name": bucket},
            "object": {"key": key, "size": 5, "etag": "b1946ac9", "sequencer": "00617F08299329D189"},
            "request-id": "N4N7GDK58NMKJ12R",
            "requester": "states.amazonaws.com",
            "reason": "PutObject",
        },
    }


def _classic(bucket: str, key: str) -> dict[str, Any]:
    said = {
        "key": quote_plus(key, safe="/"),
        "size": 5,
        "eTag": "b1946ac9",
        "sequencer": "0055AED6DCD90281E5",
    }
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "eventName": "ObjectCreated:Put",
                "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": bucket}, "object": said},
            }
        ]
    }


def _by_sns(message: dict[str, Any]) -> dict[str, Any]:
    return {"Type": "Notification", "TopicArn": "arn:aws:sns:eu-west-2:1:t", "Message": json.dumps(message)}


def _tick(
    platform: Platform,
    instance: dg.DagsterInstance,
    cursor: str | None = None,
    now: datetime = NOW,
    pages: int = 20,
) -> dg.SensorResult:
    """A tick, committed as the daemon commits it: with its partitions."""
    (sensor,) = map_results_sensors(platform.catalog, lambda: now, pages)
    catalog = CatalogResource(file=str(platform.file))
    resources = {
        "map_results": MapResultsResource(catalog=catalog),
        "queues": QueuesResource(catalog=catalog, wait=0),
        "lake": LakeResource(catalog=catalog),
    }
    with dg.build_sensor_context(instance=instance, cursor=cursor, resources=resources) as context:
        result = sensor(context)
    assert isinstance(result, dg.SensorResult)
    for request in result.dynamic_partitions_requests or []:
        instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
    return result


def _listed_already(receipts: list[str] | None = None) -> str:
    """The cursor of a sensor that listed the bucket just now."""
    return json.dumps({"receipts": receipts or [], "listed_at": NOW.isoformat(), "after": None})


def _keys(result: dg.SensorResult) -> list[str | None]:
    return [request.run_key for request in result.run_requests or []]


def _started(platform: Platform, instance: dg.DagsterInstance, asked: dg.SensorResult) -> bool:
    """Run what was asked for, as the daemon would; whether it went well."""
    (request,) = asked.run_requests or []
    job = platform.definitions().resolve_job_def(MAP_RESULTS_JOB)
    return job.execute_in_process(
        instance=instance,
        partition_key=request.partition_key,
        tags={"dagster/run_key": str(request.run_key)},
        raise_on_error=False,
    ).success


def test_a_manifest_announced_five_times_gives_one_run_and_one_object(
    platform: Platform, instance: dg.DagsterInstance, written: WrittenRun, queue: TestQueue
) -> None:
    bucket, key = written.bucket, written.key
    announced = [_eventbridge(bucket, key), _classic(bucket, key), _by_sns(_eventbridge(bucket, key))]
    for message in announced:
        queue.send(message)
    first = _tick(platform, instance, _listed_already())
    (request,) = first.run_requests or []
    assert request.partition_key == written.name
    assert instance.get_dynamic_partitions(str(MAP_RUNS.name)) == [written.name]
    assert platform.run(instance, MAP_RESULTS_JOB, written.name).success
    before = written.body()
    for message in (_by_sns(_classic(bucket, key)), _eventbridge(bucket, key)):
        queue.send(message)
    second = _tick(platform, instance, first.cursor)
    # The same key again: Dagster starts it once only.
    assert _keys(second) == [request.run_key]
    third = _tick(platform, instance, second.cursor)
    assert not third.run_requests and queue.kept == 0
    assert written.body() == before


def test_a_manifest_that_is_written_anew_is_gathered_anew(
    platform: Platform, instance: dg.DagsterInstance, written: WrittenRun, queue: TestQueue
) -> None:
    queue.send(_eventbridge(written.bucket, written.key))
    first = _tick(platform, instance, _listed_already())
    written.put([execution({"redriven": True})])
    written.finish()
    queue.send(_eventbridge(written.bucket, written.key))
    second = _tick(platform, instance, first.cursor)
    assert len(_keys(second)) == 1 and _keys(second) != _keys(first)


def test_messages_stay_until_their_tick_is_committed(
    platform: Platform, instance: dg.DagsterInstance, written: WrittenRun, queue: TestQueue
) -> None:
    queue.send(_eventbridge(written.bucket, written.key))
    first = _tick(platform, instance, _listed_already())
    assert queue.kept == 1
    _tick(platform, instance, first.cursor)
    assert queue.kept == 0


def test_what_announces_no_manifest_is_acknowledged_without_effect(
    platform: Platform, instance: dg.DagsterInstance, written: WrittenRun, queue: TestQueue
) -> None:
    deleted = _eventbridge(written.bucket, written.key) | {"detail-type": "Object Deleted"}
    for message in (
        "no JSON",
        {"Event": "s3:TestEvent", "Bucket": written.bucket},
        deleted,
        _eventbridge(written.bucket, f"{written.folder}SUCCEEDED_0.json"),
        _eventbridge(written.bucket, "manifest.json"),
        _eventbridge(written.bucket, "uuid/results.json/id/manifest.json"),
        _eventbridge(written.bucket, "consignment/uuid/results.json/gone/manifest.json"),
        _eventbridge("another-bucket", written.key),
        _classic("another-bucket", written.key),
    ):
        queue.send(message)
    result = _tick(platform, instance, _listed_already())
    assert not result.run_requests and not result.dynamic_partitions_requests
    _tick(platform, instance, result.cursor)
    assert queue.kept == 0


def test_what_no_message_announced_is_found_by_listing_until_it_is_gathered(
    platform: Platform, instance: dg.DagsterInstance, written: WrittenRun
) -> None:
    first = _tick(platform, instance)
    assert [request.partition_key for request in first.run_requests or []] == [written.name]
    soon = _tick(platform, instance, first.cursor, NOW + timedelta(minutes=14))
    assert not soon.run_requests
    # Asked for again with the same key, in case that its run was never started.
    again = _tick(platform, instance, first.cursor, NOW + timedelta(minutes=15))
    assert _keys(again) == _keys(first)
    assert platform.run(instance, MAP_RESULTS_JOB, written.name).success
    assert not _tick(platform, instance, again.cursor, NOW + timedelta(minutes=30)).run_requests


def test_history_is_left_alone_by_the_listing(
    platform: Platform, instance: dg.DagsterInstance, written: WrittenRun
) -> None:
    assert not _tick(platform, instance, now=NOW + timedelta(days=15)).run_requests


def test_a_long_listing_goes_on_in_the_next_tick(
    platform: Platform, instance: dg.DagsterInstance, written: WrittenRun
) -> None:
    for number in range(1005):
        platform.s3.put_object(Bucket=written.bucket, Key=f"!/{number:04d}", Body=b"")
    first = _tick(platform, instance, pages=1)
    assert not first.run_requests
    second = _tick(platform, instance, first.cursor, pages=1)
    assert [request.partition_key for request in second.run_requests or []] == [written.name]
    assert json.loads(second.cursor or "")["after"] is None


def test_without_a_queue_the_listing_does(
    platform: Platform, instance: dg.DagsterInstance, written: WrittenRun
) -> None:
    del platform.more["queues"]
    assert len(_tick(platform, instance).run_requests or []) == 1


def test_a_refused_run_is_not_asked_for_with_another_key(
    platform: Platform, instance: dg.DagsterInstance, written: WrittenRun
) -> None:
    written.put([failed("bad")], "FAILED")
    written.finish()
    first = _tick(platform, instance)
    assert not _started(platform, instance, first)
    later = _tick(platform, instance, first.cursor, NOW + timedelta(minutes=20))
    assert _keys(later) == _keys(first)  # which Dagster knows, and does not start again


def test_a_run_that_failed_for_a_passing_reason_is_asked_for_again_three_times_in_all(
    platform: Platform,
    instance: dg.DagsterInstance,
    written: WrittenRun,
    faulty_proxy: FaultyProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(assets, "RETRIES", None)  # the run's own, which would wait
    platform.more["stores"]["real"]["endpoint_url"] = faulty_proxy.endpoint_url
    faulty_proxy.fault(Refuse(403, times=None), key=written.key, method="HEAD")
    cursor, keys = None, []
    for minutes in (0, 20, 40):
        asked = _tick(platform, instance, cursor, NOW + timedelta(minutes=minutes))
        keys += _keys(asked)
        assert not _started(platform, instance, asked)
        cursor = asked.cursor
    assert len(set(keys)) == 3
    last = _tick(platform, instance, cursor, NOW + timedelta(minutes=60))
    assert _keys(last) == keys[-1:]  # which Dagster knows


def test_an_unreachable_bucket_loses_no_message(
    platform: Platform,
    instance: dg.DagsterInstance,
    written: WrittenRun,
    queue: TestQueue,
    faulty_proxy: FaultyProxy,
) -> None:
    queue.send(_eventbridge(written.bucket, written.key))
    platform.more["stores"]["real"]["endpoint_url"] = faulty_proxy.endpoint_url
    faulty_proxy.fault(Refuse(403, times=None), key=written.key, method="HEAD")
    tick = _tick(platform, instance, _listed_already())
    assert not tick.run_requests
    _tick(platform, instance, tick.cursor)
    assert queue.kept == 1
