"""How much of each bucket was checked within its term, and what was not, whoever reads the bucket.

One row for each bucket of the catalog: who reads it, its term, objects, checked within the term (without
one: ever), due, never checked, overdue, failing, damaged, lost, left out, the oldest check, and when all will
be checked at the speed of the last seven days.
"""

from typing import Any

import dagster as dg

from fixity.clock import utc_now
from fixity.humanize import seconds_text
from fixity.rolling import BucketCoverage
from fixity.rolling.coverage import COUNTS
from fixity.rolling.lease import leased_buckets
from fixity.status import Result
from fixity.status.coverage import (
    ALIVE,
    ALL_CHECKED,
    NO_DAMAGE,
    NOTHING_LOST,
    READABLE,
    SUFFICES,
    WITHIN_TERM,
    count_coverage,
)
from fixity_assets.bucket_checks import damage_table
from fixity_assets.describe import GROUP, check_specs, failures_in_plain_words, rows_table
from fixity_assets.due_batch import keep_of_dead_batches
from fixity_assets.keep_status import keep_status
from resources import CatalogResource, LakeResource

NAME = "coverage"
_CHECKS = {
    WITHIN_TERM: "Every object was checked within the term, or at most a day later. New objects count from "
    "their first listing.",
    ALL_CHECKED: "Every object was checked at least once, and none is archived and unread within the term. "
    "Only a warning, because new objects wait for their first check.",
    NO_DAMAGE: "No object is known to be damaged. This includes damage that a run found before it failed.",
    NOTHING_LOST: "No object that was listed or checked before has vanished. Only a warning, unless one of "
    "them was known to be damaged.",
    ALIVE: "Each bucket with a policy was listed, and had a rolling run within four of its intervals (two "
    "hours at least, and the hours in which its `window` is closed), or its job was started in time.",
    READABLE: "Every file of the ledger can be read, and the newest inventory is recent and plausible.",
    SUFFICES: "The limits of each bucket (`window`, `max_bandwidth`, `monthly_egress`, batches) allow as "
    "much to be read as its policy wants. Only a warning: objects may not be overdue yet.",
}


def coverage_asset(owners: list[str]) -> dg.AssetsDefinition:
    """The asset `coverage` over all buckets, with its checks."""

    @dg.asset(
        name=NAME,
        description=__doc__,
        group_name=GROUP,
        kinds={"duckdb"},
        owners=owners,
        deps=["checksums"],
        check_specs=check_specs(NAME, _CHECKS),
    )
    def coverage(
        context: dg.AssetExecutionContext, catalog: CatalogResource, lake: LakeResource
    ) -> dg.MaterializeResult:
        began = utc_now()
        with failures_in_plain_words():
            kept_in = lake.open()
            for name in sorted(leased_buckets(kept_in) & catalog.catalog.buckets.keys()):
                keep_of_dead_batches(context, kept_in, catalog.catalog.buckets[name])
            rows, found = count_coverage(kept_in, catalog.catalog, context.run.run_id, began)
        damage = {row.bucket: row.damage for row in rows}
        result: dg.MaterializeResult = dg.MaterializeResult(
            metadata={
                "dagster/row_count": len(rows),
                **{name: sum(getattr(row, name) for row in rows) for name in COUNTS},
                "buckets": _table(rows),
            },
            check_results=[
                _of_all(name, found, {"objects": damage_table(damage)} if name == NO_DAMAGE else {})
                for name in _CHECKS
            ],
        )
        return keep_status(context, kept_in, began, result)

    return coverage


def _of_all(name: str, found: list[Result], metadata: dict[str, Any]) -> dg.AssetCheckResult:
    """A check over all buckets, from those of each."""
    wrong = [
        (of.partition, check)
        for of in found
        for check in of.checks
        if check.name == name and not check.passed
    ]
    is_error = any(check.is_red for _, check in wrong)
    return dg.AssetCheckResult(
        check_name=name,
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN,
        description="; ".join(f"{bucket}: {check.description}" for bucket, check in wrong) or None,
        metadata=metadata,
    )


def _table(rows: list[BucketCoverage]) -> dg.TableMetadataValue:
    return rows_table(
        (
            {
                **vars(row),
                "term": "" if row.term is None else seconds_text(row.term.total_seconds()),
                "days_to_go": "" if row.days_to_go is None else f"{row.days_to_go:.1f}",
            }
            for row in rows
        ),
        [
            dg.TableColumn("bucket"),
            dg.TableColumn("engine"),
            dg.TableColumn("term"),
            *(dg.TableColumn(name, "int") for name in COUNTS),
            dg.TableColumn("oldest"),
            dg.TableColumn("days_to_go"),
        ],
    )
