"""The last step of `checksums`: keep the run's table in the ledger, and evaluate the asset checks.

If a run is re-executed from failure, Dagster leaves out the steps that had not begun. So this step reads what
is still missing.

Which objects are damaged is in `fixity.ledger.damage`; the asset checks are in `bucket_checks`.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa

from fixity.clock import utc_now
from fixity.engines.stream.keep import keep_checksums
from fixity.engines.stream.parts import PartsMissing
from fixity.engines.stream.shards import Plan
from fixity.lake import Lake
from fixity.lake.paths import checksums_folder, inventory_file
from fixity.ledger import known_so_far, ready
from fixity.ledger.damage import Damage, damage_after, damage_after_some, damaged_now
from fixity.ledger.fold import settings_of
from fixity.ledger.inventory import TableMissing, fetch_inventory
from fixity.ledger.lost import LOST, lost_now
from fixity.ledger.refresh import state_of_files
from fixity.ledger.snapshot import in_force
from fixity.ledger.unread import OF_FAILED_SHARDS, unstable
from fixity.ledger.write import Checksums
from fixity.status import Result, kept_of
from fixity.tables import CHECKSUMS, Provenance
from fixity_assets.batch_report import keep_job_outcome, keep_job_report, nothing_yet
from fixity_assets.bucket_checks import (
    ASSET,
    CLAIMS,
    NOTHING_LOST,
    evaluations,
    lost_evaluation,
    reads_evaluation,
)
from fixity_assets.checksums_read import read_shards
from fixity_assets.checksums_run import plan_of_run, scratch_of
from fixity_assets.describe import RETRIES, checksums_metadata, failures_in_plain_words
from fixity_assets.due_batch import FAILURES, NOT_REACHED, batch_metadata, kept_batch
from fixity_assets.incidents import log_open_incidents, record_checks
from fixity_assets.keep_status import checks_of, counts_of, keep_of_bucket
from fixity_assets.read_so_far import read_so_far
from jobs.names import SELECTION, TAKEN_OVER
from jobs.runs import refuse_over
from resources import LakeResource, ProgressResource, S3ControlResource, StoresResource


@dg.op(
    ins={"hashed": dg.In(dg.Nothing)},
    out={
        "result": dg.Out(dg.Nothing, is_required=False),
        # While S3 works, nothing is said. Whether objects are lost is said only by runs over all or over what
        # is due.
        **{name: dg.Out(dg.Nothing, is_required=False) for name in CLAIMS},
    },
    retry_policy=RETRIES,
)
def keep_table(
    context: dg.OpExecutionContext,
    lake: LakeResource,
    stores: StoresResource,
    s3_control: S3ControlResource,
    progress: dg.ResourceParam[ProgressResource],
) -> Iterator[dg.Output[None] | dg.AssetCheckResult]:
    """Join the parts to the run's table, or take it from S3's report; evaluate the asset checks."""
    scratch = scratch_of(context)
    with failures_in_plain_words():
        refuse_over(context)
        kept_in = lake.open()
        if _is_kept(context, kept_in, scratch):
            context.log.info("an attempt before at this step has kept everything")
            folder, run_id = checksums_folder(context.partition_key), context.run.run_id
            if any(file.name.startswith(f"{folder}{run_id}") for file in kept_in.list(folder)):
                yield dg.Output(None, "result")
            return
        if s3_control.checks(context.partition_key) and (waits := nothing_yet(kept_in, scratch)):
            kept_in.remove(scratch)
            context.log.warning(f"nothing is checked yet: {waits}")
            said = {"nothing_yet": waits}
            context.log_event(dg.AssetObservation(ASSET, partition=context.partition_key, metadata=said))
            return
        with kept_in.workspace() as workspace:
            batch = kept_batch(context, kept_in, stores, scratch)
            failures: list[str] = []
            if batch is not None:
                began, failures = utc_now(), batch.get(FAILURES, [])
                metadata, file = batch_metadata(kept_in, batch), batch["table"]
                run_file = kept_in.fetch(file, workspace) if file else None
                damaged = _damage_of_all(context, kept_in, stores)
            else:
                metadata, file = _keep(context, kept_in, stores, s3_control, progress)
                began = utc_now()
                run_file = kept_in.fetch(file, workspace)
                damaged = _damage(context, kept_in, stores, run_file, workspace)
            so_far = read_so_far(
                context,
                kept_in,
                stores.catalog.bucket(context.partition_key),
                stores.catalog.place_of(context.partition_key),
                run_file,
                began,
                is_batch=batch is not None,
            )
            not_read, over = so_far.not_read, so_far.passed_over
            if failures:
                not_read = not_read | {OF_FAILED_SHARDS: metadata[NOT_REACHED]}
            twice = unstable(run_file) if run_file else CHECKSUMS.empty_table()
            ledger = state_of_files(kept_in, context.partition_key, workspace)
            lost = _lost(context, kept_in, stores)
            catalog, run_id = stores.catalog.catalog, context.run.run_id
            incidents = record_checks(run_id, kept_in, catalog, context.partition_key, damaged, run_file)
            results = [
                *evaluations(context.partition_key, damaged, not_read, ledger, over),
                reads_evaluation(twice, stores.store_text(context.partition_key)),
                *([lost_evaluation(lost)] if lost is not None else []),
            ]
            keep_of_bucket(
                stores,
                kept_in,
                Result(
                    ASSET,
                    context.partition_key,
                    run_id,
                    began,
                    checks_of(results),
                    counts_of(metadata),
                    all_checks=SELECTION not in context.run.tags,
                ),
                run_file,
                so_far,
            )
        if file:
            context.add_output_metadata(metadata, output_name="result")
            yield dg.Output(None, "result")
        else:  # nothing was due, so there is nothing new about the bucket
            context.log_event(dg.AssetObservation(ASSET, partition=context.partition_key, metadata=metadata))
        yield from results[:-1]
        # Before the last of them: what is logged appears with what is yielded next, if the step then fails.
        log_open_incidents(context, incidents, catalog, [context.partition_key])
        yield from results[-1:]
        keep_job_outcome(context, kept_in, metadata)
        if failures:  # scratch stays, as that of each run that failed, so that another attempt fails too
            raise dg.Failure(
                description=f"{'; '.join(failures)}. What was checked is kept; the other objects stay due",
                allow_retries=False,
            )
        kept_in.remove(scratch)


def _is_kept(context: dg.OpExecutionContext, lake: Lake, scratch: str) -> bool:
    """Whether an attempt at this step has kept the run's result, and died after it had removed scratch."""
    return not lake.list(scratch) and kept_of(lake, ASSET, context.partition_key).run_id == context.run.run_id


