"""A small archive for tests of pages: a pair of directories, checked and compared, with results that are kept
as the assets keep them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime

from fixity.clock import utc_now
from fixity.ledger.fold import settings_of
from fixity.reports import verdict
from fixity.reports.pair import PairReport, make_report
from fixity.status import Check, Result, keep_result, places_of
from tests.fixity.repair.places import Places

CLEAN = Check("no_damage", passed=True, severity="ERROR")


def keep_checked(places: Places, bucket: str, *checks: Check, at: datetime | None = None) -> None:
    """Keep that a bucket was checked, with the results of its checks."""
    entry = places.catalog.buckets[bucket]
    keep_result(
        places.lake,
        Result(
            "checksums",
            bucket,
            "run-of-checks",
            at or utc_now(),
            checks or (CLEAN,),
            counts={"objects": 3},
            place=places.catalog.place_of(entry),
            oldest=utc_now(),
        ),
    )


def compare(places: Places, at: datetime | None = None) -> PairReport:
    """Make the report of the pair `p`, and keep its verdict."""
    pair = places.catalog.pairs["p"]
    report = make_report(places.lake, pair, settings_of(places.catalog.buckets["a"]), "run")
    keep_compared(places, asdict(report.outcome.counts), verdict_of(report), at)
    return report


def verdict_of(report: PairReport) -> tuple[Check, ...]:
    """The asset checks of a report."""
    damaged = {bucket: len(objects) for bucket, objects in report.damaged.items()}
    return tuple(
        Check(each.name, each.passed, each.severity, each.description)
        for each in verdict(report.outcome.counts, report.all_left_out, damaged)
    )


def keep_compared(
    places: Places, counts: Mapping[str, int], checks: tuple[Check, ...], at: datetime | None = None
) -> None:
    """Keep what a report of the pair `p` found."""
    catalog = places.catalog
    keep_result(
        places.lake,
        Result(
            "fixity_report",
            "p",
            "run-of-report",
            at or utc_now(),
            checks,
            counts=counts,
            place=places_of(catalog, catalog.buckets_of("p")),
            oldest=utc_now(),
        ),
    )
