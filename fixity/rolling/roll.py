"""The beginning and the end of a rolling run. One run at a time on a bucket, by any number of steps.

The first step takes the bucket's lease and a batch of what is due, cut into shards as a whole bucket is. Each
shard is read by a step of its own, on whatever machine (`batches`). The last step keeps all (`finish`).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from fixity.engines.stream.pace import ShardLimits
from fixity.engines.stream.shards import Plan, make_plan
from fixity.errors import AnotherPlace
from fixity.lake import Lake
from fixity.ledger import Settings, Snapshot, ready
from fixity.rolling.dead_runs import take_over
from fixity.rolling.finish import Rolled, finish
from fixity.rolling.lease import Lease, LeaseLost, held, record_roll, take_lease
from fixity.rolling.order import Order
from fixity.rolling.run import RollingRun
from fixity.rolling.take import take_batch


def begin(order: Order, run: RollingRun, limits: ShardLimits) -> Plan:
    """Lease the bucket, and choose objects that are due. First keeps the checks of a run that was killed.

    Arguments: `limits` of a shard. Returns the batch, cut into shards; none if nothing is due.
    Raises BucketBusy, TableMissing, LakeError, NotInInventory, AnotherPlace, RunOver.
    """
    lake, now = run.lake, run.now
    run.refuse_over()
    mine = take_lease(lake, order.bucket, run.run_id, now(), run.is_over)
    try:
        snapshot = ready(lake, order.bucket, order.settings, run.run_id, now, run.log)
        if take_over(lake, mine, order.settings, now(), run.is_over, run.log):
            snapshot = ready(lake, order.bucket, order.settings, run.run_id, now)
        _refuse_elsewhere(snapshot, order)
        with lake.workspace() as workspace:
            plan = _plan(order, run, mine, snapshot, limits, workspace)
        mine.keep_alive(lake, now())
    except BaseException:
        mine.end(lake)
        raise
    return plan


def end(lake: Lake, plan: Plan, settings: Settings, now: datetime) -> Rolled:
    """Keep a run's checks in the ledger. `now` is UTC. Its lease stays until `release`, so that a step that
    dies before it has told the result can do it again. Raises LeaseLost, LakeError."""
    lease = _lease_of(lake, plan)
    lease.keep_alive(lake, now)
    return finish(lake, lease, settings, now, plan.cut_short)


def release(lake: Lake, plan: Plan, now: datetime) -> None:
    """End a run's lease, once the result of `end` is told; also again. `now` is UTC. Raises LakeError."""
    with suppress(LeaseLost):  # it was ended before, or another run has kept the checks
        _lease_of(lake, plan).end(lake)
    assert plan.bucket is not None
    record_roll(lake, plan.bucket, now)


def _lease_of(lake: Lake, plan: Plan) -> Lease:
    assert plan.bucket is not None and plan.run_id is not None  # `begin` says both
    return held(lake, plan.bucket, plan.run_id)


def _plan(
    order: Order, run: RollingRun, lease: Lease, snapshot: Snapshot, limits: ShardLimits, workspace: Path
) -> Plan:
    batch, file = take_batch(order, run, snapshot, lease, [], workspace)
    if batch.cut_short:
        run.log(f"{order.bucket}: {batch.rows.num_rows:,} objects are taken: {batch.cut_short}")
    algorithm = order.settings.algorithm
    plan = Plan("", algorithm, [], snapshot.place)
    if file is not None:
        plan = make_plan(f"{lease.folder}{file.name}", file, algorithm, limits)
    return replace(
        plan, bucket=order.bucket, selection=lease.folder, run_id=lease.run_id, cut_short=batch.cut_short
    )


def _refuse_elsewhere(snapshot: Snapshot, order: Order) -> None:
    if None not in (order.place, snapshot.place) and order.place != snapshot.place:
        raise AnotherPlace(
            f"'{order.bucket}' was listed at {snapshot.place}, but the catalog now says {order.place}: list "
            f"it there first (fixity inventory {order.bucket})"
        )
