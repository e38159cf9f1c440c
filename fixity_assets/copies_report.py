"""Reports a pair with several replicas within a run: each copy as a pair of its own, then all together.

What is said of one copy does not belong here; that is in `pair_report`.
"""

from collections.abc import Collection, Mapping
from typing import Any

import dagster as dg

from fixity.catalog import Copies
from fixity.clock import utc_now
from fixity.errors import FixityError
from fixity.humanize import printable
from fixity.lake import Lake
from fixity.reports import stats
from fixity.reports.ages import oldest_check
from fixity.reports.columns import SUSPECT
from fixity.reports.copies import CopiesReport, make_copies_report
from fixity.reports.verdict import verdict_of_copies
from fixity.status import Day, Failure, history_with, keep_failure, places_of
from fixity_assets.bucket_checks import damage_table
from fixity_assets.describe import check_results, rows_table
from fixity_assets.keep_status import keep_status
from fixity_assets.pair_report import Reported, log_report, report_pair
from fixity_assets.report_page import copies_table, summary_chart, trend_chart
from jobs.names import (
    FIRST_SUSPECTS,
    LOOKED_AGAIN,
    REPORT_ASSET,
    SUSPECTS,
    TURNED_OUT_RIGHT,
    runs_compared,
)
from resources import StoresResource

_COUNTED = (
    "matches",
    "mismatches",
    "missing_replica",
    "missing_source",
    "failed_source",
    "failed_replication",
)


def report_copies(
    context: dg.AssetExecutionContext,
    stores: StoresResource,
    lake: Lake,
    copies: Copies,
    repaired: Collection[str] = (),
) -> dg.MaterializeResult:
    """Report each copy, and all of them together. Raises LakeError, TableMissing.

    A copy that cannot be reported does not keep the reports of the others from being kept. But then there is
    none of all copies, and the run fails, so the UI shows none either.
    Arguments: `repaired`, the buckets that this run has repaired.
    """
    began, catalog = utc_now(), stores.catalog.catalog
    made: dict[str, Reported] = {}
    failures: list[FixityError] = []
    for pair in copies.pairs:
        try:
            made[pair.name] = report_pair(context, stores, lake, pair, repaired)
        except FixityError as error:
            context.log.warning(printable(f"{pair.name} could not be reported: {error}", 2000))
            failures.append(error)
            run_id = context.run.run_id
            text = f"the run {run_id} failed: {error}"
            keep_failure(lake, REPORT_ASSET, pair.name, Failure(run_id, utc_now(), text))
    if failures:
        raise failures[0]
    for name, each in made.items():
        log_report(context, name, each.result)
    reports = {name: each.report for name, each in made.items()}
    found = make_copies_report(lake, copies, reports, context.run.run_id)
    damaged = {bucket: objects for report in reports.values() for bucket, objects in report.damaged.items()}
    left_out = list(dict.fromkeys(text for report in reports.values() for text in report.all_left_out))
    checks = verdict_of_copies(
        {pair.replica: made[pair.name].checks for pair in copies.pairs},
        left_out,
        {bucket: len(objects) for bucket, objects in damaged.items()},
    )
    days = history_with(lake, REPORT_ASSET, copies.name, Day(began, context.run.run_id, stats(found.counts)))
    result: dg.MaterializeResult = dg.MaterializeResult(
        metadata={
            "dagster/row_count": found.counts.rows,
            **stats(found.counts),
            "chart": summary_chart(copies.name, found.counts),
            "trend": trend_chart(copies.name, days),
            **_of_each_copy(copies, made),
            **_not_ok(copies, made, found),
            "csv": dg.MetadataValue.path(lake.location(found.csv)),
            "latest_csv": dg.MetadataValue.path(lake.location(found.latest_csv)),
            "evidence": dg.MetadataValue.path(lake.location(found.evidence)),
        },
        check_results=check_results(checks, {"no_damage": {"objects": damage_table(damaged)}}),
    )
    oldest = [time for report in reports.values() if (time := oldest_check(report.ages))]
    of = {"asset": REPORT_ASSET, "partition": copies.name, "place": places_of(catalog, copies.buckets)}
    return keep_status(context, lake, began, result, **of, oldest=min(oldest, default=None))


def _of_each_copy(copies: Copies, made: Mapping[str, Reported]) -> dict[str, Any]:
    """The figures of each copy as a row, and which runs' tables were compared."""
    rows, reasons = [], dict[str, int]()
    for pair in copies.pairs:
        report = made[pair.name].report
        figures, ages = stats(report.outcome.counts), report.ages
        rows.append(
            {
                "replica": pair.replica,
                "verified": "yes" if all(check.passed for check in made[pair.name].checks) else "no",
                **{name: figures[name] for name in _COUNTED},
                "oldest_check": ages["replica_oldest_check"],
                "pair": pair.name,
            }
        )
        reasons |= {f"{reason} ({pair.replica})": count for reason, count in report.unread.items()}
    columns = [dg.TableColumn(name, "int" if name in _COUNTED else "string") for name in rows[0]]
    runs = [made[copies.pairs[-1].name].report.source.run_id]
    runs += [made[pair.name].report.replica.run_id for pair in copies.pairs]
    return {
        "copies": rows_table(rows, columns),
        "reasons": reasons,
        "source": copies.source,
        **{
            name: dg.MetadataValue.dagster_run(run)
            for name, run in zip(runs_compared(copies.buckets), runs, strict=True)
        },
    }


def _not_ok(copies: Copies, made: Mapping[str, Reported], found: CopiesReport) -> dict[str, Any]:
    """The first rows that are not ok; what the second looks did, where there was anything to look at."""
    replicas = [pair.replica for pair in copies.pairs]
    suspects = [row for row in found.problems if row["status"] in SUSPECT][:FIRST_SUSPECTS]
    looked = [each.result.metadata or {} for each in made.values()]
    return {
        "not_ok": copies_table(found.problems, replicas),
        **{name: sum(each.get(name, 0) for each in looked) for name in (LOOKED_AGAIN, TURNED_OUT_RIGHT)},
        **({SUSPECTS: copies_table(suspects, replicas)} if suspects else {}),
    }
