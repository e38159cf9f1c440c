"""The coverage of all buckets, and its checks as they are kept. How one is counted is in `fixity.rolling`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime

from fixity.catalog import Bucket, Catalog
from fixity.catalog.capacity import store_shortfall_of, store_shortfalls
from fixity.lake import Lake
from fixity.lake.times import TimesUnknown
from fixity.ledger.inventory import TableMissing
from fixity.rolling import BucketCoverage, bucket_coverage
from fixity.rolling.coverage import COUNTS
from fixity.status.kept import Check, Result, keep_result
from fixity.tables import TableUnreadable

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
        ALL_CHECKED: "; ".join(
            filter(None, (f"{row.never:,} objects never checked" if row.never else "", row.unread))
        ),
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


def unreadable(bucket: Bucket, why: str, run_id: str, at: datetime) -> Result:
    """What is kept of a bucket whose inventory or ledger cannot be read, so that nothing can be counted."""
    return Result("coverage", bucket.name, run_id, at, (Check(READABLE, False, "ERROR", why),))


def count_coverage(
    lake: Lake, catalog: Catalog, run_id: str, at: datetime
) -> tuple[list[BucketCoverage], list[Result]]:
    """Count how much of each bucket was checked within its term, and keep what that says.

    Arguments: `at`, when it was begun (UTC). Returns: the coverage of the buckets that were ever listed and
    can be counted; the results of all, in the catalog's order. Raises LakeError.
    """
    rows: dict[str, BucketCoverage] = {}
    others: dict[str, Result] = {}
    for name, bucket in catalog.buckets.items():
        try:
            asks_jobs = bucket in catalog.checked_by_jobs
            rows[name] = bucket_coverage(lake, bucket, run_id, asks_jobs=asks_jobs)
        except TableMissing as error:
            others[name] = uncounted(bucket, str(error), run_id, at)
        except (TableUnreadable, TimesUnknown) as error:  # of this bucket alone
            others[name] = unreadable(bucket, str(error), run_id, at)
    sizes = {name: row.size for name, row in rows.items()}
    short = store_shortfalls(catalog.buckets, catalog.stores, sizes)
    for name, row in rows.items():
        why = row.shortfall or store_shortfall_of(catalog.buckets[name], short)
        rows[name] = replace(row, shortfall=why)
    found = {name: of_coverage(row, run_id, at) for name, row in rows.items()} | others
    results = [found[name] for name in catalog.buckets]
    with ThreadPoolExecutor(_WRITES) as pool:
        list(pool.map(lambda result: keep_result(lake, result), results))
    return list(rows.values()), results
