"""Whether each object is the same in a pair's source and replica, by their newest checksums.

One row for each object version, sorted by key: `ok`, `mismatch`, `missing_replica`, `missing_source`,
`failed_source`, `failed_replication`, `incomparable`, `not_checked` or `pending`. What differs, is missing or
could not be read is looked at again, on both sides, before it is reported. The lake keeps the report as
`reports/<date>/checksums/<run id>/<pair>_checksum-report.csv`. A copy of the newest one of the day is
`reports/<date>/checksums/<pair>_checksum-report.csv`, and of the newest of all under `0000-00-00-LATEST`.

This page is about the report that was made last. Whether all pairs are verified says `fixity_status`; how
the counts of one pair changed, the chart `trend` of its newest report.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import dagster as dg
import pyarrow.compute as pc

from fixity.catalog import Pair
from fixity.clock import utc_now
from fixity.engines.s3_batch.second_job import note_look_at
from fixity.errors import FixityError
from fixity.humanize import printable, reasons_text
from fixity.incidents.closing import note_same
from fixity.incidents.opening import record_findings
from fixity.incidents.second_look import SecondLook
from fixity.incidents.state import incidents_now
from fixity.lake import Lake
from fixity.ledger.fold import settings_of
from fixity.ledger.inventory import take_inventory
from fixity.reports import Verdict, check_names, stats, verdict
from fixity.reports.ages import oldest_check
from fixity.reports.pair import PairReport, make_report
from fixity.status import Day, history_with, keep_check, place_of_pair
from fixity_assets.bucket_checks import ASSET, damage_evaluation, damage_table, log_evaluation
from fixity_assets.describe import GROUP, RETRIES, check_results, check_specs, failures_in_plain_words
from fixity_assets.incidents import log_open_incidents, record_checks
from fixity_assets.keep_status import checks_of, keep_status
from fixity_assets.left_to_s3 import left_to_s3
from fixity_assets.partitions import Partitions
from fixity_assets.report_page import problems_table, report_schema, summary_chart, trend_chart
from jobs.names import (
    FIRST_SUSPECTS,
    LOOKED_AGAIN,
    READ_BY_S3,
    REPLICA_RUN,
    REPORT_ASSET,
    SOURCE_RUN,
    SUSPECTS,
    TURNED_OUT_RIGHT,
)
from resources import CatalogResource, LakeResource, StoresResource

LEFT_OUT = "left_out"
"""Metadata that names the files of the ledgers that could not be read."""


def report_asset(partitions: Partitions, owners: list[str]) -> dg.AssetsDefinition:
    """The asset `fixity_report`, one partition for each pair, with the verdict as asset checks."""

    @dg.asset(
        name=REPORT_ASSET,
        description=__doc__,
        group_name=GROUP,
        kinds={"duckdb", "csv"},
        owners=owners,
        partitions_def=partitions.pairs,
        retry_policy=RETRIES,
        deps=[dg.AssetDep("checksums", partition_mapping=partitions.buckets_to_pairs)],
        check_specs=check_specs(REPORT_ASSET, check_names(), partitions.pairs),
        metadata={"dagster/column_schema": report_schema()},
    )
    def fixity_report(
        context: dg.AssetExecutionContext,
        catalog: CatalogResource,
        lake: LakeResource,
        stores: StoresResource,
    ) -> dg.MaterializeResult:
        with failures_in_plain_words():
            return _report(context, stores, lake.open(), catalog.pair(context.partition_key))

    return fixity_report


def _report(
    context: dg.AssetExecutionContext,
    stores: StoresResource,
    lake: Lake,
    pair: Pair,
    repaired: Collection[str] = (),
) -> dg.MaterializeResult:
    """Make a pair's report, and tell the incidents and the status. Raises LakeError, TableMissing.

    Arguments: `repaired`, the buckets that this run has repaired: whether they are damaged is told as well.
    """
    began, run_id, catalog = utc_now(), context.run.run_id, stores.catalog.catalog
    cautions = catalog.cautions(pair)
    for caution in cautions:
        context.log.warning(f"{pair.name}: {caution}")
    look = SecondLook(lake, catalog, pair, stores, run_id, context.log.info)
    report = make_report(lake, pair, settings_of(catalog.buckets[pair.source]), run_id, look)
    for text in report.all_left_out:
        context.log.warning(f"{pair.name}: left out: {text}")
    if not look.one_finding:
        record_findings(lake, pair, report.suspects, report.findings, run_id)
    note_same(lake, pair.name, report.evidence, run_id)
    for bucket, damaged in report.damaged.items():
        record_checks(run_id, lake, catalog, bucket, damaged, None)
        if bucket in repaired:
            (check,) = checks_of([found := damage_evaluation(bucket, damaged)])
            log_evaluation(context, found, bucket)
            keep_check(lake, ASSET, bucket, check, began)
    log_open_incidents(context, incidents_now(lake), catalog, (pair.source, pair.replica))
    today = Day(began, run_id, stats(report.outcome.counts))
    days = history_with(lake, REPORT_ASSET, pair.name, today)
    result: dg.MaterializeResult = dg.MaterializeResult(
        metadata={
            "dagster/row_count": report.outcome.rows,
            **stats(report.outcome.counts),
            "chart": summary_chart(pair.name, report.outcome.counts),
            "trend": trend_chart(pair.name, days),
            "not_ok": problems_table(report.outcome.problems),
            **_looked_again(report, look),
            **_left_to_s3(context, stores, lake, look),
            "reasons": report.unread,
            "csv": dg.MetadataValue.path(lake.location(report.csv)),
            "latest_csv": dg.MetadataValue.path(lake.location(report.latest_csv)),
            "evidence": dg.MetadataValue.path(lake.location(report.evidence)),
            **_made_from(pair, report),
            **({"caution": "; ".join(cautions)} if cautions else {}),
            **({LEFT_OUT: "; ".join(report.all_left_out)} if report.all_left_out else {}),
        },
        check_results=check_results(
            _verdict(report, look.one_finding), {"no_damage": {"objects": damage_table(report.damaged)}}
        ),
    )
    more = {"place": place_of_pair(catalog, pair), "oldest": oldest_check(report.ages)}
    return keep_status(context, lake, began, result, asset=REPORT_ASSET, **more)


def report_after_repair(
    context: dg.AssetExecutionContext,
    stores: StoresResource,
    lake: Lake,
    pair: Pair,
    repaired: Collection[str],
) -> str | None:
    """List the repaired buckets, and report the pair anew, from the run of its repair.

    Where that cannot be done, the repair is done all the same. Returns why not, for people.
    """
    try:
        for bucket in repaired:
            with stores.open(bucket) as store:
                take_inventory(store, stores.catalog.run_over(lake, bucket, context.run.run_id))
        result = _report(context, stores, lake, pair, repaired)
    except FixityError as error:
        why = f"{pair.name} is repaired, but not reported anew, so run fixity verify {pair.name}: {error}"
        context.log.warning(printable(why, 2000))
        return why
    context.log_event(
        dg.AssetMaterialization(REPORT_ASSET, partition=pair.name, metadata=dict(result.metadata or {}))
    )
    for each in result.check_results or ():
        log_evaluation(context, each._replace(asset_key=dg.AssetKey(REPORT_ASSET)), pair.name)
    return None


def _made_from(pair: Pair, report: PairReport) -> dict[str, dg.MetadataValue]:
    return {
        "source": dg.MetadataValue.text(pair.source),
        "replica": dg.MetadataValue.text(pair.replica),
        SOURCE_RUN: dg.MetadataValue.dagster_run(report.source.run_id),
        REPLICA_RUN: dg.MetadataValue.dagster_run(report.replica.run_id),
        **{name: _time(time) for name, time in report.ages.items()},
    }


def _time(time: datetime | None) -> dg.MetadataValue:
    return dg.MetadataValue.text("never") if time is None else dg.MetadataValue.timestamp(time)


def _looked_again(report: PairReport, look: SecondLook) -> dict[str, Any]:
    """What the second look did, and the first rows that say that something is wrong."""
    if not (look.looked or report.suspects.num_rows):
        return {}
    return {
        LOOKED_AGAIN: look.looked_again,
        TURNED_OUT_RIGHT: look.turned_out_right(report.outcome.counts),
        "not_looked_at_twice": report.outcome.suspect_rows - (pc.sum(report.findings["looked"]).as_py() or 0),
        **({"one_finding": look.one_finding} if look.one_finding else {}),
        SUSPECTS: problems_table(report.suspects.slice(0, FIRST_SUSPECTS).to_pylist()),
    }


def _left_to_s3(
    context: dg.AssetExecutionContext, stores: StoresResource, lake: Lake, look: SecondLook
) -> dict[str, Any]:
    """Have S3 read what could not be read on a side that S3 checks; returns how many objects, as metadata."""

    def asked(name: str, unread: Mapping[tuple[str, str | None], str | None]) -> int:
        return left_to_s3(
            context, stores, name, lambda reports, bucket: note_look_at(lake, reports, bucket, unread)
        )

    objects = asked(look.pair.source, look.unread["source"])
    objects += asked(look.pair.replica, look.unread["replica"])
    return {READ_BY_S3: objects} if objects else {}


def _verdict(report: PairReport, one_finding: str | None) -> list[Verdict]:
    damaged = {bucket: len(objects) for bucket, objects in report.damaged.items()}
    counts, reasons = report.outcome.counts, reasons_text(report.unread)
    return verdict(counts, report.all_left_out, damaged, reasons, one_finding)
