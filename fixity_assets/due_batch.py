"""A run of `checksums` over objects that are due, or over a few keys.

Which objects are due, leases and budgets are in `fixity.rolling`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from fixity.lake import Lake
from fixity.lake.proof import sealed, unsealed
from fixity.tables import TableUnreadable
from fixity_assets.describe import counts_metadata
from jobs.names import ROLLING
from jobs.runs import is_over
from resources import StoresResource

_RESULT = "rolled.json"  # in scratch, for the next step
_RUN_ID = 36  # letters of a run's id


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
    from fixity.rolling import RollingRun, egress_budgets, order_for, roll  # most runs check no batch

    bucket = stores.catalog.bucket(context.partition_key)
    order = order_for(
        bucket,
        stores.catalog.place_of(bucket.name),
        egress_budgets(stores.catalog.catalog, bucket),
        items,
        keys,
    )
    # Each attempt has its own file in the ledger, because the checks of the last one are kept already.
    attempt = f"-{context.retry_number}" if context.retry_number else ""
    run_id = context.run.run_id + attempt

    def has_ended(other: str) -> bool:
        is_earlier_attempt = other != run_id and other.startswith(context.run.run_id)
        return is_earlier_attempt or is_over(context.instance, other[:_RUN_ID])

    with stores.open(bucket.name) as store:
        run = RollingRun(
            store,
            lake,
            run_id,
            store.at_once,
            context.log.info,
            second_look=stores.catalog.catalog.second_look,
            is_over=has_ended,
        )
        rolled = roll(order, run)
    result = {
        **counts_metadata(rolled),
        "registered": rolled.registered,
        "damaged": len(rolled.damaged),
        ROLLING: rolled.cut_short or "-",
        "table": rolled.file,
    }
    lake.put_text(scratch + _RESULT, sealed(result), replace=True)


def batch_result(lake: Lake, scratch: str) -> dict[str, Any] | None:
    """The batch's result in scratch; None if the run checks no batch. Raises TableUnreadable, LakeError."""
    name = scratch + _RESULT
    try:
        return unsealed(lake.read_text(name))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise TableUnreadable(lake.location(name), error) from error


def batch_metadata(lake: Lake, result: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of the materialization, from the batch's result in scratch."""
    file = result["table"]
    table = dg.MetadataValue.path(lake.location(file)) if file else "-"
    return {**result, "table": table}
