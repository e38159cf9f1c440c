"""A check of a bucket's objects: their bytes are read now and compared with the expected checksums.

One row for each object version, sorted by key. `status` is `succeeded` with the checksum; `failed` with the
reason why the bytes could not be read; or `skipped` where there was nothing to read (overwritten or deleted
since the listing, or archived). `verdict` says whether the checksum is the expected one: a recorded checksum
if this run gathered records, otherwise the one that the ledger has. What differs is read a second time first.

Which objects: all of the newest inventory; or the objects that a sensor or the command line named (the run's
tag `fixity/selection`); or, by the config of this asset, the objects that are due or a few keys. If the
bucket's engine is `s3_batch`, S3 has read all objects, and this loads the report of its newest job.

The lake keeps the table as `checksums/<bucket>/<run id>.parquet`, which is the run's part of the ledger.
An interrupted run continues when it is re-executed from failure; so does a new run of the same objects. Both
read only what is missing.

This page is about the bucket that was checked last. Whether all buckets are verified says `fixity_status`.
"""

from typing import Any

import dagster as dg

from fixity.tables import CHECKSUMS
from fixity_assets.bucket_checks import ASSET, CLAIMS
from fixity_assets.checksums_fold import fold_part, plan_fold
from fixity_assets.checksums_keep import keep_table
from fixity_assets.checksums_read import hash_objects, hash_objects_in_pool, plan_shards
from fixity_assets.checksums_run import ChecksumsConfig
from fixity_assets.describe import GROUP, check_specs, column_schema


@dg.config_mapping
def _for_the_steps(config: ChecksumsConfig) -> dict[str, Any]:
    config_of_step = {"config": {"objects": config.objects.value, "items": config.items, "keys": config.keys}}
    return {"plan_shards": config_of_step, "hash_objects": config_of_step}


def checksums_asset(
    buckets: dg.PartitionsDefinition[str], owners: list[str], on_workers: bool = False
) -> dg.AssetsDefinition:
    """The asset `checksums`, one partition for each bucket: plan shards, hash each, keep the table.

    Arguments: `on_workers`, whether other machines execute steps, and a pool says how many at once. Then
    several fold what the ledger of a large bucket has, before the shards are planned by it.
    """
    hash_each = hash_objects_in_pool if on_workers else hash_objects

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
        check_specs=check_specs(ASSET, CLAIMS, buckets),
        metadata={"dagster/column_schema": column_schema(CHECKSUMS)},
    )
    def checksums(inventory: None, baselines: None) -> dict[str, object]:
        # Dagster calls this to lay out the steps.
        known = plan_fold(inventory=inventory).map(fold_part).collect() if on_workers else inventory
        planned = plan_shards(inventory=known, baselines=baselines)
        made = keep_table(planned.map(hash_each).collect())
        return {"result": made.result, **{f"{ASSET}_{name}": getattr(made, name) for name in CLAIMS}}

    return checksums
