"""Takes a batch: chooses what is due within all limits, and notes it in the lease for other runs to see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fixity.ledger import SNAPSHOT, Snapshot
from fixity.rolling.due import Batch, choose, find, within
from fixity.rolling.egress import egress_left
from fixity.rolling.lease import Lease
from fixity.rolling.order import Order
from fixity.rolling.run import RollingRun


def take_batch(
    order: Order, run: RollingRun, snapshot: Snapshot, lease: Lease, taken: Sequence[Path], workspace: Path
) -> tuple[Batch, Path | None]:
    """The next batch of a run, and the local file of its note; no file if nothing is due.

    Arguments: `taken`, local files of the run's batches before. Raises NotInInventory, LakeError.
    """
    lake = run.lake

    def note(batch: Batch) -> Path | None:
        if not batch.rows.num_rows:
            return None
        return lease.take(lake, len(taken) + 1, batch.rows, snapshot, workspace)

    if order.keys:
        batch = find(lake, snapshot, order.keys, workspace)
        return batch, note(batch)
    if not order.may_read(run.now()):
        return Batch(SNAPSHOT.empty_table(), f"the policy's window is {order.window}"), None
    budgets, limits = order.budgets, order.limits
    if budgets:
        left = egress_left(lake, budgets, lease, run.now())
        limits = replace(limits, egress=left.share, budget=min(budget.size for budget in budgets))
    batch = choose(lake, snapshot, taken, run.now(), limits, workspace)
    file = note(batch)
    if not budgets or file is None:
        return batch, file
    # Other runs may have chosen at the same time. The run that writes its note later sees the other note.
    left = egress_left(lake, budgets, lease, run.now())
    if left.size >= 0:
        return batch, file
    batch = within(batch.rows, replace(limits, egress=max(0, batch.size + left.size)))
    return batch, lease.take(lake, len(taken) + 1, batch.rows, snapshot, workspace)
