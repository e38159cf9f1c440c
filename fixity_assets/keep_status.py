"""Keeps what the asset checks of a run said in the lake, from which the status is made.

An asset calls `keep_status` with its result, as the last thing that may fail. What the status says does not
belong here; that is in `fixity.status`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg

from fixity.lake import Lake
from fixity.reports.ages import oldest_in
from fixity.status import Check, Result, keep_result
from fixity_assets.describe import failures_in_plain_words
from fixity_assets.read_so_far import ReadSoFar
from resources import StoresResource


def keep_status(
    context: dg.AssetExecutionContext,
    lake: Lake,
    at: datetime,
    result: dg.MaterializeResult,
    **more: Any,  # noqa: ANN401 - the fields of Result
) -> dg.MaterializeResult:
    """Keep the checks and counts of an asset's result; returns the result as it is.

    Arguments: `at`, when the asset began to look at the ledger (UTC); `more`, other fields of `Result`: also
    `asset` and `partition`, where they are not those that run.
    Raises dagster.Failure if the lake cannot be written.
    """
    own = {
        "asset": context.asset_key.to_user_string(),
        "partition": context.partition_key if context.has_partition_key else None,
    }
    checks, counts = checks_of(result.check_results or ()), counts_of(result.metadata or {})
    with failures_in_plain_words():
        keep_result(
            lake, Result(run_id=context.run.run_id, at=at, checks=checks, counts=counts, **own | more)
        )
    return result


def keep_of_bucket(
    stores: StoresResource, lake: Lake, result: Result, run_file: Path | None, so_far: ReadSoFar
) -> None:
    """Keep what a run found in a bucket. Arguments: `run_file`, its file of the ledger, if it has one.

    Raises LakeError.
    """
    found = replace(
        result,
        place=stores.catalog.place_of(result.partition or ""),
        oldest=oldest_in(run_file) if run_file is not None else None,
        is_whole=so_far.is_of_all,
        whole_at=so_far.whole_at,
        objects=so_far.objects,
        listing=so_far.listing,
    )
    keep_result(lake, found)


def checks_of(results: Iterable[dg.AssetCheckResult]) -> tuple[Check, ...]:
    """The results of asset checks, as they are kept."""
    return tuple(
        Check(str(each.check_name), each.passed, each.severity.value, each.description or "")
        for each in results
    )


def counts_of(metadata: Mapping[str, Any]) -> dict[str, int]:
    """The counts among an asset's metadata; that of its rows is called `rows`."""
    return {
        "rows" if name == "dagster/row_count" else name: value
        for name, value in metadata.items()
        if isinstance(value, int) and not isinstance(value, bool)
    }
