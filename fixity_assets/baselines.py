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

from dataclasses import replace
from functools import partial

import dagster as dg

from fixity.buckets.s3.attributes import open_attributes
from fixity.ingest.records import Gathering, Objects, take_baselines, whole_looks
from fixity.ingest.records.parts import gathered_scratch
from fixity.lake.latest import point_to_latest
from fixity.lake.paths import baselines_file, baselines_folder
from fixity.ledger.selection import is_excluded
from fixity.tables import BASELINES, Provenance
from fixity_assets.describe import GROUP, RETRIES, column_schema, failures_in_plain_words
from fixity_assets.selected import SelectedObjects
from jobs.runs import refuse_over
from resources import LakeResource, ProgressResource, StoresResource

NAME = "baselines"


def baselines_asset(buckets: dg.PartitionsDefinition[str], owners: list[str]) -> dg.AssetsDefinition:
    """The asset `baselines`, one partition for each bucket."""

    @dg.asset(
        name=NAME,
        description=__doc__,
        group_name=GROUP,
        kinds={"s3", "parquet"},
        owners=owners,
        partitions_def=buckets,
        deps=["inventory"],
        metadata={"dagster/column_schema": column_schema(BASELINES)},
        retry_policy=RETRIES,
    )
    def baselines(
        context: dg.AssetExecutionContext,
        stores: StoresResource,
        lake: LakeResource,
        progress: dg.ResourceParam[ProgressResource],
    ) -> dg.MaterializeResult:
        name = context.partition_key
        bucket = stores.catalog.bucket(name)
        with failures_in_plain_words(), stores.open(name) as store:
            refuse_over(context)
            kept_in = lake.open()
            run = stores.catalog.run_over(kept_in, name, context.run.run_id)
            selected = SelectedObjects(context.op_execution_context, run)
            with kept_in.workspace() as workspace:
                threads = stores.threads(name)
                attributes = open_attributes(stores.catalog.catalog, bucket, threads)
                listed = selected.objects(store, workspace)
                taken = take_baselines(
                    Gathering(
                        name,
                        store,
                        attributes,
                        threads,
                        bucket.algorithm,
                        context.log.info,
                        bucket.records_in,
                    ),
                    Objects(listed, selected.everything, selected.gone(listed), partial(is_excluded, bucket)),
                    kept_in,
                    selected.scratch,
                    workspace,
                    progress.listing(context.op_execution_context, name),
                )
                run_id = context.run.run_id
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
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": taken.rows,
                "records": taken.by_source,
                "unusable": taken.problems,
                "table": dg.MetadataValue.path(kept_in.location(table)),
            }
        )

    return baselines
