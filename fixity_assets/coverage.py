"""How much of each bucket with a term (`fixity_every`) was checked within it, and what was not.

One row for each bucket: objects, checked within the term, due, never checked, overdue, failing, damaged,
lost, left out, the oldest check, and when all will be checked at the speed of the last seven days.
"""

import dagster as dg

from fixity.ledger.inventory import TableMissing
from fixity.rolling import BucketCoverage, bucket_coverage
from fixity.rolling.coverage import COUNTS
from fixity_assets.bucket_checks import damage_table
from fixity_assets.describe import GROUP, check_specs, failures_in_plain_words, rows_table
from resources import CatalogResource, LakeResource

NAME = "coverage"
WITHIN_TERM, ALL_CHECKED, NO_DAMAGE, NOTHING_LOST, ALIVE, READABLE = (
    "within_term",
    "all_ever_checked",
    "no_known_damage",
    "nothing_lost",
    "schedule_runs",
    "ledger_readable",
)
_CHECKS = {
    WITHIN_TERM: "Every object was checked within the term, or at most a day later. New objects count from "
    "their first listing.",
    ALL_CHECKED: "Every object was checked at least once. Only a warning, because new objects wait for their "
    "first check.",
    NO_DAMAGE: "No object is known to be damaged. This includes damage that a run found before it failed.",
    NOTHING_LOST: "No object that was listed or checked before has vanished. Only a warning, unless one of "
    "them was known to be damaged.",
    ALIVE: "Each bucket was listed, and had a rolling run within four of its intervals (two hours at least).",
    READABLE: "Every file of the ledger can be read, and the newest inventory is recent and plausible.",
}


def coverage_asset(owners: list[str]) -> dg.AssetsDefinition:
    """The asset `coverage` over all buckets that have a term, with its checks."""

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
        rows: list[BucketCoverage] = []
        unlisted: list[str] = []
        with failures_in_plain_words():
            kept_in = lake.open()
            for bucket in catalog.catalog.buckets.values():
                if bucket.fixity_every is None:
                    continue
                try:
                    rows.append(bucket_coverage(kept_in, bucket, context.run.run_id))
                except TableMissing as error:
                    unlisted.append(str(error))
        wrong = {
            WITHIN_TERM: [f"{row.bucket}: {row.overdue:,} objects overdue" for row in rows if row.overdue],
            ALL_CHECKED: [f"{row.bucket}: {row.never:,} objects never checked" for row in rows if row.never],
            NO_DAMAGE: [f"{row.bucket}: {row.damaged:,} objects damaged" for row in rows if row.damaged],
            NOTHING_LOST: [f"{row.bucket}: {row.lost:,} objects lost" for row in rows if row.lost],
            ALIVE: [*unlisted, *(f"{row.bucket}: {row.silence}" for row in rows if row.silence)],
            READABLE: [text for row in rows for text in row.ledger],
        }
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": len(rows),
                **{name: sum(getattr(row, name) for row in rows) for name in COUNTS},
                "buckets": _table(rows),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name=name,
                    passed=not texts,
                    severity=dg.AssetCheckSeverity.WARN
                    if name == ALL_CHECKED
                    or (name == NOTHING_LOST and not any(row.lost_damaged for row in rows))
                    else dg.AssetCheckSeverity.ERROR,
                    description="; ".join(texts) or None,
                    metadata={"objects": damage_table({row.bucket: row.damage for row in rows})}
                    if name == NO_DAMAGE
                    else {},
                )
                for name, texts in wrong.items()
            ],
        )

    return coverage


def _table(rows: list[BucketCoverage]) -> dg.TableMetadataValue:
    days = ["" if row.days_to_go is None else f"{row.days_to_go:.1f}" for row in rows]
    return rows_table(
        ({**vars(row), "days_to_go": text} for row, text in zip(rows, days, strict=True)),
        [
            dg.TableColumn("bucket"),
            *(dg.TableColumn(name, "int") for name in COUNTS),
            dg.TableColumn("oldest"),
            dg.TableColumn("days_to_go"),
        ],
    )
