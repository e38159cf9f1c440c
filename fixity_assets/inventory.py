"""All objects of a bucket, or all versions of all objects, as the store lists them.

One row for each object version, sorted by key. The lake keeps the table as
`inventory/<bucket>/<run id>.parquet`. If the listing fails, nothing is kept. A bucket with `inventory` in the
catalog is not listed: its provider's newest list is taken, after it was proved.
"""

import time
from collections.abc import Callable

import dagster as dg

from fixity.buckets import BucketReader
from fixity.clock import utc_now
from fixity.ledger.bucket_run import BucketRun
from fixity.ledger.inventory import Inventory, take_inventory
from fixity.tables import INVENTORY
from fixity_assets.describe import GROUP, RETRIES, column_schema, failures_in_plain_words, inventory_metadata
from fixity_assets.keep_status import keep_status
from jobs.names import LIST_TAG
from jobs.runs import refuse_over
from resources import LakeResource, ProgressResource, StoresResource

_ASK_EVERY = 1.0  # seconds


def inventory_asset(buckets: dg.PartitionsDefinition[str], owners: list[str]) -> dg.AssetsDefinition:
    """The asset `inventory`, one partition for each bucket."""

    @dg.asset(
        name="inventory",
        description=__doc__,
        group_name=GROUP,
        kinds={"s3", "parquet"},
        owners=owners,
        partitions_def=buckets,
        metadata={"dagster/column_schema": column_schema(INVENTORY)},
        retry_policy=RETRIES,
    )
    def inventory(
        context: dg.AssetExecutionContext,
        stores: StoresResource,
        lake: LakeResource,
        progress: dg.ResourceParam[ProgressResource],
    ) -> dg.MaterializeResult:
        bucket, began = context.partition_key, utc_now()
        with failures_in_plain_words(), stores.open(bucket) as store:
            kept_in = lake.open()
            run = stores.catalog.run_over(kept_in, bucket, context.run.run_id)
            taken = _take(context, stores, store, run, progress)
            for note in taken.notes:
                context.log.warning(f"{bucket}: {note}")
        owned_by = ", ".join(run.bucket.owners) or "-"
        result: dg.MaterializeResult = dg.MaterializeResult(
            metadata={**inventory_metadata(kept_in, taken), "owners": owned_by}
        )
        return keep_status(context, kept_in, began, result)

    return inventory


def _take(
    context: dg.AssetExecutionContext,
    stores: StoresResource,
    store: BucketReader,
    run: BucketRun,
    progress: ProgressResource,
) -> Inventory:
    """List the bucket, or take its provider's list. Raises ListRefused, BucketUnreachable, LakeError."""
    listed = _listed(context.op_execution_context, progress)
    if run.bucket.inventory is None:
        return take_inventory(store, run, listed)
    # DuckDB and botocore take a third of a second to import, and listing needs neither.
    from fixity.inventories.provider import open_provider
    from fixity.inventories.take import Asking, take_list

    catalog = stores.catalog.catalog
    asking = Asking(store, stores.threads(run.bucket.name), catalog.second_look.objects)
    return take_list(open_provider(catalog, run.bucket), run, asking, context.run.tags.get(LIST_TAG), listed)


def _listed(context: dg.OpExecutionContext, progress: ProgressResource) -> Callable[[int], None]:
    """What is told after each page: how many objects are listed. Raises RunOver.

    To ask whether the run is over costs a third of a page's own time, so it is asked once a second.
    """
    show = progress.listing(context, context.partition_key)
    ask_at = 0.0

    def listed(objects: int) -> None:
        nonlocal ask_at
        show(objects)
        if time.monotonic() >= ask_at:
            refuse_over(context)
            ask_at = time.monotonic() + _ASK_EVERY

    return listed
