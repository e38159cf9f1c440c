"""When jobs of others are requested: in time, never twice without need, and spread over the term."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from fixity.catalog import Bucket
from fixity.catalog.s3_batch import S3Batch
from fixity.engines.s3_batch.job_records import (
    JobOutcome,
    Waiting,
    keep_outcome,
    keep_record,
    keep_waiting,
    new_record,
)
from fixity.lake import LocalLake
from fixity.rolling.jobs import (
    interval,
    is_job_due,
    jobs_within,
    last_asked,
    last_started,
    record_map,
)
from fixity.rolling.lease import record_roll

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
_BATCH = S3Batch(account_id="111122223333", role_arn="arn:aws:iam::111122223333:role/x", report_bucket="r")
BY_S3 = Bucket(name="b", engine="s3_batch", s3_batch=_BATCH, fixity_every=90 * DAY)


def _asked(
    name: str, every: timedelta, last: datetime | None, until: timedelta, tick: timedelta
) -> list[datetime]:
    """When the jobs of a bucket are requested, by a sensor that looks at each tick."""
    asked = []
    for number in range(until // tick):
        now = BEGIN + number * tick
        if is_job_due(name, every, last, now):
            asked.append(now)
            last = now
    return asked


@settings(max_examples=60, deadline=None)
@given(
    name=st.text(min_size=1, max_size=10),
    days=st.integers(1, 400),
    before=st.none() | st.floats(0, 2),
)
def test_between_two_jobs_there_is_never_more_than_the_interval_nor_less_than_half_of_it(
    name: str, days: int, before: float | None
) -> None:
    every = days * DAY
    between, tick = interval(every), every / 100
    last = None if before is None else BEGIN - before * every
    asked = _asked(name, every, last, 4 * every, tick)
    assert asked[0] == BEGIN if last is None or BEGIN - last >= between else asked[0] > BEGIN - tick
    times = [*([last] if last and BEGIN - last < between else []), *asked]
    for earlier, later in pairwise(times):
        assert between / 2 <= later - earlier <= between + tick
    # A job that is requested then and takes all the time that is left for it ends within the term.
    assert between + min(every / 4, 14 * DAY) == every


def test_the_jobs_of_many_buckets_are_spread_over_the_term_so_that_six_at_once_do() -> None:
    every = 90 * DAY
    asked = [at for n in range(60) for at in _asked(f"bucket-{n}", every, None, 3 * every, DAY)[2:]]
    weeks = Counter((at - BEGIN) // (7 * DAY) for at in asked)
    # 60 jobs in 76 days: 5.5 a week, each of which takes a day or two.
    assert max(weeks.values()) <= 13 and len(weeks) >= 20


def test_a_job_over_a_few_objects_a_second_look_and_a_failed_one_do_not_count_and_one_that_waits_does(
    tmp_path: Path,
) -> None:
    lake = LocalLake(tmp_path)
    bucket = BY_S3
    now = datetime.now(UTC)
    assert last_asked(lake, bucket, now) is None
    some = Waiting("b", "t", now.isoformat(), "inventory/b/i.parquet", objects=3)
    second = Waiting("b", "t", now.isoformat(), "inventory/b/i.parquet", first="checksums/b/1.parquet")
    for job_id, of in (("some", some), ("second", second), ("all", None)):
        if job_id == "all":
            assert last_asked(lake, bucket, now) is None
        keep_record(lake, new_record(bucket, job_id, "run", "inventory/b/i.parquet", of))
    asked = last_asked(lake, bucket, now)
    assert asked is not None and abs(asked - now) < HOUR
    keep_outcome(lake, "b", JobOutcome("all", "Failed", "run"))
    assert last_asked(lake, bucket, now) == asked  # and a day later another one is due
    assert last_asked(lake, bucket, now + 25 * HOUR) is None
    keep_waiting(lake, Waiting("b", "u", now.isoformat(), "inventory/b/i.parquet"))
    assert last_asked(lake, bucket, now + 25 * HOUR) == now + 25 * HOUR
    assert last_started(lake, bucket, now) == asked


def test_a_batch_of_the_sample_is_no_job_and_a_map_that_was_started_is(tmp_path: Path) -> None:
    lake, bucket = LocalLake(tmp_path), Bucket(name="b", engine="step_functions", fixity_every=90 * DAY)
    record_roll(lake, "b", BEGIN)
    assert last_asked(lake, bucket, BEGIN) is None
    record_map(lake, "b", BEGIN)
    assert last_asked(lake, bucket, BEGIN) == BEGIN


def test_a_job_that_a_wrong_clock_dated_ten_years_ahead_stops_no_request(tmp_path: Path) -> None:
    lake, now = LocalLake(tmp_path), datetime.now(UTC)
    keep_record(lake, new_record(BY_S3, "job", "run", "inventory/b/i.parquet", None))
    assert last_asked(lake, BY_S3, now) is not None
    assert last_asked(lake, BY_S3, now - 3650 * DAY) is None
    record_map(lake, "m", now)
    assert last_asked(lake, Bucket(name="m", engine="step_functions"), now - 3650 * DAY) is None


@given(name=st.text(min_size=1, max_size=10), days=st.integers(1, 400))
@settings(max_examples=30, deadline=None)
def test_as_many_jobs_are_planned_as_the_sensor_requests(name: str, days: int) -> None:
    every = days * DAY
    asked = _asked(name, every, None, 3 * every, every / 100)
    assert abs(jobs_within(name, every, BEGIN, 3 * every) - len(asked)) <= 1
    assert jobs_within(name, every, BEGIN, interval(every) * 2) >= 2