def _lost(context: dg.OpExecutionContext, lake: Lake, stores: StoresResource) -> pa.Table | None:
    """The bucket's lost objects; None if the run checked only objects that were named."""
    bucket = stores.catalog.bucket(context.partition_key)
    if SELECTION in context.run.tags:
        return None
    snapshot = in_force(lake, bucket.name)
    if snapshot is None:
        # A run folds the ledger wherever a listing differs from the one before. So nothing has vanished since
        # the last run that said so; only the snapshot may have been deleted.
        before = kept_of(lake, ASSET, bucket.name).checks
        if all(each.passed for each in before if each.name == NOTHING_LOST):
            return LOST.empty_table()
        snapshot = ready(lake, bucket.name, settings_of(bucket), context.run.run_id, log=context.log.warning)
    return lost_now(lake, bucket, snapshot)


def _keep(
    context: dg.OpExecutionContext,
    lake: Lake,
    stores: StoresResource,
    s3_control: S3ControlResource,
    progress: ProgressResource,
) -> tuple[dict[str, Any], str]:
    """Keep the run's table; returns the metadata of the materialization, and the table's name in the lake."""
    bucket, scratch = stores.catalog.bucket(context.partition_key), scratch_of(context)
    try:
        plan = plan_of_run(lake, scratch, stores, bucket.name)
    except TableMissing:
        if not s3_control.checks(bucket.name):
            raise
        known_so_far(lake, bucket.name, settings_of(bucket), context.run.run_id, context.log.warning)
        return keep_job_report(context, lake, s3_control, stores, scratch)
    kept = _whole(context, lake, stores, progress, plan)
    with lake.workspace() as workspace:
        listed = Provenance.read(lake.fetch(kept.file, workspace)).inventory_run_id
    inventory = inventory_file(bucket.name, listed)
    metadata = checksums_metadata(lake, kept, plan.algorithm, inventory)
    return {**metadata, TAKEN_OVER: plan.taken}, kept.file


def _whole(
    context: dg.OpExecutionContext,
    lake: Lake,
    stores: StoresResource,
    progress: ProgressResource,
    plan: Plan,
) -> Checksums:
    """The run's table, after reading what no step has read."""
    arguments = lake, scratch_of(context), plan, context.partition_key, context.run.run_id
    try:
        return keep_checksums(*arguments)
    except PartsMissing:
        context.log.info("not all shards were read before the run was interrupted: the others are read now")
    read_shards(context, lake, stores, progress, replace(plan, steps=1), plan.shards)
    refuse_over(context)
    return keep_checksums(*arguments)


def _damage(
    context: dg.OpExecutionContext, lake: Lake, stores: StoresResource, run_file: Path, workspace: Path
) -> list[Damage]:
    bucket = stores.catalog.bucket(context.partition_key)
    settings = settings_of(bucket)
    if SELECTION in context.run.tags:
        return damage_after_some(lake, in_force(lake, bucket.name), settings, run_file, workspace)
    if bucket.fixity_every is not None:  # the next rolling run needs the snapshot, and so does what is lost
        return _damage_of_all(context, lake, stores)
    listed = inventory_file(bucket.name, Provenance.read(run_file).inventory_run_id)
    inventory = fetch_inventory(lake, listed, workspace)
    try:
        return damage_after(lake, settings, run_file, inventory, workspace)
    except Exception as error:
        context.log.warning(f"the ledger is folded, because one of its newest files cannot be read: {error}")
        return _damage_of_all(context, lake, stores)


def _damage_of_all(context: dg.OpExecutionContext, lake: Lake, stores: StoresResource) -> list[Damage]:
    bucket = stores.catalog.bucket(context.partition_key)
    run_id, log = context.run.run_id, context.log.warning
    return damaged_now(lake, ready(lake, bucket.name, settings_of(bucket), run_id, log=log))
