"""The page of a pair: whether the copy is the same as its source, else which objects, and which copy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol, TypeVar

from fixity.catalog import Pair
from fixity.incidents.diagnosis import DIAGNOSES
from fixity.lake.paths import report_file, status_file
from fixity.pages.charts import trend
from fixity.pages.making import Making, Page, by_day, findings, link, state_of
from fixity.pages.render import render, rows
from fixity.pages.report import Report, Unusable, read_report
from fixity.pages.visible import sentence
from fixity.reports import STATUSES
from fixity.status import OF_PAIRS, PROBLEM, UNKNOWN, VERIFIED, WARNING, StatusRow, history_of

_SAID = {
    PROBLEM: "Something is wrong with this pair",
    UNKNOWN: "It is not known whether the copy is right",
    WARNING: "Nothing wrong was found, but there are warnings",
    VERIFIED: "The copy is the same as its source",
}


class _Counted(Protocol):
    """A report that says how many of its rows say that something is wrong."""

    @property
    def suspect(self) -> int: ...


ReportT = TypeVar("ReportT", bound=_Counted)


def pair_page(making: Making, pair: Pair, row: StatusRow) -> Page:
    """Make the page of a pair. Raises LakeError."""
    sources = making.sources(*(status_file(asset, pair.name) for asset in OF_PAIRS))
    report, lost = read_or_lost(row, lambda: read_report(sources, pair.name, making.database))
    history = history_of(making.lake, "fixity_report", pair.name)
    wrong = {day.at.date().isoformat(): wrong_of(day.counts) for day in history}
    red = {day.at.date().isoformat(): len(day.red) for day in history}
    state = state_of(row, lost)
    shown, count = rows("report", map(_shown, report.first)) if report else ("", 0)
    html = render(
        "pair.html",
        making.now,
        name=pair.name,
        state=state,
        said="Both buckets are empty"
        if state == VERIFIED and report and not report.by_status
        else _SAID[state],
        more=_more(report, pair),
        found=findings(making, row, lost),
        source=link("bucket", pair.source),
        replica=link("bucket", pair.replica),
        checked_at=row.checked_at,
        oldest=row.oldest_evidence or (report and report.oldest),
        counts=[
            {"status": status, "means": means, "count": report.by_status[status]}
            for status, means in STATUSES.items()
            if report and report.by_status.get(status)
        ],
        not_ok=report.not_ok if report else 0,
        rows=shown,
        shown=count,
        csv=f"../{report_file(pair.name, None)}" if report else "",
        chart=trend(by_day(wrong), making.now.date(), "How many objects were not right, day by day"),
        sources=sources,
    )
    return Page(html, tuple(lost), red, wrong=report.suspect if report else None)


def read_or_lost(row: StatusRow, read: Callable[[], ReportT]) -> tuple[ReportT | None, list[str]]:
    """The newest report as it is read, and what is lost of it, for people.

    Arguments: `row`, what the status says of it.
    """
    try:
        report = read()
    except Unusable as error:
        # If nothing was ever compared, there may be none yet.
        return None, [str(error)] if row.checked_at is not None else []
    if report.suspect and row.state in (VERIFIED, WARNING):
        return report, ["the report has rows that say that something is wrong, but its kept results do not"]
    return report, []


def _more(report: Report | None, pair: Pair) -> list[str]:
    if report is None:
        return [f"No report of this pair can be read. This makes one: fixity verify {pair.name}"]
    same = report.by_status.get("ok", 0)
    rows = sum(report.by_status.values())
    return [f"{same:,} of {rows:,} objects were read on both sides and are the same, byte for byte."]


def _shown(row: dict[str, str | None]) -> dict[str, object]:
    """A row of the report as a page shows it."""
    word, rests_on, agreed = (
        row[name] or "" for name in ("diagnosis", "diagnosis_rests_on", "last_agreed_at")
    )
    return {
        **row,
        "means": STATUSES[row["status"] or ""],
        "diagnosis": DIAGNOSES.get(word, word),
        "diagnosis_rests_on": sentence(rests_on),
        "last_agreed_at": _time(agreed),
    }


def _time(text: str) -> datetime | str:
    """A time of the report; a text that is none stays one."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return text


def wrong_of(counts: Mapping[str, int]) -> int:
    """How many objects were not right, by the counts of a kept result."""
    return sum(
        counts.get(name, 0)
        for name in ("mismatches", "missing_replica", "missing_source", "failed_source", "failed_replication")
    )
