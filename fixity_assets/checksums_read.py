"""The first steps of `checksums`: choose the objects, then read and hash them.

How objects are read is in `fixity.engines.stream`, what is expected of them in `fixity.ledger`. The step in
`checksums_keep` keeps the results.
"""

import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import dagster as dg

from fixity.catalog.map_results import ENGINE as MAP_ENGINE
from fixity.clock import utc_now
from fixity.engines.stream.pace import shard_limits
from fixity.engines.stream.shards import Plan, Reading, Shard, hash_shard, make_plan, plan_file
from fixity.engines.stream.takeover import take_over
from fixity.humanize import bytes_text
from fixity.lake import Lake, LakeError
from fixity.lake.paths import baselines_file, scratch_folder
from fixity.lake.sweep import SCRATCH_DAYS, sweep
from fixity.ledger import known_so_far
from fixity.ledger.carried import carried_over, ledger_state
from fixity.ledger.clocks import refuse_wrong_clock
from fixity.ledger.expected import with_expectations
from fixity.ledger.fold import settings_of
from fixity.ledger.inventory import fetch_inventory, newest_inventory
from fixity.tables import Provenance
from fixity_assets.batch_report import find_job, submits_job
from fixity_assets.checksums_fold import fold_steps
from fixity_assets.checksums_run import ChecksumsConfig, plan_of_run, scratch_of
from fixity_assets.describe import RETRIES, failures_in_plain_words
from fixity_assets.due_batch import check_shard_of_batch, keep_of_dead_batches, plan_batch
from fixity_assets.selected import SelectedObjects
from jobs.names import SELECTION
from jobs.runs import UNFINISHED, refuse_over
from resources import LakeResource, ProgressResource, S3ControlResource, StoresResource
from resources.pool import POOL


def _sweep(context: dg.OpExecutionContext, lake: Lake) -> None:
    """Remove old scratch of finished runs. If that fails, this run still goes on."""
    runs = context.instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
    in_progress = {run.root_run_id or run.run_id for run in runs}
    try:
        for folder in sweep(lake, in_progress, utc_now()):
            context.log.info(
                f"removed {lake.location(scratch_folder(folder))}: scratch older than {SCRATCH_DAYS} days"
            )
    except LakeError as error:
        context.log.warning(f"old scratch was not removed: {error}")


def _records(context: dg.OpExecutionContext, lake: Lake, workspace: Path) -> Path | None:
    """The recorded checksums that this run gathered, if it did."""
    for run_id in (context.run.run_id, context.run.parent_run_id, context.run.root_run_id):
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
        return name, fetch_inventory(lake, name, workspace)
    selected = SelectedObjects(context, stores.catalog.run_over(lake, bucket, context.run.run_id))
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


def _plan(
    context: dg.OpExecutionContext,
    lake: Lake,
    stores: StoresResource,
    inventory: str,
    objects: Path,
    workspace: Path,
) -> Plan:
    """The objects cut into shards. Arguments: `inventory`, their name in the lake; `objects`, a local one."""
    bucket, selection = stores.catalog.bucket(context.partition_key), context.run.tags.get(SELECTION)
    limits = shard_limits(lake, bucket, stores.steps_at_once(context.instance), workspace)
    plan = make_plan(inventory, objects, bucket.algorithm, limits)
    context.log.info(
        f"{bucket.name}: {plan.objects:,} objects, {bytes_text(plan.size)}, in {len(plan.shards)} shards of "
        f"{limits.why}"
    )
    return replace(plan, bucket=bucket.name, selection=selection, run_id=context.run.run_id)


def _keep_plan(
    context: dg.OpExecutionContext, lake: Lake, plan: Plan, objects: Path, workspace: Path
) -> Plan:
    """Put the plan into scratch, with what interrupted runs have checked already. Returns the plan.

    Another attempt of the step may have put one: that one counts, because its shards may be hashed by now.
    """
    scratch = scratch_of(context)
    taken = take_over(lake, plan, objects, workspace, context.log.warning)
    refuse_over(context)
    if (seen := lake.see(plan_file(scratch))) is not None:
        with suppress(ValueError, KeyError, TypeError):  # a damaged one is made again
            before = Plan.from_json(seen.text)
            if before.run_id == plan.run_id:
                return before
            _refuse_beside(context, before)
        lake.remove(scratch)  # of an earlier run, which this one repeats
    if plan.inventory.startswith(scratch):
        lake.put(plan.inventory, objects, replace=True, keep=True)
    if taken:
        plan = replace(plan, taken=taken.checks)
        taken.keep(lake, scratch, plan)
        context.log.info(
            f"{plan.bucket}: {taken.checks:,} objects were checked by interrupted runs, and those checks "
            f"count, the first of {taken.oldest:%Y-%m-%d %H:%M} UTC"
            if taken.oldest
            else f"{plan.bucket}: {len(taken.states)} large objects go on where interrupted runs stopped"
        )
    if not lake.put_if(plan_file(scratch), plan.to_json(), None):
        of_other = Plan.from_json(lake.read_text(plan_file(scratch)))
        _refuse_beside(context, of_other)
        return of_other
    return plan


def _refuse_beside(context: dg.OpExecutionContext, plan: Plan) -> None:
    """Raise Failure if the plan is of another re-execution of the same run, which is in progress."""
    if plan.run_id is None or plan.run_id == context.run.run_id:
        return
    other = context.instance.get_run_by_id(plan.run_id)
    if other is not None and not other.is_finished:
        raise dg.Failure(
            description=f"the run {other.run_id} is in progress, and they would share its parts: this one "
            "re-executes it, or the same run. Wait for its end, or cancel it",
            allow_retries=False,
        )


