"""Requests restores in the order of the rows, within the limit of bytes restored at a time.

Following restores does not belong here.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from datetime import datetime

from fixity.buckets import ObjectError, ObjectUnreadable
from fixity.buckets.s3.attributes import Attributes, Unanswered
from fixity.catalog import Restore
from fixity.ingest.restore.archives import days_for, tier_for, wait_for
from fixity.ingest.restore.objects import Archived, failed, gone, unanswered


def ask_for_next(
    attributes: Attributes,
    rows: list[Archived],
    restore: Restore,
    threads: Executor,
    now: Callable[[], datetime],
) -> list[Archived]:
    """Request the restore of waiting objects while `restore.at_once` allows more.

    Arguments: `threads` for the requests; `now` returns the time in UTC.
    Returns: all rows, with the new states. Raises BucketUnreachable.
    """
    room = restore.at_once - sum(row.size for row in rows if row.state in ("requested", "restored"))
    chosen: list[bool] = []
    for row in rows:
        # An object larger than the whole limit is restored alone.
        waits = row.state == "waiting" and row.archive is not None
        fits = waits and (row.size <= room or room == restore.at_once)
        room -= row.size if fits else 0
        chosen.append(fits)
    answers = threads.map(
        lambda row, wanted: _ask(attributes, row, restore, now()) if wanted else row, rows, chosen
    )
    return list(answers)


def _ask(attributes: Attributes, row: Archived, restore: Restore, now: datetime) -> Archived:
    """Request an object's restore."""
    assert row.archive is not None
    tier, note = tier_for(row.archive, restore.tier)
    days = days_for(row.archive, restore)
    try:
        try:
            answer = attributes.restore(row.key, row.version_id, tier, days)
        except ObjectUnreadable as error:
            if error.code != "GlacierExpeditedRetrievalNotAvailable":
                raise
            tier, note = "Standard", "S3 has no capacity for Expedited now: Standard was requested"
            answer = attributes.restore(row.key, row.version_id, tier, days)
    except Unanswered as error:
        return unanswered(row, error)
    except ObjectUnreadable as error:
        return failed(row, error)
    except ObjectError as error:
        return gone(row, error)
    return replace(
        row,
        unanswered=0,
        error_code=None,
        state="restored" if answer == "restored" else "requested",
        tier=tier,
        attempts=row.attempts + 1,
        requested_at=now,
        look_again_at=now + wait_for(row.archive, tier),
        detail=note,
    )
