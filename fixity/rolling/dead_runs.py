"""Keeps what rolling runs that were killed or failed had checked.

Whatever run comes next does that, whether it checks a batch, the whole bucket, or counts the coverage: so
damage that was found is told, also if no batch is ever read again.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pyarrow as pa

from fixity.lake import Lake
from fixity.ledger import Settings
from fixity.rolling.finish import finish
from fixity.rolling.lease import BucketBusy, Lease, leases, take_lease
from fixity.tables import TableUnreadable

IsOver = Callable[[str], bool]


def keep_of_dead_runs(
    lake: Lake,
    bucket: str,
    settings: Settings,
    run_id: str,
    now: datetime,
    is_over: IsOver,
    log: Callable[[str], None],
) -> None:
    """Keep the checks of dead runs on a bucket, unless a rolling run works on it, which does that itself.

    Arguments: `run_id`, who keeps them; `now` in UTC; `is_over`, whether a run is known to have ended; `log`
    gets what was kept. Raises LakeError.
    """
    if not _dead(lake, bucket, run_id, now, is_over):
        return
    try:
        mine = take_lease(lake, bucket, run_id, now, is_over, "keeps")
    except BucketBusy:
        return
    try:
        take_over(lake, mine, settings, now, is_over, log)
    finally:
        mine.end(lake)


def take_over(
    lake: Lake,
    mine: Lease,
    settings: Settings,
    now: datetime,
    is_over: IsOver,
    log: Callable[[str], None],
) -> bool:
    """Keep the checks of dead runs, as the run whose turn it is; whether there were any. Raises LakeError."""
    dead = _dead(lake, mine.bucket, mine.run_id, now, is_over)
    for other in dead:
        try:
            kept = finish(lake, other, settings, now)
        except (pa.ArrowException, TableUnreadable, ValueError, IndexError) as error:
            where = other.set_aside(lake)
            log(
                f"the run {other.run_id} was killed, and the checks that it left cannot be used ({error}): "
                f"they are moved to {where}, and the objects are checked again"
            )
            continue
        other.end(lake)
        log(f"the run {other.run_id} was killed or failed: its {kept.objects:,} checks are kept")
    return bool(dead)


def _dead(lake: Lake, bucket: str, run_id: str, now: datetime, is_over: IsOver) -> list[Lease]:
    return [
        other
        for other in leases(lake, bucket)
        if other.run_id != run_id and (not other.is_alive(now) or is_over(other.run_id))
    ]
