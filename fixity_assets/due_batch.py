"""A run of `checksums` over objects that are due, or over a few keys: what its steps do.

Which objects are due, leases and budgets are in `fixity.rolling`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import dagster as dg

from fixity.clock import utc_now
from fixity.engines.stream.pace import shard_limits
from fixity.engines.stream.shards import Plan, Shard, plan_file
from fixity.errors import FixityError, RunOver
from fixity.lake import Lake
from fixity.lake.paths import leases_folder
from fixity.lake.proof import sealed, unsealed
from fixity.ledger.fold import settings_of
from fixity.ledger.inventory import TableMissing
from fixity.tables import TableUnreadable
from fixity_assets.checksums_run import ChecksumsConfig, plan_of_run, scratch_of
from fixity_assets.describe import RETRIES, counts_metadata
from jobs.names import ROLLING
from jobs.runs import is_over
from resources import StoresResource

if TYPE_CHECKING:
    from fixity.catalog import Bucket
    from fixity.rolling import Order, RollingRun

NOT_REACHED = "not_reached"
"""Metadata: how many objects of the batch were not checked, because its window closed or a shard failed."""
FAILURES = "failures"
"""Metadata: why shards of the batch could not be read to their ends."""

_RESULT = "rolled.json"  # in scratch, for another attempt at the last step
_FAILED = "failed/"  # there, for the last step: why shards could not be read
_RUN_ID = 36  # letters of a run's id


def plan_batch(
    context: dg.OpExecutionContext, lake: Lake, stores: StoresResource, scratch: str, config: ChecksumsConfig
) -> Plan:
    """Lease the bucket, choose a batch, and keep its plan in scratch.

    Raises NoTerm, BucketBusy, NotInInventory, AnotherPlace, TableMissing, RunOver, LakeError.
    """
    from fixity.rolling.roll import begin  # most runs check no batch

    bucket, order = stores.catalog.bucket(context.partition_key), _order(context, stores, config)
    with lake.workspace() as workspace:
        limits = shard_limits(lake, bucket, stores.steps_at_once(context.instance), workspace)
    with _run(context, lake, stores) as run:
        plan = begin(order, run, limits)
    lake.remove(scratch)  # of an attempt before, or of a run that this one repeats
    lake.put_text(plan_file(scratch), plan.to_json(), replace=True)
    return plan


def check_shard_of_batch(
    context: dg.OpExecutionContext,
    lake: Lake,
    stores: StoresResource,
    config: ChecksumsConfig,
    plan: Plan,
    shard: Shard,
) -> None:
    """Check a shard of the batch.

    After the last attempt an error that can happen in use is noted for the last step, which keeps what all
    shards have checked, and fails then: Dagster would leave it out after a step that failed.
    Raises LeaseLost, RunOver, BucketUnreachable, LakeError.
    """
    from fixity.rolling import LeaseLost
    from fixity.rolling.batches import check_shard

    order = _order(context, stores, config)
    try:
        with _run(context, lake, stores, plan.steps) as run:
            check_shard(order, run, plan, shard)
    except (LeaseLost, RunOver):  # nothing is left to be kept
        raise
    except FixityError as error:
        if not error.final and context.retry_number < (RETRIES.max_retries or 0):
            raise
        context.log.error(f"{plan.bucket}: a shard could not be read to its end: {error}")
        lake.put_text(f"{scratch_of(context)}{_FAILED}{shard.first:012d}.txt", str(error), replace=True)


def kept_batch(
    context: dg.OpExecutionContext, lake: Lake, stores: StoresResource, scratch: str
) -> dict[str, Any] | None:
    """Keep the batch's checks, and what is told of them; None if the run checks no batch.

    Raises LeaseLost, TableUnreadable, LakeError.
    """
    result = batch_result(lake, scratch)
    try:
        plan = plan_of_run(lake, scratch, stores, context.partition_key)
    except TableMissing:  # S3 checks the bucket; or an attempt before was removing its scratch
        return result
    if not (plan.selection or "").startswith(leases_folder(context.partition_key)):
        return None
    from fixity.rolling.roll import end, release

    if result is None:
        rolled = end(lake, plan, settings_of(stores.catalog.bucket(context.partition_key)), utc_now())
        result = {
            **counts_metadata(rolled),
            "registered": rolled.registered,
            "damaged": len(rolled.damaged),
            NOT_REACHED: rolled.not_reached,
            ROLLING: rolled.cut_short or "-",
            "table": rolled.file,
        }
        if failures := _failures_of_shards(lake, scratch):
            result[FAILURES] = failures
        lake.put_text(scratch + _RESULT, sealed(result), replace=True)
    release(lake, plan, utc_now())
    return result


def _failures_of_shards(lake: Lake, scratch: str) -> list[str]:
    """Why shards of the batch could not be read to their ends, each reason once. Raises LakeError."""
    texts = (lake.read_text(file.name) for file in lake.list(scratch + _FAILED))
    return list(dict.fromkeys(texts))


def keep_of_dead_batches(
    context: dg.OpExecutionContext | dg.AssetExecutionContext, lake: Lake, bucket: Bucket
) -> None:
    """Keep what batches of runs that are dead had checked of a bucket. Raises LakeError."""
    if not lake.list(leases_folder(bucket.name)):
        return
    from fixity.rolling.dead_runs import keep_of_dead_runs

    def has_ended(other: str) -> bool:
        return is_over(context.instance, other[:_RUN_ID])

    keep_of_dead_runs(
        lake, bucket.name, settings_of(bucket), context.run.run_id, utc_now(), has_ended, context.log.info
    )


def batch_result(lake: Lake, scratch: str) -> dict[str, Any] | None:
    """What an attempt before kept of the batch; None: nothing. Raises TableUnreadable, LakeError."""
    name = scratch + _RESULT
    try:
        return unsealed(lake.read_text(name))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise TableUnreadable(lake.location(name), error) from error


def batch_metadata(lake: Lake, result: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of the materialization, from the batch's result."""
    file = result["table"]
    table = dg.MetadataValue.path(lake.location(file)) if file else "-"
    return {**result, "table": table}


def _order(context: dg.OpExecutionContext, stores: StoresResource, config: ChecksumsConfig) -> Order:
    from fixity.rolling import egress_budgets, order_for

    bucket = stores.catalog.bucket(context.partition_key)
    budgets = egress_budgets(stores.catalog.catalog, bucket)
    return order_for(bucket, stores.catalog.place_of(bucket.name), budgets, config.items, config.keys)


@contextmanager
def _run(
    context: dg.OpExecutionContext, lake: Lake, stores: StoresResource, share: int = 1
) -> Iterator[RollingRun]:
    from fixity.rolling import RollingRun

    # Each attempt has its own file in the ledger, because the checks of the last one are kept already.
    attempt = f"-{context.retry_number}" if context.retry_number else ""
    run_id = context.run.run_id + attempt

    def has_ended(other: str) -> bool:
        is_earlier_attempt = other != run_id and other.startswith(context.run.run_id)
        return is_earlier_attempt or is_over(context.instance, other[:_RUN_ID])

    with stores.open(context.partition_key, share) as store:
        yield RollingRun(
            store,
            lake,
            run_id,
            store.at_once,
            context.log.info,
            second_look=stores.catalog.catalog.second_look,
            is_over=has_ended,
        )