def _plan_of_objects(
    context: dg.OpExecutionContext, lake: Lake, stores: StoresResource, s3_control: S3ControlResource
) -> Plan | None:
    """The plan of a run over all objects, or over those of a list; None where S3 reads them."""
    bucket, scratch = stores.catalog.bucket(context.partition_key), scratch_of(context)
    with lake.workspace() as workspace:
        records = _records(context, lake, workspace)
        streamed = records is not None or SELECTION in context.run.tags
        if s3_control.checks(bucket.name) and (not streamed or submits_job(context.run)):
            lake.remove(scratch)
            find_job(context, lake, s3_control, scratch)
            return None
        if bucket.engine == MAP_ENGINE and not streamed:
            raise dg.Failure(
                description=f"the checksums of '{bucket.name}' are computed by Step Functions: start its "
                f"state machine, or with `state_machine` in the catalog: fixity request {bucket.name}; a "
                "sensor keeps the results when its map ends",
                allow_retries=False,
            )
        name, objects = _objects(context, lake, stores, workspace)
        place = stores.catalog.place_of(bucket.name)
        listed = Plan("", bucket.algorithm, [], Provenance.read(objects).place)
        listed.refuse_elsewhere(bucket.name, place)
        _sweep(context, lake)
        keep_of_dead_batches(context, lake, bucket)
        expected, rests_on = _expected(context, lake, stores, objects, records, workspace)
        own = f"{scratch}objects-{uuid.uuid4()}.parquet"  # of this plan alone, and so are its parts
        inventory = name if name and expected == objects else own
        plan = _plan(context, lake, stores, inventory, expected, workspace)
        return _keep_plan(context, lake, replace(plan, rests_on=rests_on), expected, workspace)


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
    """Choose objects with their expected checksums, cut them into shards; or find S3's finished job."""
    with failures_in_plain_words():
        refuse_over(context)
        kept_in = lake.open()
        refuse_wrong_clock(kept_in, context.partition_key)
        fold_steps(context, lake, stores).finish()
        if config.is_batch:
            plan: Plan | None = plan_batch(context, kept_in, stores, scratch_of(context), config)
        else:
            plan = _plan_of_objects(context, kept_in, stores, s3_control)
    if plan is None:
        return
    if plan.steps > 1 or config.is_batch:
        # Else a retry of the run would leave out shards that had not begun, and one step would read them all;
        # and that of a batch would go on under a lease that others end, because its run has.
        context.instance.add_run_tags(context.run.run_id, {"dagster/retry_strategy": "ALL_STEPS"})
    for number in range(len(plan.shards)):
        yield dg.DynamicOutput(None, mapping_key=str(number))


def _hash_objects(
    context: dg.OpExecutionContext,
    config: ChecksumsConfig,
    lake: LakeResource,
    stores: StoresResource,
    progress: dg.ResourceParam[ProgressResource],
) -> None:
    """Read and hash the objects of one shard. Finished parts are kept when the step is interrupted."""
    bucket, scratch = context.partition_key, scratch_of(context)
    with failures_in_plain_words():
        refuse_over(context)
        kept_in = lake.open()
        refuse_wrong_clock(kept_in, bucket)
        plan = plan_of_run(kept_in, scratch, stores, bucket)
        shard = plan.shards[int(context.get_mapping_key() or 0)]
        # The pool may have grown since: then more steps share the bucket's limits.
        at_once = min(stores.steps_at_once(context.instance), len(plan.shards))
        plan = replace(plan, steps=max(plan.steps, at_once))
        if config.is_batch:
            check_shard_of_batch(context, kept_in, stores, config, plan, shard)
        else:
            read_shards(context, kept_in, stores, progress, plan, [shard])


def _hashing(pool: str | None) -> dg.OpDefinition:
    made = dg.op(
        name="hash_objects",
        ins={"planned": dg.In(dg.Nothing)},
        out=dg.Out(dg.Nothing),
        retry_policy=RETRIES,
        pool=pool,
    )(_hash_objects)
    return made


hash_objects, hash_objects_in_pool = _hashing(None), _hashing(POOL)
"""The step that reads a shard. On several machines a pool limits how many of them there are at once."""


def read_shards(
    context: dg.OpExecutionContext,
    lake: Lake,
    stores: StoresResource,
    progress: ProgressResource,
    plan: Plan,
    shards: Iterable[Shard],
) -> None:
    """Read and hash what is missing of some shards of the run's plan.

    Raises BucketUnreachable, RunOver, LakeError; what was read stays.
    """
    bucket = context.partition_key
    with stores.open(bucket, plan.steps) as store:
        for shard in shards:
            reading = Reading(
                store,
                store.at_once,
                stores.catalog.bucket(bucket).chunk_size,
                progress.hashing(context, bucket, plan, shard),
                context.log.info,
                is_md5=stores.etag_is_md5(bucket),
                second_look=stores.catalog.catalog.second_look,
                etag_is_md5=stores.catalog.bucket(bucket).etag_is_md5 is not False,
                ask=lambda: refuse_over(context),
            )
            hash_shard(reading, lake, scratch_of(context), plan, shard, context.run.run_id)
