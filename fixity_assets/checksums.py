"""A checksum of every object of the newest inventory, computed from its bytes now.

One row an object version, sorted by key: `succeeded` with the checksum, `failed` with why the bytes
could not be read, or `skipped` with why there was nothing to read (overwritten or deleted since it
was listed, archived). Where the bucket's engine is `s3_batch`, S3 has read the bytes, and this ingests the
report of its newest job. Kept in the lake as `checksums/<bucket>/<run id>.parquet`, a run's part of the
ledger. Re-executing a failed run from failure goes on after the last part that was kept.
"""

from collections.abc import Iterator

import dagster as dg

from fixity.catalog.map_results import ENGINE as MAP_ENGINE
from fixity.clock import utc_now
from fixity.engines.stream.keep import keep_checksums
from fixity.engines.stream.shards import Plan, make_plan, plan_file
from fixity.humanize import bytes_text
from fixity.lake import Lake, LakeError
from fixity.lake.paths import scratch_folder
from fixity.lake.sweep import SCRATCH_DAYS, sweep
from fixity.ledger.inventory import TableMissing, newest_inventory
from fixity.tables import CHECKSUMS
from fixity_assets.batch_report import find_job, keep_job_report
from fixity_assets.describe import GROUP, RETRIES, checksums_metadata, column_schema, failures_in_plain_words
from fixity_assets.hashing import hash_planned
from jobs.runs import UNFINISHED
from resources import LakeResource, ProgressResource, S3ControlResource, StoresResource


def _scratch(context: dg.OpExecutionContext) -> str:
    return scratch_folder(context.run.root_run_id or context.run.run_id)


def _sweep(context: dg.OpExecutionContext, lake: Lake) -> None:
    """Remove what runs that are over left long ago. Other people's litter is no reason to end a run."""
    runs = context.instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
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


@dg.op(ins={"inventory": dg.In(dg.Nothing)}, out=dg.DynamicOut(dg.Nothing), retry_policy=RETRIES)
def plan_shards(
    context: dg.OpExecutionContext, lake: LakeResource, stores: StoresResource, s3_control: S3ControlResource
) -> Iterator[dg.DynamicOutput[None]]:
    """Cut the newest inventory into shards by objects and bytes; or find the job that S3 has finished."""
    bucket = context.partition_key
    scratch = _scratch(context)
    with failures_in_plain_words():
        kept_in = lake.open()
        if s3_control.checks(bucket):
            find_job(context, kept_in, s3_control, scratch)
            return
        if stores.catalog.bucket(bucket).engine == MAP_ENGINE:
            raise dg.Failure(
                description=f"the checksums of '{bucket}' are computed by Step Functions: start its state "
                "machine; they are kept as soon as the results of its map are there",
                allow_retries=False,
            )
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
    retry_policy=RETRIES,
)
def hash_objects(
    context: dg.OpExecutionContext,
    lake: LakeResource,
    stores: StoresResource,
    progress: dg.ResourceParam[ProgressResource],
) -> None:
    """Read and hash the objects of one shard; finished parts stay when the step is interrupted."""
    scratch = _scratch(context)

    def planned(kept_in: Lake) -> tuple[Plan, str, int]:
        plan = _plan(kept_in, scratch, stores, context.partition_key)
        return plan, scratch, int(context.get_mapping_key() or 0)

    hash_planned(context, lake, stores, progress, planned)


@dg.op(ins={"hashed": dg.In(dg.Nothing)}, out=dg.Out(dg.Nothing), retry_policy=RETRIES)
def keep_table(
    context: dg.OpExecutionContext, lake: LakeResource, stores: StoresResource, s3_control: S3ControlResource
) -> None:
    """Join the parts to the run's table in the ledger; or make it of the report of S3's job."""
    bucket = context.partition_key
    scratch = _scratch(context)
    with failures_in_plain_words():
        kept_in = lake.open()
        if s3_control.checks(bucket):
            keep_job_report(context, kept_in, s3_control, stores, scratch)
            return
        plan = _plan(kept_in, scratch, stores, bucket)
        kept = keep_checksums(kept_in, scratch, plan, bucket, context.run.run_id)
        kept_in.remove(scratch)
    context.add_output_metadata(checksums_metadata(kept_in, kept, plan.algorithm, plan.inventory))


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
        # Dagster calls this to lay out the steps: what it returns is one of them.
        return keep_table(plan_shards(inventory).map(hash_objects).collect())  # type: ignore[no-any-return]

    return checksums
