"""A check of a bucket's objects: their bytes are read now, and held against what is expected of them.

One row an object version, sorted by key: `succeeded` with the checksum, `failed` with why the bytes
could not be read, or `skipped` with why there was nothing to read (overwritten or deleted since it
was listed, archived). `verdict` says whether the checksum is the expected one: a recorded checksum if this
run gathered records, else what the ledger says so far.

Which objects: all of the newest inventory, those that a sensor or the command line named (the run's tag
`fixity/selection`), or by this asset's config those that are due, or a few keys. Where the bucket's engine is
`s3_batch`, S3 has read all objects, and this ingests the report of its newest job.

Kept in the lake as `checksums/<bucket>/<run id>.parquet`, a run's part of the ledger. Re-executing a failed
run from failure goes on after the last part that was kept.
"""

import json
import warnings
from collections.abc import Iterator
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from fixity.catalog.map_results import ENGINE as MAP_ENGINE
from fixity.clock import utc_now
from fixity.engines.stream.keep import keep_checksums
from fixity.engines.stream.shards import Plan, make_plan, plan_file
from fixity.humanize import bytes_text
from fixity.lake import Lake, LakeError
from fixity.lake.paths import baselines_file, inventory_file, scratch_folder
from fixity.lake.sweep import SCRATCH_DAYS, sweep
from fixity.ledger import known_so_far, ready
from fixity.ledger.carried import carried_over, ledger_state
from fixity.ledger.damage import Damage, damage_after, damage_after_some, damaged_now
from fixity.ledger.expected import with_expectations
from fixity.ledger.fold import settings_of
from fixity.ledger.inventory import TableMissing, newest_inventory
from fixity.ledger.snapshot import in_force
from fixity.tables import CHECKSUMS, Provenance
from fixity_assets.batch_report import find_job, keep_job_report
from fixity_assets.bucket_checks import ASSET, check_names, check_specs, evaluations, unread
from fixity_assets.describe import GROUP, RETRIES, checksums_metadata, column_schema, failures_in_plain_words
from fixity_assets.due_batch import batch_metadata, check_batch, rolled_file
from fixity_assets.hashing import hash_planned
from fixity_assets.selected import SelectedObjects
from jobs.names import SELECTION
from jobs.runs import UNFINISHED
from resources import LakeResource, ProgressResource, S3ControlResource, StoresResource

warnings.filterwarnings("ignore", message="Specifying a partitions_def", category=dg.PreviewWarning)

_BATCH = "batch"  # the mapping key of the one step that checks what is due


class Which(Enum):
    """Which objects a run checks."""

    all = "all"  # the launchpad shows the names
    due = "due"


class ChecksumsConfig(dg.Config):
    """Which objects to check: all, those that are due (at most so many), or these keys."""

    objects: Which = Field(
        default=Which.all,
        description="all: every object. due: what was not checked within its term (`fixity_every`), as the "
        "schedule takes it.",
    )
    items: int | None = Field(default=None, description="Of what is due: at most so many objects.")
    keys: list[str] = Field(default=[], description="These objects only, all their versions, due or not.")

    @property
    def is_batch(self) -> bool:
        """Whether it is a batch, and not the whole bucket."""
        return self.objects is Which.due or bool(self.keys)


@dg.config_mapping
def _for_the_steps(config: ChecksumsConfig) -> dict[str, Any]:
    said = {"config": {"objects": config.objects.value, "items": config.items, "keys": config.keys}}
    return {"plan_shards": said, "hash_objects": said}


def _scratch(context: dg.OpExecutionContext) -> str:
    return scratch_folder(context.run.root_run_id or context.run.run_id, ASSET)


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


def _records(context: dg.OpExecutionContext, lake: Lake, workspace: Path) -> Path | None:
    """The recorded checksums that this run gathered, if it did."""
    for run_id in (context.run.run_id, context.run.root_run_id):
        if run_id:
            try:
                return lake.fetch(baselines_file(context.partition_key, run_id), workspace)
            except FileNotFoundError:
                continue
    return None


def _objects(
    context: dg.OpExecutionContext, lake: Lake, stores: StoresResource, workspace: Path
) -> tuple[str | None, Path]:
    """An inventory of the objects to check: its name in the lake if it has one, and a local file."""
    bucket = context.partition_key
    if SELECTION not in context.run.tags:
        name = newest_inventory(lake, bucket)
        return name, lake.fetch(name, workspace)
    selected = SelectedObjects(context, lake, bucket, stores.catalog.place_of(bucket))
    with stores.open(bucket) as store:
        return None, selected.objects(store, workspace)


