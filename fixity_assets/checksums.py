"""A checksum of every object of the newest inventory, computed from its bytes now.

One row an object version, sorted by key: `succeeded` with the checksum, `failed` with why the bytes
could not be read, or `skipped` with why there was nothing to read (overwritten or deleted since it
was listed, archived). Kept in the lake as `checksums/<bucket>/<run id>.parquet`, a run's part of the
ledger. Re-executing a failed run from failure goes on after the last part that was kept.
"""

from collections.abc import Iterator

import dagster as dg

from fixity.hashing import utc_now
from fixity.lake import Lake, LakeError
from fixity.lake.paths import scratch_folder
from fixity.ledger import TableMissing, keep_checksums, newest_inventory
from fixity.scratch import SCRATCH_DAYS, sweep
from fixity.shards import Plan, Shard, hash_shard, make_plan, plan_file
from fixity.tables import CHECKSUMS
from fixity.wording import bytes_text
from fixity_assets.describe import GROUP, column_schema, told_plainly
from resources import LakeResource, ProgressResource, StoresResource


def _scratch(context: dg.OpExecutionContext) -> str:
    return scratch_folder(context.run.root_run_id or context.run.run_id)


_OVER = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
_NOT_OVER = [status for status in dg.DagsterRunStatus if status not in _OVER]


def _sweep(context: dg.OpExecutionContext, lake: Lake) -> None:
    """Remove what runs that are over left long ago. Other people's litter is no reason to end a run."""
    runs = context.instance.get_runs(dg.RunsFilter(statuses=_NOT_OVER))
    in_progress = {run.root_run_id or run.run_id for run in runs}
    try:
        for folder in sweep(lake, in_progress, utc_now()):
            context.log.info(
                f"swept {lake.location(scratch_folder(folder))}, left {SCRATCH_DAYS} days ago or more"
            )
    except LakeError as error:
        context.log.warning(f"old scratch was not swept: {error}")


def _plan(lake: Lake, scratch: str, stores: StoresResource, bucket: str) -> Plan:
    """The run's plan, unless the catalog was edited since and means another place now."""
    try:
        plan = Plan.from_json(lake.read_text(plan_file(scratch)))
    except FileNotFoundError:
        raise TableMissing(
            f"{lake.location(scratch)} is gone (kept {SCRATCH_DAYS} days for a run that failed): start a new "
            f"run that materializes checksums[{bucket}]"
        ) from None
    plan.refuse_elsewhere(bucket, stores.catalog.place_of(bucket))
    return plan


# The steps pass nothing to each other through Dagster: what they share stands in the lake's scratch,
# which a step on another machine and a re-execution find as well.


@dg.op(ins={"inventory": dg.In(dg.Nothing)}, out=dg.DynamicOut(dg.Nothing))
def plan_shards(
    context: dg.OpExecutionContext, lake: LakeResource, stores: StoresResource
) -> Iterator[dg.DynamicOutput[None]]:
    """Cut the newest inventory into shards by objects and bytes."""
    bucket = context.partition_key
    scratch = _scratch(context)
    with told_plainly():
        kept_in = lake.open()
        name = newest_inventory(kept_in, bucket)
        with kept_in.workspace() as workspace:
            inventory = kept_in.fetch(name, workspace)
            plan = make_plan(name, inventory, stores.catalog.bucket(bucket).algorithm)
        plan.refuse_elsewhere(bucket, stores.catalog.place_of(bucket))
        _sweep(context, kept_in)
        kept_in.remove(scratch)
        kept_in.put_text(plan_file(scratch), plan.to_json(), replace=True)
    context.log.info(
        f"{bucket}: {plan.objects:,} objects, {bytes_text(plan.size)}, in {len(plan.shards)} shards"
    )
    for number in range(len(plan.shards)):
        yield dg.DynamicOutput(None, mapping_key=str(number))


@dg.op(
    ins={"planned": dg.In(dg.Nothing)},
    out=dg.Out(dg.Nothing),
    retry_policy=dg.RetryPolicy(max_retries=2, delay=10, backoff=dg.Backoff.EXPONENTIAL),
)
def hash_objects(
    context: dg.OpExecutionContext,
    lake: LakeResource,
    stores: StoresResource,
    progress: dg.ResourceParam[ProgressResource],
) -> None:
    """Read and hash the objects of one shard; finished parts stay when the step is interrupted."""
    bucket = context.partition_key
    scratch = _scratch(context)
    with told_plainly(), stores.open(bucket) as store:
        kept_in = lake.open()
        plan = _plan(kept_in, scratch, stores, bucket)
        shard: Shard = plan.shards[int(context.get_mapping_key() or 0)]
        told = progress.hashing(context, bucket, plan, shard)
        hash_shard(store, kept_in, scratch, plan, shard, context.run.run_id, stores.threads(bucket), told)


@dg.op(ins={"hashed": dg.In(dg.Nothing)}, out=dg.Out(dg.Nothing))
def keep_table(context: dg.OpExecutionContext, lake: LakeResource, stores: StoresResource) -> None:
    """Join the parts to the run's table in the ledger."""
    bucket = context.partition_key
    scratch = _scratch(context)
    with told_plainly():
        kept_in = lake.open()
        plan = _plan(kept_in, scratch, stores, bucket)
        kept = keep_checksums(kept_in, scratch, plan, bucket, context.run.run_id)
        kept_in.remove(scratch)
    context.add_output_metadata(
        {
            "dagster/row_count": kept.objects,
            "succeeded": kept.succeeded,
            "failed": kept.failed,
            "skipped": kept.skipped,
            "bytes_read": kept.bytes_read,
            "size": bytes_text(kept.bytes_read),
            "algorithm": plan.algorithm,
            "reasons": kept.reasons,
            "inventory": dg.MetadataValue.path(kept_in.location(plan.inventory)),
            "table": dg.MetadataValue.path(kept_in.location(kept.file)),
        }
    )


def checksums_asset(buckets: dg.PartitionsDefinition[str], owners: list[str]) -> dg.AssetsDefinition:
    """The asset `checksums`, a partition a bucket: plan shards, hash each, keep the table."""

    @dg.graph_asset(
        name="checksums",
        description=__doc__,
        group_name=GROUP,
        kinds={"python", "parquet"},
        owners=owners,
        partitions_def=buckets,
        ins={"inventory": dg.AssetIn(dagster_type=dg.Nothing)},
        metadata={"dagster/column_schema": column_schema(CHECKSUMS)},
    )
    def checksums(inventory: None) -> None:
        return keep_table(plan_shards(inventory).map(hash_objects).collect())  # type: ignore[no-any-return]

    return checksums
