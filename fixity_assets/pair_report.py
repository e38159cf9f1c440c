"""Reports one pair within a run: its report, what it tells the incidents and the status, and its checks.

Which pairs a run reports does not belong here; that is in `fixity_report`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import dagster as dg

from fixity import compute as pc
from fixity.catalog import Pair
from fixity.clock import utc_now
from fixity.engines.s3_batch.second_job import note_look_at
from fixity.humanize import reasons_text
from fixity.incidents.closing import note_same
from fixity.incidents.opening import record_findings
from fixity.incidents.second_look import SecondLook
from fixity.incidents.state import incidents_now
from fixity.lake import Lake
from fixity.ledger.clocks import refuse_wrong_clock
from fixity.ledger.fold import settings_of
from fixity.ledger.listing import inventory_in_force
from fixity.reports import Verdict, stats, verdict
from fixity.reports.ages import oldest_check
from fixity.reports.pair import First, PairReport, make_report, no_first
from fixity.status import Day, history_with, keep_check, places_of
from fixity_assets.bucket_checks import ASSET, damage_evaluation, damage_table, log_evaluation
from fixity_assets.describe import check_results
from fixity_assets.incidents import log_open_incidents, record_checks
from fixity_assets.keep_status import checks_of, keep_status
from fixity_assets.left_to_s3 import left_to_s3
from fixity_assets.report_page import problems_table, summary_chart, trend_chart
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
from resources import StoresResource

LEFT_OUT = "left_out"
"""Metadata that names the files of the ledgers that could not be read."""


@dataclass(frozen=True)
class Reported:
    """A pair that was reported: what its partition of the asset gets, the report, and its checks."""

    result: dg.MaterializeResult
    report: PairReport
    checks: list[Verdict]


def report_pair(
    context: dg.AssetExecutionContext,
    stores: StoresResource,
    lake: Lake,
    pair: Pair,
    repaired: Collection[str] = (),
    first: First = no_first,
) -> Reported:
    """Make a pair's report, and tell the incidents and the status. Raises LakeError, ClockWrong,
    TableMissing.

    Arguments: `repaired`, the buckets that this run has repaired: whether they are damaged is told as well;
    `first` as of `make_report`.
    """
    began, run_id, catalog = utc_now(), context.run.run_id, stores.catalog.catalog
    for bucket in (pair.source, pair.replica):
        refuse_wrong_clock(lake, bucket)
    cautions = catalog.cautions(pair)
    for caution in cautions:
        context.log.warning(f"{pair.name}: {caution}")
    look = SecondLook(lake, catalog, pair, stores, run_id, context.log.info)
    settings = settings_of(catalog.buckets[pair.source])
    report = make_report(lake, pair, settings, run_id, look, first=first)
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
    checks = _verdict(lake, pair, report, look.one_finding)
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
        check_results=check_results(checks, {"no_damage": {"objects": damage_table(report.damaged)}}),
    )
    place = places_of(catalog, (pair.source, pair.replica))
    of = {"asset": REPORT_ASSET, "partition": pair.name, "place": place}
    keep_status(context, lake, began, result, **of, oldest=oldest_check(report.ages))
    return Reported(result, report, checks)


def log_report(context: dg.AssetExecutionContext, name: str, result: dg.MaterializeResult) -> None:
    """Report a partition of the asset from a run that is of another one, or of another asset."""
    context.log_event(
        dg.AssetMaterialization(REPORT_ASSET, partition=name, metadata=dict(result.metadata or {}))
    )
    for each in result.check_results or ():
        log_evaluation(context, each._replace(asset_key=dg.AssetKey(REPORT_ASSET)), name)


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
    once = report.findings.num_rows - (pc.sum(report.findings["looked"]).as_py() or 0)
    return {
        LOOKED_AGAIN: look.looked_again,
        TURNED_OUT_RIGHT: look.turned_out_right(report.outcome.counts),
        "not_looked_at_twice": once + report.outcome.beyond,
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


def _verdict(lake: Lake, pair: Pair, report: PairReport, one_finding: str | None) -> list[Verdict]:
    damaged = {bucket: len(objects) for bucket, objects in report.damaged.items()}
    counts, reasons = report.outcome.counts, reasons_text(report.unread)
    sides = (pair.source, pair.replica) if not counts.rows else ()
    is_empty_right = not any(inventory_in_force(lake, side).is_doubtful for side in sides)
    return verdict(counts, report.all_left_out, damaged, reasons, one_finding, is_empty_right)