def _expected(
    context: dg.OpExecutionContext,
    lake: Lake,
    stores: StoresResource,
    objects: Path,
    records: Path | None,
    workspace: Path,
) -> tuple[Path, str | None]:
    """The objects with what is expected of them, and the state of the ledger that says it.

    The state is None for a run that does not check the whole bucket, or where something was left out.
    """
    bucket = stores.catalog.bucket(context.partition_key)
    is_whole = SELECTION not in context.run.tags
    rests_on = ledger_state(lake, bucket.name) if is_whole else None
    if is_whole and records is None:
        carried = carried_over(lake, bucket.name, bucket.algorithm, objects, workspace)
        if carried is not None:
            return carried, rests_on
    snapshot = known_so_far(lake, bucket.name, settings_of(bucket), context.run.run_id, context.log.warning)
    if snapshot is not None and (snapshot.left_out or snapshot.doubted):
        rests_on = None
    return with_expectations(lake, snapshot, objects, records, workspace), rests_on


# The steps pass nothing to each other through Dagster: what they share stands in the lake's scratch,
# which a step on another machine and a re-execution find as well.


@dg.op(
    ins={"inventory": dg.In(dg.Nothing), "baselines": dg.In(dg.Nothing)},
    out=dg.DynamicOut(dg.Nothing),
    retry_policy=RETRIES,
)
def plan_shards(
    context: dg.OpExecutionContext,
    config: ChecksumsConfig,
    lake: LakeResource,
    stores: StoresResource,
    s3_control: S3ControlResource,
) -> Iterator[dg.DynamicOutput[None]]:
    """Say what to read and what is expected of it, and cut it into shards; or find S3's finished job."""
    bucket = stores.catalog.bucket(context.partition_key)
    scratch = _scratch(context)
    with failures_in_plain_words():
        kept_in = lake.open()
        if config.is_batch:
            kept_in.remove(scratch)
            yield dg.DynamicOutput(None, mapping_key=_BATCH)
            return
        with kept_in.workspace() as workspace:
            records = _records(context, kept_in, workspace)
            streamed = records is not None or SELECTION in context.run.tags
            if s3_control.checks(bucket.name) and not streamed:
                kept_in.remove(scratch)
                find_job(context, kept_in, s3_control, scratch)
                return
            if bucket.engine == MAP_ENGINE and not streamed:
                raise dg.Failure(
                    description=f"the checksums of '{bucket.name}' are computed by Step Functions: start its "
                    "state machine; they are kept as soon as the results of its map are there",
                    allow_retries=False,
                )
            name, objects = _objects(context, kept_in, stores, workspace)
            place = stores.catalog.place_of(bucket.name)
            listed_at = Plan("", bucket.algorithm, [], Provenance.read(objects).place)
            listed_at.refuse_elsewhere(bucket.name, place)
            _sweep(context, kept_in)
            kept_in.remove(scratch)
            expected, rests_on = _expected(context, kept_in, stores, objects, records, workspace)
            own = f"{scratch}objects.parquet"
            plan = make_plan(name if name and expected == objects else own, expected, bucket.algorithm)
            plan = replace(plan, rests_on=rests_on)
            if plan.inventory == own:
                kept_in.put(own, expected, replace=True, keep=True)
        kept_in.put_text(plan_file(scratch), plan.to_json(), replace=True)
    context.log.info(
        f"{bucket.name}: {plan.objects:,} objects, {bytes_text(plan.size)}, in {len(plan.shards)} shards"
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
    config: ChecksumsConfig,
    lake: LakeResource,
    stores: StoresResource,
    progress: dg.ResourceParam[ProgressResource],
) -> None:
    """Read and hash the objects of one shard; finished parts stay when the step is interrupted."""
    scratch = _scratch(context)
    if config.is_batch:
        with failures_in_plain_words():
            check_batch(context, lake.open(), stores, scratch, config.items, config.keys)
        return

    def planned(kept_in: Lake) -> tuple[Plan, str, int]:
        plan = _plan(kept_in, scratch, stores, context.partition_key)
        return plan, scratch, int(context.get_mapping_key() or 0)

    hash_planned(context, lake, stores, progress, planned)


