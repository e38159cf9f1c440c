"""The checks of one bucket's coverage, as they are kept. How coverage is counted is in `fixity.rolling`."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from fixity.catalog import Bucket
from fixity.lake import Lake
from fixity.rolling import BucketCoverage
from fixity.rolling.coverage import COUNTS
from fixity.status.kept import Check, Result, keep_result

WITHIN_TERM, ALL_CHECKED, NO_DAMAGE, NOTHING_LOST, ALIVE, READABLE, SUFFICES = (
    "within_term",
    "all_ever_checked",
    "no_known_damage",
    "nothing_lost",
    "schedule_runs",
    "ledger_readable",
    "limits_suffice",
)
_WRITES = 8  # at a time: a lake on S3 takes each in tens of milliseconds


def of_coverage(row: BucketCoverage, run_id: str, at: datetime) -> Result:
    """What a bucket's coverage says, as it is kept. Arguments: `at`, when it was begun (UTC)."""
    wrong = {
        WITHIN_TERM: f"{row.overdue:,} objects overdue" if row.overdue else "",
        ALL_CHECKED: f"{row.never:,} objects never checked" if row.never else "",
        NO_DAMAGE: f"{row.damaged:,} objects damaged" if row.damaged else "",
        NOTHING_LOST: f"{row.lost:,} objects lost" if row.lost else "",
        ALIVE: row.silence or "",
        READABLE: "; ".join(row.ledger),
        SUFFICES: row.shortfall or "",
    }
    warns = {ALL_CHECKED, SUFFICES} | (set() if row.lost_damaged else {NOTHING_LOST})
    return Result(
        "coverage",
        row.bucket,
        run_id,
        at,
        tuple(
            Check(name, not text, "WARN" if name in warns else "ERROR", text) for name, text in wrong.items()
        ),
        {name: getattr(row, name) for name in COUNTS},
        oldest=row.oldest,
    )


def uncounted(bucket: Bucket, why: str, run_id: str, at: datetime) -> Result:
    """What is kept of a bucket that was never listed: red where its schedule should have, else a warning."""
    red, warning = Check(ALIVE, False, "ERROR", why), Check(ALL_CHECKED, False, "WARN", why)
    check = red if bucket.schedule else warning
    return Result("coverage", bucket.name, run_id, at, (check,))


def keep_coverage(lake: Lake, results: Iterable[Result]) -> None:
    """Keep the coverage of buckets. Raises LakeError."""
    with ThreadPoolExecutor(_WRITES) as pool:
        list(pool.map(lambda result: keep_result(lake, result), results))
