"""How much of the egress budgets of a store and a policy is left, by the ledger and the runs in progress."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from fixity import compute as pc
from fixity.lake import Lake
from fixity.ledger.files import ingest_tables, ledger_files, run_of, usable_files
from fixity.ledger.snapshot import in_force
from fixity.ledger.unkept_reads import unkept_reads_since
from fixity.rolling.lease import Lease, leases

if TYPE_CHECKING:
    from fixity.catalog import Bucket, Catalog

_WINDOW = timedelta(days=30)


@dataclass(frozen=True)
class EgressBudget:
    """Bytes that may be read from these buckets, together, in any 30 days."""

    size: int
    buckets: tuple[str, ...]


@dataclass(frozen=True)
class EgressLeft:
    """What is left of a budget: bytes, below 0 if it is exceeded; and how many other runs have not
    chosen their objects yet."""

    size: int
    choosing: int

    @property
    def share(self) -> int:
        """What one run may take, so that all who choose at the same time find some left."""
        return max(0, self.size) // (1 + self.choosing)


def egress_budget(catalog: Catalog, bucket: Bucket) -> EgressBudget | None:
    """The budget of a bucket's store, over all its buckets; None where the catalog sets none."""
    size = None if bucket.is_local else catalog.store_of(bucket).monthly_egress
    if size is None:
        return None
    of_store = (
        each.name for each in catalog.buckets.values() if not each.is_local and each.store == bucket.store
    )
    return EgressBudget(size, tuple(of_store))


def egress_budgets(catalog: Catalog, bucket: Bucket) -> tuple[EgressBudget, ...]:
    """All budgets that hold for what the schedule reads of a bucket: its store's, and its policy's."""
    of_store, policy = egress_budget(catalog, bucket), bucket.policy
    size = policy.monthly_egress if policy else None
    of_policy = None if size is None else EgressBudget(size, (bucket.name,))
    return tuple(budget for budget in (of_store, of_policy) if budget is not None)


def egress_left(lake: Lake, budgets: Sequence[EgressBudget], mine: Lease | None, now: datetime) -> EgressLeft:
    """What is left of the budget that has the least left, as the run of a lease sees it, or one without.

    Counted are: all checks of the last 30 days (UTC days), also those of ingest; what was read for checks
    that were not kept; all objects that rolling runs in progress have taken, read or not; and what killed
    runs have read.
    Arguments: `budgets`, at least one. Raises LakeError.
    """
    return min((_left(lake, budget, mine, now) for budget in budgets), key=lambda left: left.share)


def _left(lake: Lake, budget: EgressBudget, mine: Lease | None, now: datetime) -> EgressLeft:
    first = (now - _WINDOW).date().isoformat()
    left, choosing = budget.size, 0
    for bucket in budget.buckets:
        # Leases before the ledger: a run that ends now is then counted twice instead of not at all.
        for other in leases(lake, bucket):
            with lake.workspace() as workspace:
                taken = other.batches(lake, workspace)
                is_mine = mine and (other.bucket, other.run_id) == (mine.bucket, mine.run_id)
                if is_mine or other.is_alive(now):
                    left -= sum(_total(pq.read_table(file, columns=["size"]), "size") for file in taken)
                    choosing += not taken and not is_mine
                else:
                    left -= sum(_read_since(file, first) for file in other.checks(lake, workspace))
        left -= _read_of(lake, bucket, first) + unkept_reads_since(lake, bucket, now - _WINDOW)
    return EgressLeft(left, choosing)


def _read_of(lake: Lake, bucket: str, first_day: str) -> int:
    snapshot = in_force(lake, bucket)
    folded = set(snapshot.folded) if snapshot else set()
    ingested = set(snapshot.ingested) if snapshot else set()
    read = sum(count for day, count in snapshot.read_by_day.items() if day >= first_day) if snapshot else 0
    # What an ingest run read by the bucket's own algorithm is in the ledger, too, under the same name.
    in_ledger = {run: {snapshot.algorithm} for run in folded} if snapshot else {}
    with lake.workspace() as workspace:
        unfolded = [file for file in ledger_files(lake, bucket) if run_of(file.name) not in folded]
        for file in usable_files(lake, bucket, unfolded, workspace, thoroughly=True)[0]:
            read += _read_since(file.path, first_day)
            in_ledger[run_of(file.name)] = _algorithms(file.path)
        unread = [file for file in ingest_tables(lake, bucket) if run_of(file.name) not in ingested]
        for file in usable_files(lake, bucket, unread, workspace, thoroughly=True)[0]:
            read += _ingested_since(file.path, first_day, in_ledger.get(run_of(file.name), set()))
    return read


def _read_since(file: Path, first_day: str) -> int:
    table = pq.read_table(file, columns=["checked_at", "bytes_read"])
    return _total(table.filter(_since(table, first_day)), "bytes_read")


def _ingested_since(file: Path, first_day: str, in_ledger: set[str]) -> int:
    table = pq.read_table(file, columns=["checked_at", "algorithm", "checksum", "size"])
    table = table.filter(_since(table, first_day))
    counted = pc.is_in(table.column("algorithm"), pa.array(in_ledger, pa.string()))
    return _total(table.filter(pc.and_(table.column("checksum").is_valid(), pc.invert(counted))), "size")


def _algorithms(file: Path) -> set[str]:
    return set(pq.read_table(file, columns=["algorithm"]).column("algorithm").unique().to_pylist())


def _since(table: pa.Table, first_day: str) -> pa.ChunkedArray:
    return pc.greater_equal(pc.strftime(table.column("checked_at"), "%Y-%m-%d"), first_day)


def _total(table: pa.Table, column: str) -> int:
    return int(pc.sum(table.column(column)).as_py() or 0)
