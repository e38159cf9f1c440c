"""When the next job of a bucket that others read is due, so that every object is checked within its term.

Requesting a job, and loading what it found, do not belong here.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from fixity.catalog import Bucket
from fixity.clock import CLOCKS_DIFFER, EPOCH
from fixity.engines.s3_batch.batch_jobs import CANCELLED, FAILED, VANISHED
from fixity.engines.s3_batch.job_records import jobs_of, outcome_of, waiting_requests
from fixity.lake import Lake
from fixity.lake.paths import snapshot_folder
from fixity.rolling.lease import time_in

_LONGEST_JOB = timedelta(days=14)
_TRY_AGAIN_AFTER = timedelta(days=1)


def interval(every: timedelta) -> timedelta:
    """How long after one job the next is requested: the term, less the time that a job may wait and take.

    That time is a quarter of the term, at most two weeks: a job over archived objects takes up to one.
    """
    return every - min(every / 4, _LONGEST_JOB)


def is_job_due(bucket: str, every: timedelta, asked: datetime | None, now: datetime) -> bool:
    """Whether a bucket's next job is to be requested.

    The turns of a bucket come at the same interval, and those of many buckets are spread evenly over it by
    their names, so that they do not all ask on one day. Between two jobs there is half an interval at
    least, which costs less after a job that was requested by hand.
    Arguments: `asked`, when one was requested last (UTC), None for never.
    """
    if asked is None:
        return True
    between = interval(every)
    offset = int.from_bytes(hashlib.sha256(bucket.encode()).digest()[:8], "big") / 2**64 * between
    turn = now - (now - EPOCH - offset) % between
    return now - asked >= between or (asked < turn and now - asked >= between / 2)


def jobs_within(bucket: str, every: timedelta, begin: datetime, length: timedelta) -> int:
    """How many jobs of a bucket are requested in a time, if none was before."""
    step = min(interval(every) / 8, timedelta(days=1))
    asked, count = None, 0
    for number in range(-(-length // step)):
        now = begin + number * step
        if is_job_due(bucket, every, asked, now):
            asked, count = now, count + 1
    return count


def last_asked(lake: Lake, bucket: Bucket, now: datetime) -> datetime | None:
    """When a job over a whole bucket was requested last (UTC), None for never; `now` while a request waits.

    Raises LakeError.
    """
    return now if _waiting_since(lake, bucket) else _last_started(lake, bucket, now)


def last_started(lake: Lake, bucket: Bucket, now: datetime) -> datetime | None:
    """When a job over a whole bucket was started last (UTC); where none ever was, since when one waits.

    Raises LakeError.
    """
    return _last_started(lake, bucket, now) or _waiting_since(lake, bucket)


def _waiting_since(lake: Lake, bucket: Bucket) -> datetime | None:
    """Since when a request over the whole bucket waits; None where none does."""
    waiting = [each for each in waiting_requests(lake, bucket.name) if each.manifest is None]
    return datetime.fromisoformat(waiting[0].requested_at) if waiting else None


def _last_started(lake: Lake, bucket: Bucket, now: datetime) -> datetime | None:
    """When a job was started last. One in the future (a clock was wrong) does not count.

    A job that failed or was cancelled counts for a day, then another one is due.
    """
    if bucket.engine != "s3_batch":
        started = time_in(lake, _map_file(bucket.name))
        return started if started and started <= now + CLOCKS_DIFFER else None
    for job in reversed(jobs_of(lake, bucket.name)):
        if job.first is not None or job.objects is not None:
            continue
        asked = datetime.fromisoformat(job.created_at)
        if asked > now + CLOCKS_DIFFER:
            continue
        outcome = outcome_of(lake, bucket.name, job.job_id)
        failed = outcome is not None and outcome.status in (FAILED, CANCELLED, VANISHED)
        if not failed or now - asked < _TRY_AGAIN_AFTER:
            return asked
    return None


def record_map(lake: Lake, bucket: str, now: datetime) -> None:
    """Keep the time when the map of a bucket was started. Raises LakeError."""
    lake.put_text(_map_file(bucket), now.isoformat(), replace=True)


def _map_file(bucket: str) -> str:
    return f"{snapshot_folder(bucket)}MAP_STARTED"