@dg.op(
    ins={"hashed": dg.In(dg.Nothing)},
    out={
        "result": dg.Out(dg.Nothing, is_required=False),
        **{name: dg.Out(dg.Nothing) for name in check_names()},
    },
    retry_policy=RETRIES,
)
def keep_table(
    context: dg.OpExecutionContext, lake: LakeResource, stores: StoresResource, s3_control: S3ControlResource
) -> Iterator[dg.Output[None] | dg.AssetCheckResult]:
    """Join the parts to the run's table, or make it of the report of S3's job; say what it means."""
    scratch = _scratch(context)
    with failures_in_plain_words():
        kept_in = lake.open()
        with kept_in.workspace() as workspace:
            try:
                batch = json.loads(kept_in.read_text(rolled_file(scratch)))
            except FileNotFoundError:
                batch = None
            if batch is not None:
                metadata, file = batch_metadata(kept_in, batch), batch["table"]
                damaged = _damage_of_all(context, kept_in, stores)
            else:
                metadata, file = _keep(context, kept_in, stores, s3_control, scratch)
                damaged = _damage(context, kept_in, stores, kept_in.fetch(file, workspace), workspace)
            not_read = unread(kept_in.fetch(file, workspace)) if file else {}
        kept_in.remove(scratch)
    if file:
        context.add_output_metadata(metadata, output_name="result")
        yield dg.Output(None, "result")
    else:  # nothing was due: nothing new is known of the bucket
        context.log_event(dg.AssetObservation(ASSET, partition=context.partition_key, metadata=metadata))
    yield from evaluations(damaged, not_read)


def _keep(
    context: dg.OpExecutionContext,
    lake: Lake,
    stores: StoresResource,
    s3_control: S3ControlResource,
    scratch: str,
) -> tuple[dict[str, Any], str]:
    """Keep the run's table; what the materialization says, and the table's name in the lake."""
    bucket = stores.catalog.bucket(context.partition_key)
    try:
        plan = _plan(lake, scratch, stores, bucket.name)
    except TableMissing:
        if not s3_control.checks(bucket.name):
            raise
        known_so_far(lake, bucket.name, settings_of(bucket), context.run.run_id, context.log.warning)
        return keep_job_report(context, lake, s3_control, stores, scratch)
    kept = keep_checksums(lake, scratch, plan, bucket.name, context.run.run_id)
    with lake.workspace() as workspace:
        listed = Provenance.read(lake.fetch(kept.file, workspace)).inventory_run_id
    inventory = inventory_file(bucket.name, listed)
    return checksums_metadata(lake, kept, plan.algorithm, inventory), kept.file


def _damage(
    context: dg.OpExecutionContext, lake: Lake, stores: StoresResource, run_file: Path, workspace: Path
) -> list[Damage]:
    bucket = stores.catalog.bucket(context.partition_key)
    settings = settings_of(bucket)
    if SELECTION in context.run.tags:
        return damage_after_some(lake, in_force(lake, bucket.name), settings, run_file, workspace)
    listed = inventory_file(bucket.name, Provenance.read(run_file).inventory_run_id)
    inventory = lake.fetch(listed, workspace)
    try:
        return damage_after(lake, settings, run_file, inventory, workspace)
    except Exception as error:
        context.log.warning(f"the ledger is folded, since one of its newest files cannot be read: {error}")
        return _damage_of_all(context, lake, stores)


def _damage_of_all(context: dg.OpExecutionContext, lake: Lake, stores: StoresResource) -> list[Damage]:
    bucket = stores.catalog.bucket(context.partition_key)
    run_id, log = context.run.run_id, context.log.warning
    return damaged_now(lake, ready(lake, bucket.name, settings_of(bucket), run_id, log=log))


def checksums_asset(buckets: dg.PartitionsDefinition[str], owners: list[str]) -> dg.AssetsDefinition:
    """The asset `checksums`, a partition a bucket: plan shards, hash each, keep the table."""

    @dg.graph_asset(
        name=ASSET,
        description=__doc__,
        group_name=GROUP,
        kinds={"python", "parquet"},
        owners=owners,
        partitions_def=buckets,
        ins={
            "inventory": dg.AssetIn(dagster_type=dg.Nothing),
            "baselines": dg.AssetIn(dagster_type=dg.Nothing),
        },
        config=_for_the_steps,
        check_specs=check_specs(buckets),
        metadata={"dagster/column_schema": column_schema(CHECKSUMS)},
    )
    def checksums(inventory: None, baselines: None) -> dict[str, object]:
        # Dagster calls this to lay out the steps.
        planned = plan_shards(inventory=inventory, baselines=baselines)
        made = keep_table(planned.map(hash_objects).collect())
        return {"result": made.result, **{f"{ASSET}_{name}": getattr(made, name) for name in check_names()}}

    return checksums
