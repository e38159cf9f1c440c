"""The sensor that takes a provider's list, once, when its last file has arrived."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from fixity.inventories.folder import ListRefused
from jobs.names import CHECKSUMS_JOB, INVENTORY_JOB, LIST_TAG, REPORT_JOB
from sensors.provided_lists import provided_lists_sensor
from tests.conftest import MakeBucket
from tests.fixity.inventories.lists import PREFIX, Lists, rows_of
from tests.platform import PAIR, Platform, read_report, report_metadata

REPLICA = f"{PAIR}-repl"
NOW = datetime.now(UTC).replace(second=0, microsecond=0)


def _with_lists(platform: Platform, bucket: str) -> Lists:
    """The platform, whose replica is not listed but has lists in a bucket."""
    lists = Lists(platform.s3, bucket)
    common: dict[str, Any] = {"store": "real"}
    inventory = {"from": "s3_inventory", "at": lists.place}
    platform.more["buckets"] = {
        PAIR: {**common, "bucket": platform.source},
        REPLICA: {**common, "bucket": platform.replica, "inventory": inventory},
    }
    return lists


def _tick(
    platform: Platform, instance: dg.DagsterInstance, cursor: str | None, now: datetime = NOW
) -> dg.SensorResult:
    with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
        result = provided_lists_sensor(platform.catalog, lambda: now)(context)
    assert isinstance(result, dg.SensorResult)
    return result


def test_a_list_is_taken_once_when_its_last_file_has_arrived(
    platform: Platform, instance: dg.DagsterInstance, make_bucket: MakeBucket
) -> None:
    lists = _with_lists(platform, make_bucket())
    platform.put("a")
    rows = rows_of(platform.s3, platform.replica)
    nothing = _tick(platform, instance, None)
    first = lists.write(platform.replica, rows, at=NOW - timedelta(hours=3))
    last = f"{PREFIX}{first}/manifest.checksum"
    body = platform.s3.get_object(Bucket=lists.bucket, Key=last)["Body"].read()
    platform.s3.delete_object(Bucket=lists.bucket, Key=last)
    assert not nothing.run_requests and not _tick(platform, instance, nothing.cursor).run_requests
    platform.s3.put_object(Bucket=lists.bucket, Key=last, Body=body)
    arrived = _tick(platform, instance, nothing.cursor)
    (request,) = arrived.run_requests or []
    assert (request.partition_key, request.tags) == (REPLICA, {LIST_TAG: first})
    assert not _tick(platform, instance, arrived.cursor).run_requests
    # A cursor that was lost asks again with the same run key, which Dagster starts once only.
    assert [each.run_key for each in _tick(platform, instance, None).run_requests or []] == [request.run_key]
    lists.write(platform.replica, rows, "Parquet", at=NOW - timedelta(hours=2))
    assert len(_tick(platform, instance, arrived.cursor).run_requests or []) == 1
    job = platform.definitions().resolve_job_def(INVENTORY_JOB)
    done = job.execute_in_process(instance=instance, partition_key=REPLICA, tags=request.tags)
    assert report_metadata(done)["taken_from"].endswith(f"{first}/manifest.json")


def test_a_folder_that_cannot_be_listed_is_told_and_what_was_taken_stays_known(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    lists = _with_lists(platform, "not-there")
    known = json.dumps({REPLICA: {lists.place.rstrip("/"): f"{NOW:%Y-%m-%dT%H-%MZ}"}})
    result = _tick(platform, instance, known)
    assert not result.run_requests and json.loads(result.cursor or "") == json.loads(known)
    assert result.skip_reason and f"{REPLICA}: s3://not-there/" in (result.skip_reason.skip_message or "")


def test_a_list_whose_runs_failed_is_taken_again_until_it_is_too_old(
    platform: Platform, instance: dg.DagsterInstance, make_bucket: MakeBucket
) -> None:
    lists = _with_lists(platform, make_bucket())
    platform.put("a")
    name = lists.write(platform.replica, rows_of(platform.s3, platform.replica), at=NOW - timedelta(hours=3))
    first = _tick(platform, instance, None)
    (request,) = first.run_requests or []
    job = platform.definitions().resolve_job_def(INVENTORY_JOB)
    of_list = {**request.tags, "dagster/partition": REPLICA}
    failed = instance.create_run_for_job(job, tags=of_list, status=dg.DagsterRunStatus.FAILURE)
    later = datetime.now(UTC) + timedelta(minutes=20)  # of the run's end, which has a clock of its own
    assert not _tick(platform, instance, first.cursor).run_requests
    (again,) = _tick(platform, instance, first.cursor, later).run_requests or []
    assert (again.run_key, again.partition_key, again.tags) == (
        f"again:{failed.run_id}",
        REPLICA,
        {LIST_TAG: name},
    )
    with pytest.raises(ListRefused, match=f"no complete list has come for '{REPLICA}'"):
        _tick(platform, instance, first.cursor, NOW + timedelta(hours=46))
    instance.create_run_for_job(job, tags=of_list, status=dg.DagsterRunStatus.SUCCESS)
    assert not _tick(platform, instance, first.cursor, later).run_requests


def test_a_provider_that_writes_no_list_for_too_long_fails_the_tick(
    platform: Platform, instance: dg.DagsterInstance, make_bucket: MakeBucket
) -> None:
    _with_lists(platform, make_bucket())
    first = _tick(platform, instance, None)
    waiting = _tick(platform, instance, first.cursor, NOW + timedelta(hours=47))
    assert not waiting.run_requests and waiting.cursor == first.cursor
    with pytest.raises(ListRefused, match=f"'{REPLICA}' .* since {NOW:%Y-%m-%d %H:%M} UTC"):
        _tick(platform, instance, waiting.cursor, NOW + timedelta(hours=49))


def test_the_silence_of_a_new_bucket_is_counted_from_its_first_tick_although_another_one_fails_the_ticks(
    platform: Platform, instance: dg.DagsterInstance, make_bucket: MakeBucket
) -> None:
    lists = _with_lists(platform, make_bucket())
    silent = _tick(platform, instance, None)
    common = {"store": "real", "bucket": platform.source}
    inventory = {"from": "s3_inventory", "at": f"{lists.place}other", "max_age": "1d"}
    platform.more["buckets"][PAIR] = {**common, "inventory": inventory}
    at = NOW + timedelta(hours=49)
    new = _tick(platform, instance, silent.cursor, at)  # it does not fail: what it has found would be lost
    with pytest.raises(ListRefused, match=f"no complete list has come for '{REPLICA}' .* UTC, which"):
        _tick(platform, instance, new.cursor, at + timedelta(minutes=5))
    with pytest.raises(ListRefused, match=f"'{PAIR}' .* since {at:%Y-%m-%d %H:%M} UTC; '{REPLICA}'"):
        _tick(platform, instance, new.cursor, at + timedelta(hours=25))


def test_a_list_of_the_future_hides_no_other_and_no_silence_also_in_the_cursor(
    platform: Platform, instance: dg.DagsterInstance, make_bucket: MakeBucket
) -> None:
    lists = _with_lists(platform, make_bucket())
    bad = f"{PREFIX}2099-01-01T00-00Z/manifest.checksum"
    platform.s3.put_object(Bucket=lists.bucket, Key=bad, Body=b"of a wrong clock")
    alone = _tick(platform, instance, None)
    assert alone.skip_reason and "passed over" in (alone.skip_reason.skip_message or "")
    with pytest.raises(ListRefused, match="no complete list has come"):
        _tick(platform, instance, alone.cursor, NOW + timedelta(hours=49))
    platform.put("a")
    name = lists.write(platform.replica, rows_of(platform.s3, platform.replica), at=NOW - timedelta(hours=1))
    of_before = json.dumps({REPLICA: {lists.place.rstrip("/"): "2099-01-01T00-00Z"}})
    for cursor in (alone.cursor, of_before):
        (request,) = _tick(platform, instance, cursor).run_requests or []
        assert request.tags == {LIST_TAG: name}
    with pytest.raises(ListRefused, match="no complete list has come"):
        _tick(platform, instance, _tick(platform, instance, of_before).cursor, NOW + timedelta(days=400))


def test_a_list_that_was_removed_hides_no_other_and_its_time_still_counts(
    platform: Platform, instance: dg.DagsterInstance, make_bucket: MakeBucket
) -> None:
    lists = _with_lists(platform, make_bucket())
    gone = json.dumps({REPLICA: {lists.place.rstrip("/"): f"{NOW:%Y-%m-%dT%H-%MZ}"}})
    assert _tick(platform, instance, gone).cursor == gone.replace(" ", "")
    with pytest.raises(ListRefused, match=f"since {NOW:%Y-%m-%d %H:%M} UTC"):
        _tick(platform, instance, gone, NOW + timedelta(hours=49))
    platform.put("a")
    name = lists.write(platform.replica, rows_of(platform.s3, platform.replica), at=NOW - timedelta(hours=1))
    (request,) = _tick(platform, instance, gone).run_requests or []
    assert request.tags == {LIST_TAG: name}


def test_what_is_newer_than_a_list_is_pending_and_what_it_lacks_is_asked_for_before_it_is_missing(
    platform: Platform, instance: dg.DagsterInstance, make_bucket: MakeBucket
) -> None:
    lists = _with_lists(platform, make_bucket())
    platform.put("same")
    rows = rows_of(platform.s3, platform.replica)
    platform.put("late")
    platform.s3.put_object(Bucket=platform.source, Key="gone", Body=b"only here")

    def reported() -> dict[str, str]:
        platform.check_both(instance)
        metadata = report_metadata(platform.run(instance, REPORT_JOB, PAIR))
        return {row["key"]: row["status"] for row in read_report(metadata["csv"])}

    lists.write(platform.replica, rows, at=NOW - timedelta(hours=1))
    assert reported() == {"same": "ok", "late": "pending", "gone": "pending"}
    lists.write(platform.replica, rows, "ORC", at=NOW + timedelta(minutes=30))
    assert reported() == {"same": "ok", "late": "ok", "gone": "missing_replica"}


def test_a_bucket_whose_list_is_refused_is_not_checked_by_it(
    platform: Platform, instance: dg.DagsterInstance, make_bucket: MakeBucket
) -> None:
    lists = _with_lists(platform, make_bucket())
    platform.put("a")
    lists.write(platform.source, rows_of(platform.s3, platform.source), at=NOW)
    failed = platform.run(instance, CHECKSUMS_JOB, REPLICA)
    (failure,) = [event for event in failed.all_events if event.is_step_failure]
    said = failure.step_failure_data.user_failure_data
    assert said is not None and "lists the bucket" in (said.description or "")
