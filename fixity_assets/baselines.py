"""The checksums that were recorded for a bucket's objects, and where each was found, the strongest first.

Given by hand (`api`), in a BagIt manifest or OCFL inventory in the bucket (`manifest`), in the tag
`computed-<algorithm>` (`object-tagging`), in the user's metadata `<algorithm>` (`object-metadata`), stored by
S3 for the whole object (`s3-checksum`), or the ETag if it is an MD5 (`object-etag`). The catalog may name the
kinds to look for (`records_in`); if not, HEAD and tags are asked only where there are signs of them. One row
for each record, sorted by key; a record that cannot be read or understood is a row with the reason. An object
that was to be checked and does not exist is a row, too. The lake keeps the table as
`baselines/<bucket>/<run id>.parquet`, with the id of the run's first attempt. Re-executing a failed run
continues after the last part that it kept.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq

from fixity.buckets import BucketReader
from fixity.buckets.s3.attributes import open_attributes
from fixity.ingest.records import PART_OBJECTS, Gathering, Objects, gather_own, take_baselines, whole_looks
from fixity.ingest.records.parts import gathered_scratch
from fixity.lake import Lake
from fixity.lake.latest import point_to_latest
from fixity.lake.paths import baselines_file, baselines_folder
from fixity.ledger.selection import is_excluded
from fixity.tables import BASELINES, Provenance
from fixity_assets.describe import GROUP, RETRIES, column_schema, failures_in_plain_words
from fixity_assets.selected import SelectedObjects
from jobs.runs import refuse_over
from resources import LakeResource, ProgressResource, StoresResource
from resources.pool import POOL

NAME = "baselines"
LEAST_PARTS = 5
"""How many parts a step gathers at least: fewer cost more as a step than they save."""


def baselines_asset(
    buckets: dg.PartitionsDefinition[str], owners: list[str], on_workers: bool = False
) -> dg.AssetsDefinition:
    """The asset `baselines`, one partition for each bucket.

    Arguments: `on_workers`, whether other machines execute steps. Then several gather parts of the records.
    """
    metadata = {"dagster/column_schema": column_schema(BASELINES)}
    if on_workers:

        @dg.graph_asset(
            name=NAME,
            description=__doc__,
            group_name=GROUP,
            kinds={"s3", "parquet"},
            owners=owners,
            partitions_def=buckets,
            ins={"inventory": dg.AssetIn(dagster_type=dg.Nothing)},
            metadata=metadata,
        )
        def spread(inventory: None) -> object:
            # Dagster calls this to lay out the steps.
            return keep_records(plan_records(inventory).map(gather_records).collect())

        return spread

    @dg.asset(
        name=NAME,
        description=__doc__,
        group_name=GROUP,
        kinds={"s3", "parquet"},
        owners=owners,
        partitions_def=buckets,
        deps=["inventory"],
        metadata=metadata,
        retry_policy=RETRIES,
    )
    def baselines(
        context: dg.AssetExecutionContext,
        stores: StoresResource,
        lake: LakeResource,
        progress: dg.ResourceParam[ProgressResource],
    ) -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata=_take(context.op_execution_context, stores, lake, progress))

    return baselines


@dg.op(ins={"inventory": dg.In(dg.Nothing)}, out=dg.DynamicOut(dg.Nothing), retry_policy=RETRIES)
def plan_records(
    context: dg.OpExecutionContext, stores: StoresResource, lake: LakeResource
) -> Iterator[dg.DynamicOutput[None]]:
    """Cut the objects into as many pieces as there may be steps at once."""
    name = context.partition_key
    with failures_in_plain_words(), stores.open(name) as store:
        refuse_over(context)
        kept_in = lake.open()
        at_once = min(stores.steps_at_once(context.instance), stores.threads(name))
        with kept_in.workspace() as workspace:
            listed = _selected(context, stores, kept_in).objects(store, workspace)
            parts = -(-pq.read_metadata(listed).num_rows // PART_OBJECTS)
    of_one = max(LEAST_PARTS, -(-parts // at_once))
    pieces = -(-parts // of_one)
    for first in range(0, parts, of_one):
        yield dg.DynamicOutput(None, mapping_key=f"{first}_{of_one}_{pieces}")


@dg.op(ins={"planned": dg.In(dg.Nothing)}, out=dg.Out(dg.Nothing), retry_policy=RETRIES, pool=POOL)
def gather_records(context: dg.OpExecutionContext, stores: StoresResource, lake: LakeResource) -> None:
    """Gather what the objects of one piece have recorded. Finished parts are kept."""
    name = context.partition_key
    first, parts, share = map(int, (context.get_mapping_key() or "").split("_"))
    with failures_in_plain_words(), stores.open(name, share) as store:
        refuse_over(context)
        kept_in = lake.open()
        selected = _selected(context, stores, kept_in)
        with kept_in.workspace() as workspace:
            gathering, objects = _gathering(context, stores, store, selected, workspace, share)
            rows = range(first * PART_OBJECTS, (first + parts) * PART_OBJECTS)
            ask = partial(refuse_over, context)
            gather_own(gathering, objects, kept_in, selected.scratch, workspace, rows, ask)


@dg.op(ins={"gathered": dg.In(dg.Nothing)}, out=dg.Out(dg.Nothing), retry_policy=RETRIES)
def keep_records(
    context: dg.OpExecutionContext,
    stores: StoresResource,
    lake: LakeResource,
    progress: dg.ResourceParam[ProgressResource],
) -> None:
    """Gather what is missing, and keep all records in one table."""
    context.add_output_metadata(_take(context, stores, lake, progress))


def _selected(context: dg.OpExecutionContext, stores: StoresResource, lake: Lake) -> SelectedObjects:
    return SelectedObjects(context, stores.catalog.run_over(lake, context.partition_key, context.run.run_id))


def _gathering(
    context: dg.OpExecutionContext,
    stores: StoresResource,
    store: BucketReader,
    selected: SelectedObjects,
    workspace: Path,
    share: int = 1,
) -> tuple[Gathering, Objects]:
    """The bucket and its objects. Arguments: `share`, how many steps share the bucket's limits."""
    bucket = stores.catalog.bucket(context.partition_key)
    threads = stores.threads(bucket.name, share)
    attributes = open_attributes(stores.catalog.catalog, bucket, threads)
    gathering = Gathering(
        bucket.name, store, attributes, threads, bucket.algorithm, context.log.info, bucket.records_in
    )
    listed = selected.objects(store, workspace)
    excluded = partial(is_excluded, bucket)
    return gathering, Objects(listed, selected.everything, selected.gone(listed), excluded)


