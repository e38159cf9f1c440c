"""A run of `checksums` over objects that are due, or over a few keys.

Which objects are due, leases and budgets are in `fixity.rolling`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from fixity.lake import Lake
from fixity.rolling import RollingRun, egress_budget, order_for, roll
from fixity_assets.describe import counts_metadata
from jobs.names import ROLLING
from resources import StoresResource


def rolled_file(scratch: str) -> str:
    """The name in the lake of the batch's result, for the next step."""
    return f"{scratch}rolled.json"


def check_batch(
    context: dg.OpExecutionContext,
    lake: Lake,
    stores: StoresResource,
    scratch: str,
    items: int | None,
    keys: Sequence[str],
) -> None:
    """Check a batch, and keep its result in scratch.

    Raises NoTerm, BucketBusy, LeaseLost, NotInInventory, AnotherPlace, BucketUnreachable, TableMissing,
    LakeError.
    """
    bucket = stores.catalog.bucket(context.partition_key)
    order = order_for(
        bucket,
        stores.catalog.place_of(bucket.name),
        egress_budget(stores.catalog.catalog, bucket),
        items,
        keys,
    )
    # Each attempt has its own file in the ledger, because the checks of the last one are kept already.
    attempt = f"-{context.retry_number}" if context.retry_number else ""
    run_id = context.run.run_id + attempt
    with stores.open(bucket.name) as store:
        limits = stores.catalog.catalog.second_look
        run = RollingRun(
            store, lake, run_id, stores.threads(bucket.name), context.log.info, second_look=limits
        )
        rolled = roll(order, run)
    result = {
        **counts_metadata(rolled),
        "registered": rolled.registered,
        "damaged": len(rolled.damaged),
        ROLLING: rolled.cut_short or "-",
        "table": rolled.file,
    }
    lake.put_text(rolled_file(scratch), json.dumps(result), replace=True)


def batch_metadata(lake: Lake, result: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of the materialization, from the batch's result in scratch."""
    file = result["table"]
    table = dg.MetadataValue.path(lake.location(file)) if file else "-"
    return {**result, "table": table}
