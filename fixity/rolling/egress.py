"""How much of a store's egress budget is left, by what the ledger says was read."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow.compute as pc
import pyarrow.parquet as pq

from fixity.lake import Lake
from fixity.standing.history import ledger_files, run_of, usable_files
from fixity.standing.table import in_force

if TYPE_CHECKING:
    from fixity.catalog import Bucket, Catalog

_WINDOW = timedelta(days=30)


def egress_budget(catalog: Catalog, bucket: Bucket) -> int | None:
    """Bytes that may be read from a bucket's store in any 30 days; None where the catalog sets no budget."""
    return None if bucket.is_local else catalog.store_of(bucket).monthly_egress


def egress_left(lake: Lake, catalog: Catalog, bucket: Bucket, now: datetime) -> int | None:
    """Bytes that may still be read from a bucket's store; None where the catalog sets no budget.

    Counted are all checks of the last 30 days (UTC days) of all buckets of the store: a month of any
    length stays within the budget. Below 0 where more was read than it allows. Raises LakeError.
    """
    budget = egress_budget(catalog, bucket)
    if budget is None:
        return None
    first = (now - _WINDOW).date().isoformat()
    of_store = [
        each.name for each in catalog.buckets.values() if not each.is_local and each.store == bucket.store
    ]
    return budget - sum(_read_since(lake, name, first) for name in of_store)


def _read_since(lake: Lake, bucket: str, first_day: str) -> int:
    standing = in_force(lake, bucket)
    folded = set(standing.folded) if standing else set()
    read = sum(count for day, count in standing.read_by_day.items() if day >= first_day) if standing else 0
    with lake.workspace() as workspace:
        unfolded = [file for file in ledger_files(lake, bucket) if run_of(file.name) not in folded]
        for file in usable_files(lake, bucket, unfolded, workspace, thoroughly=True)[0]:
            table = pq.read_table(file.path, columns=["checked_at", "bytes_read"])
            days = pc.strftime(table.column("checked_at"), "%Y-%m-%d")
            counted = table.filter(pc.greater_equal(days, first_day))
            read += pc.sum(counted.column("bytes_read")).as_py() or 0
    return read
