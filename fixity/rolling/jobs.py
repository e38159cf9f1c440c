"""When the next job of a bucket that others read is due, so that every object is checked within its term.

Requesting a job, and loading what it found, do not belong here.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from fixity.catalog import Bucket
from fixity.clock import EPOCH
from fixity.engines.s3_batch.batch_jobs import CANCELLED, FAILED, VANISHED
from fixity.engines.s3_batch.job_records import jobs_of, outcome_of, waiting_requests
from fixity.lake import Lake
from fixity.rolling.lease import last_roll

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


def last_asked(lake: Lake, bucket: Bucket, now: datetime) -> datetime | None:
    """When a job over a whole bucket was requested last (UTC), None for never.

    A job that failed or was cancelled counts for a day, then another one is due. Raises LakeError.
    """
    if bucket.engine != "s3_batch":
        return last_roll(lake, bucket.name)
    waiting = [each for each in waiting_requests(lake, bucket.name) if each.manifest is None]
    if waiting:
        return now
    for job in reversed(jobs_of(lake, bucket.name)):
        if job.first is not None or job.objects is not None:
            continue
        asked = datetime.fromisoformat(job.created_at)
        outcome = outcome_of(lake, bucket.name, job.job_id)
        failed = outcome is not None and outcome.status in (FAILED, CANCELLED, VANISHED)
        if not failed or now - asked < _TRY_AGAIN_AFTER:
            return asked
    return None
