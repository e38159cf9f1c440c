"""Makes the report of all copies of a pair with several replicas, from the reports of each, and keeps it.

Putting the rows side by side is in `all_copies`. The reports themselves are made by `pair`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fixity.catalog import Copies
from fixity.clock import utc_now
from fixity.lake import Lake
from fixity.lake.paths import copies_file, copies_stats_file
from fixity.reports.all_copies import OfCopy, side_by_side
from fixity.reports.counts import Counts
from fixity.reports.pair import PairReport
from fixity.reports.summary import stats


@dataclass(frozen=True)
class CopiesReport:
    """A report of all copies that was kept; see `PairReport`. counts: each object counts once, by its worst
    status. problems: the first rows that are not ok, with the columns of the CSV."""

    counts: Counts
    problems: list[dict[str, Any]]
    csv: str
    latest_csv: str
    evidence: str
    stats: str


def make_copies_report(
    lake: Lake,
    copies: Copies,
    reports: Mapping[str, PairReport],
    run_id: str,
    now: Callable[[], datetime] = utc_now,
) -> CopiesReport:
    """Put the reports of all copies side by side, and keep the run's report of today (UTC).

    Arguments: `reports`, by the names of the copies' pairs. The stats have the figures of each copy, too.
    Replaces the copies of the newest report of the day, and under LATEST.
    Raises ReportNotWhole, LakeError.
    """
    today, name = now().date(), copies.name
    csv, stats_name = copies_file(name, today, run_id), copies_stats_file(name, today, run_id)
    with lake.workspace() as workspace:
        parts = [
            OfCopy(pair.replica, lake.fetch(reports[pair.name].evidence, workspace), rows)
            for pair in copies.pairs
            for rows in [reports[pair.name].outcome.rows]
        ]
        found = side_by_side(copies.source, parts, by_version=copies.by_version, csv=workspace / "copies.csv")
        lake.put(csv, found.csv, replace=True)  # a step that is tried again replaces its own
    figures: dict[str, Any] = dict(stats(found.counts))
    figures["copies"] = {
        pair.replica: {
            **stats(report.outcome.counts),
            **{each: time and time.isoformat() for each, time in report.ages.items()},
        }
        for pair in copies.pairs
        for report in [reports[pair.name]]
    }
    lake.put_text(stats_name, json.dumps(figures, indent=2) + "\n", replace=True)
    for day in (today, None):
        lake.copy(csv, copies_file(name, day))
        lake.copy(stats_name, copies_stats_file(name, day))
    return CopiesReport(
        counts=found.counts,
        problems=found.problems,
        csv=copies_file(name, today),
        latest_csv=copies_file(name, None),
        evidence=csv,
        stats=stats_name,
    )