def _take(
    context: dg.OpExecutionContext, stores: StoresResource, lake: LakeResource, progress: ProgressResource
) -> dict[str, Any]:
    """Keep the table of all records; returns the metadata of the materialization."""
    name, run_id = context.partition_key, context.run.run_id
    with failures_in_plain_words(), stores.open(name) as store:
        refuse_over(context)
        kept_in = lake.open()
        selected = _selected(context, stores, kept_in)
        with kept_in.workspace() as workspace:
            gathering, objects = _gathering(context, stores, store, selected, workspace)
            listing = progress.listing(context, name)
            taken = take_baselines(gathering, objects, kept_in, selected.scratch, workspace, listing)
            table = baselines_file(name, run_id)
            provenance = Provenance.read(taken.file)
            refuse_over(context)
            kept_in.put(table, taken.file, replace=True)  # a step that is tried again replaces its own
            if selected.everything and not taken.last_look_lost:
                point_to_latest(
                    kept_in,
                    baselines_folder(name),
                    replace(provenance, run_id=run_id),
                    whole_looks(kept_in, name),
                )
            kept_in.remove(gathered_scratch(selected.scratch))
    return {
        "dagster/row_count": taken.rows,
        "records": taken.by_source,
        "unusable": taken.problems,
        "table": dg.MetadataValue.path(kept_in.location(table)),
    }
