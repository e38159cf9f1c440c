"""Coverage of all buckets, whoever reads them: what counts as checked, and whether their schedule runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from fixity.catalog import Bucket, Policy, S3Batch, Window
from fixity.catalog.window import parse_window
from fixity.engines.s3_batch.job_records import Waiting, keep_record, keep_waiting, new_record
from fixity.rolling import bucket_coverage
from fixity.rolling.coverage import BucketCoverage
from fixity.rolling.jobs import record_map
from fixity.rolling.lease import record_roll
from fixity.status.coverage import of_coverage
from tests.fixity.rolling.support import BUCKET, Rolling

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BATCH = S3Batch(account_id="111122223333", role_arn="arn:aws:iam::111122223333:role/x", report_bucket="r")
BY_S3 = Bucket(name=BUCKET, engine="s3_batch", s3_batch=BATCH, fixity_every=90 * DAY)


@pytest.fixture
def rolling(tmp_path: Path) -> Rolling:
    """A bucket with three objects, of which one was checked; one of the others is archived."""
    rolling = Rolling(tmp_path)
    rolling.time = datetime.now(UTC)
    rolling.put("a", "b", "c")
    item, body = rolling.store.objects["c", None]
    rolling.store.objects["c", None] = replace(item, storage_class="GLACIER"), body
    rolling.take_inventory()
    rolling.roll(keys=["a"])
    return rolling


def _coverage(rolling: Rolling, bucket: Bucket) -> BucketCoverage:
    return bucket_coverage(rolling.lake, bucket, "c", rolling.now, asks_jobs=bucket.engine != "stream")


def _red(covered: BucketCoverage, now: datetime) -> set[str]:
    return {check.name for check in of_coverage(covered, "c", now).checks if check.is_red}


def test_archived_objects_are_to_be_checked_where_s3_reads_them_and_left_out_where_we_do(
    rolling: Rolling,
) -> None:
    by_us = _coverage(rolling, Bucket(name=BUCKET, fixity_every=90 * DAY))
    by_s3 = _coverage(rolling, BY_S3)
    assert (by_us.within_term, by_us.never, by_us.archived) == (1, 1, 1)
    assert (by_s3.within_term, by_s3.never, by_s3.archived, by_s3.engine) == (1, 2, 0, "s3_batch")
    rolling.time += 92 * DAY
    assert (_coverage(rolling, BY_S3).overdue, _coverage(rolling, BY_S3).due) == (3, 1)


def test_a_bucket_without_a_term_is_counted_and_nothing_of_it_is_overdue_or_silent(rolling: Rolling) -> None:
    rolling.time += 400 * DAY
    covered = _coverage(rolling, Bucket(name=BUCKET))
    assert (covered.objects, covered.within_term, covered.never, covered.term) == (3, 1, 1, None)
    assert (covered.overdue, covered.silence) == (0, None) and not _red(covered, rolling.time)


def test_the_schedule_of_a_bucket_that_s3_reads_is_silent_where_no_job_was_requested_in_time(
    rolling: Rolling,
) -> None:
    assert _coverage(rolling, BY_S3).silence == "no job was started yet"
    keep_record(rolling.lake, new_record(BY_S3, "job", "run", "inventory/b/i.parquet", None))
    assert _coverage(rolling, BY_S3).silence is None
    rolling.time += 77 * DAY
    assert _coverage(rolling, BY_S3).silence is None
    rolling.time += 2 * DAY
    assert _coverage(rolling, BY_S3).silence == f"no job was started for {79 * 24} hours"
    assert "schedule_runs" in _red(_coverage(rolling, BY_S3), rolling.time)


def test_the_hours_in_which_a_window_is_closed_are_no_silence(rolling: Rolling) -> None:
    window = parse_window("20:00-06:00")
    at_night = Bucket(name=BUCKET, policy=Policy.model_validate({"bytes": 90 * DAY, "window": window}))
    always = Bucket(name=BUCKET, fixity_every=90 * DAY)
    rolling.time += 15 * HOUR
    assert _coverage(rolling, at_night).silence is None
    assert _coverage(rolling, always).silence == "no rolling run has ended for 15 hours"
    rolling.time += 2 * HOUR
    assert _coverage(rolling, at_night).silence == "no rolling run has ended for 17 hours"


def test_limits_that_cannot_do_what_the_policy_wants_are_a_warning_before_anything_is_overdue(
    rolling: Rolling,
) -> None:
    policy = Policy.model_validate({"bytes": "1d", "monthly_egress": "20B"})
    covered = _coverage(rolling, Bucket(name=BUCKET, policy=policy))
    assert covered.shortfall is not None and "`monthly_egress` of the policy allows 1 B" in covered.shortfall
    (check,) = [each for each in of_coverage(covered, "c", rolling.time).checks if not each.passed][-1:]
    assert (check.name, check.severity) == ("limits_suffice", "WARN")


def test_a_request_that_waits_for_ever_is_silence(rolling: Rolling) -> None:
    keep_waiting(rolling.lake, Waiting(BUCKET, "t", rolling.time.isoformat(), "inventory/b/i.parquet"))
    assert _coverage(rolling, BY_S3).silence is None
    rolling.time += 79 * DAY
    assert _coverage(rolling, BY_S3).silence == f"no job was started for {79 * 24} hours"


def test_a_map_that_the_platform_is_to_start_can_be_silent_and_one_of_others_cannot(rolling: Rolling) -> None:
    by_map = Bucket(name=BUCKET, engine="step_functions", fixity_every=90 * DAY)
    assert bucket_coverage(rolling.lake, by_map, "c", rolling.now).silence is None
    assert _coverage(rolling, by_map).silence == "no job was started yet"
    record_map(rolling.lake, BUCKET, rolling.time)
    assert _coverage(rolling, by_map).silence is None


def test_a_bucket_of_which_all_is_archived_and_nothing_read_is_not_verified(rolling: Rolling) -> None:
    always = Bucket(name=BUCKET, fixity_every=90 * DAY)
    for key in "ab":
        item, body = rolling.store.objects[key, None]
        rolling.store.objects[key, None] = replace(item, storage_class="DEEP_ARCHIVE"), body
    rolling.take_inventory()
    covered = _coverage(rolling, always)  # `a` was read before it was archived
    assert (covered.within_term, covered.archived) == (1, 2)
    assert covered.unread == "2 of 3 objects are archived, and were not read in time"
    rolling.time += 91 * DAY
    rolling.take_inventory()
    covered = _coverage(rolling, always)
    assert covered.unread == "all 3 objects are archived, and none was read in time"
    checks = {check.name: check.description for check in of_coverage(covered, "c", rolling.time).checks}
    assert checks["all_ever_checked"] == covered.unread


def test_an_hour_that_the_clocks_skip_is_no_silence(rolling: Rolling) -> None:
    window = Window(time(2), time(3), "Europe/Oslo")
    at_night = Bucket(name=BUCKET, policy=Policy.model_validate({"bytes": 90 * DAY, "window": window}))
    for day, is_silent in (("2026-03-28", False), ("2026-04-10", True)):
        rolling.time = datetime.fromisoformat(f"{day}T01:30:00+00:00")
        record_roll(rolling.lake, BUCKET, rolling.time)
        rolling.time += 46 * HOUR
        assert (_coverage(rolling, at_night).silence is not None) is is_silent, day
