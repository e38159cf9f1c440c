"""The step that hashes one shard. How shards are planned does not belong here."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg

from fixity.engines.stream.shards import Plan, Reading, hash_shard
from fixity.lake import Lake
from fixity_assets.describe import failures_in_plain_words
from resources import LakeResource, ProgressResource, StoresResource


def hash_planned(
    context: dg.OpExecutionContext,
    lake: LakeResource,
    stores: StoresResource,
    progress: ProgressResource,
    planned: Callable[[Lake], tuple[Plan, str, int]],
) -> None:
    """Read and hash the objects of one shard; finished parts and chunks stay when it is interrupted.

    Arguments: `planned` gives the plan, the scratch that its parts are in, and the shard's number.
    """
    bucket = context.partition_key
    with failures_in_plain_words(), stores.open(bucket) as store:
        kept_in = lake.open()
        plan, scratch, number = planned(kept_in)
        plan.refuse_elsewhere(bucket, stores.catalog.place_of(bucket))
        shard = plan.shards[number]
        reading = Reading(
            store,
            stores.threads(bucket),
            stores.catalog.bucket(bucket).chunk_size,
            progress.hashing(context, bucket, plan, shard),
            context.log.info,
        )
        hash_shard(reading, kept_in, scratch, plan, shard, context.run.run_id)
