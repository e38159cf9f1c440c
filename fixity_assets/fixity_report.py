"""Whether each object is the same in a pair's source and replica, by their newest checksums.

One row for each object version, sorted by key: `ok`, `mismatch`, `missing_replica`, `missing_source`,
`failed_source`, `failed_replication`, `incomparable`, `not_checked` or `pending`. What differs, is missing or
could not be read is looked at again, on both sides, before it is reported. The lake keeps the report as
`reports/<date>/checksums/<run id>/<pair>_checksum-report.csv`. A copy of the newest one of the day is
`reports/<date>/checksums/<pair>_checksum-report.csv`, and of the newest of all under `0000-00-00-LATEST`.

A pair with several `replicas` has a partition for each copy, `<pair>-to-<replica>`, and one for all copies.
Its run reports each copy, and keeps `<pair>_copies-report.csv` beside these reports: one row an object, with
the state of each copy. It is red if any copy is, and says which.

This page is about the report that was made last. Whether all pairs are verified says `fixity_status`; how
the counts of one pair changed, the chart `trend` of its newest report.
"""

from collections.abc import Collection

import dagster as dg

from fixity.catalog import Pair
from fixity.errors import FixityError
from fixity.humanize import printable
from fixity.lake import Lake
from fixity.ledger.inventory import take_inventory
from fixity.reports import check_names
from fixity_assets.copies_report import report_copies
from fixity_assets.describe import GROUP, RETRIES, check_specs, failures_in_plain_words
from fixity_assets.pair_report import log_report, report_pair
from fixity_assets.partitions import Partitions
from fixity_assets.report_page import report_schema
from fixity_assets.report_steps import compare_part, make_report, plan_comparison, report
from jobs.names import REPORT_ASSET
from resources import CatalogResource, LakeResource, StoresResource


def report_asset(partitions: Partitions, owners: list[str], on_workers: bool = False) -> dg.AssetsDefinition:
    """The asset `fixity_report`, one partition for each pair, with the verdict as asset checks.

    Arguments: `on_workers`, whether other machines execute steps. Then several compare parts of a large pair.
    """
    checks = check_specs(REPORT_ASSET, check_names(), partitions.reports)
    metadata = {"dagster/column_schema": report_schema()}
    mapping = partitions.buckets_to_reports
    if on_workers:

        @dg.graph_asset(
            name=REPORT_ASSET,
            description=__doc__,
            group_name=GROUP,
            kinds={"duckdb", "csv"},
            owners=owners,
            partitions_def=partitions.reports,
            ins={"checksums": dg.AssetIn(dagster_type=dg.Nothing, partition_mapping=mapping)},
            check_specs=checks,
            metadata=metadata,
        )
        def spread(checksums: None) -> dict[str, object]:
            # Dagster calls this to lay out the steps.
            made = make_report(plan_comparison(checksums).map(compare_part).collect())
            evaluated = {f"{REPORT_ASSET}_{name}": getattr(made, name) for name in check_names()}
            return {"result": made.result, **evaluated}

        return spread

    @dg.asset(
        name=REPORT_ASSET,
        description=__doc__,
        group_name=GROUP,
        kinds={"duckdb", "csv"},
        owners=owners,
        partitions_def=partitions.reports,
        retry_policy=RETRIES,
        deps=[dg.AssetDep("checksums", partition_mapping=mapping)],
        check_specs=checks,
        metadata=metadata,
    )
    def fixity_report(
        context: dg.AssetExecutionContext,
        catalog: CatalogResource,
        lake: LakeResource,
        stores: StoresResource,
    ) -> dg.MaterializeResult:
        with failures_in_plain_words():
            return report(context, catalog, lake, stores)

    return fixity_report


def report_after_repair(
    context: dg.AssetExecutionContext,
    stores: StoresResource,
    lake: Lake,
    pair: Pair,
    repaired: Collection[str],
    damaged: Collection[str],
) -> str | None:
    """List the repaired buckets, and report the pair (or all copies) anew, from the run of its repair.

    Arguments: `damaged`, other buckets in which the repair found damage. Where that cannot be done, the
    repair is done all the same. Returns why not, for people.
    """
    try:
        for bucket in repaired:
            with stores.open(bucket) as store:
                take_inventory(store, stores.catalog.run_over(lake, bucket, context.run.run_id))
        copies = stores.catalog.catalog.copies_with(pair.name)
        if copies is not None:
            result = report_copies(context, stores, lake, copies, [*repaired, *damaged])
        else:
            result = report_pair(context, stores, lake, pair, [*repaired, *damaged]).result
    except FixityError as error:
        why = f"{pair.name} is repaired, but not reported anew, so run fixity verify {pair.name}: {error}"
        context.log.warning(printable(why, 2000))
        return why
    log_report(context, copies.name if copies else pair.name, result)
    return None
