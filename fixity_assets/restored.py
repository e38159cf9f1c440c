"""The state of a bucket's archived objects: waiting, requested, restored, checked or failed.

Each materialization requests as many restores as there is room for, looks at the state of the others, and
sets the time of the next look. It never waits. The sensor `restore_completion` starts the next look, and a
run that checks the restored objects. The lake keeps the table as `restored/<bucket>/<run id>.parquet`. One
partition for each bucket with `archived: restore`.
"""

from collections import Counter
from collections.abc import Sequence
from typing import get_args

import dagster as dg

from fixity.buckets.s3.attributes import open_attributes
from fixity.clock import utc_now
from fixity.humanize import bytes_text, printable
from fixity.ingest.restore.look import Look, look_at_archived
from fixity.ingest.restore.objects import State
from fixity.ledger.bucket_run import BucketRun
from fixity.ledger.inventory import newest_inventory
from fixity.ledger.selection import keep_selection
from fixity.tables import RESTORED
from fixity_assets.describe import GROUP, RETRIES, check_specs, column_schema, failures_in_plain_words
from fixity_assets.keep_status import keep_status
from jobs.names import LOOK_AGAIN_AT, READY, RESTORED_ASSET
from resources import LakeResource, StoresResource

_CHECK = "no_failed_restores"


def restored_asset(names: Sequence[str], owners: list[str]) -> dg.AssetsDefinition:
    """The asset `restored`. Arguments: `names`, of the buckets with `archived: restore`."""
    buckets = dg.StaticPartitionsDefinition(names)

    @dg.asset(
        name=RESTORED_ASSET,
        description=__doc__,
        group_name=GROUP,
        kinds={"s3", "parquet"},
        owners=owners,
        partitions_def=buckets,
        # By default it would depend on all buckets: these are fewer.
        deps=[dg.AssetDep("inventory", partition_mapping=dg.IdentityPartitionMapping())],
        check_specs=check_specs(
            RESTORED_ASSET,
            {_CHECK: "Every restore could be requested, and its object was checked in time"},
            buckets,
        ),
        metadata={"dagster/column_schema": column_schema(RESTORED)},
        retry_policy=RETRIES,
    )
    def restored(
        context: dg.AssetExecutionContext, stores: StoresResource, lake: LakeResource
    ) -> dg.MaterializeResult:
        name, began = context.partition_key, utc_now()
        bucket = stores.catalog.bucket(name)
        with failures_in_plain_words():
            kept_in = lake.open()
            threads = stores.threads(name)
            attributes = open_attributes(stores.catalog.catalog, bucket, threads)
            assert attributes is not None  # the catalog refuses `archived: restore` of a local directory
            inventory = newest_inventory(kept_in, name)
            run = BucketRun(kept_in, bucket, context.run.run_id)
            look = look_at_archived(run, attributes, inventory, threads)
            ready = [(row.key, row.version_id) for row in look.ready]
            selection = keep_selection(kept_in, name, ready) if ready else None
        for note in look.notes:
            context.log.info(printable(f"left out: {note}"))
        for row in look.rows:
            if row.detail and row.is_open:
                context.log.info(printable(f"{row.key}: {row.detail}"))
        result: dg.MaterializeResult = dg.MaterializeResult(
            metadata={
                "dagster/row_count": len(look.rows),
                **_counts(look),
                "table": dg.MetadataValue.path(kept_in.location(look.file)),
                **({READY: selection} if selection else {}),
                **(
                    {LOOK_AGAIN_AT: dg.MetadataValue.timestamp(look.look_again_at)}
                    if look.look_again_at
                    else {}
                ),
            },
            check_results=[_check(look)],
        )
        return keep_status(context, kept_in, began, result)

    return restored


def _counts(look: Look) -> dict[str, int | str]:
    on_the_way = sum(row.size for row in look.rows if row.state in ("requested", "restored"))
    found = Counter(row.state for row in look.rows)
    return {**{state: found[state] for state in get_args(State)}, "size_at_once": bytes_text(on_the_way)}


def _check(look: Look) -> dg.AssetCheckResult:
    failed = [row for row in look.rows if row.state == "failed"]
    first = "; ".join(printable(f"{row.key}: {row.error_code}: {row.detail}") for row in failed[:5])
    return dg.AssetCheckResult(
        check_name=_CHECK,
        passed=not failed,
        description=f"{len(failed):,} failed: {first}" if failed else None,
        metadata={"rows": len(failed)},
    )
