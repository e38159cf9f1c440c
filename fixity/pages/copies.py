"""The page of all copies of a pair with several replicas: a line for each copy.

What is wrong with one copy does not belong here; that is on the page of its own pair.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fixity.catalog import Copies
from fixity.lake.paths import copies_file, copies_stats_file, status_file
from fixity.lake.proof import json_object
from fixity.pages.charts import trend
from fixity.pages.making import Making, Page, by_day, findings, link, state_of
from fixity.pages.pair import read_or_lost, wrong_of
from fixity.pages.render import render
from fixity.pages.report import Unusable
from fixity.pages.sources import Sources
from fixity.reports import Counts
from fixity.reports.columns import SUSPECT
from fixity.status import OF_PAIRS, PROBLEM, UNKNOWN, VERIFIED, WARNING, StatusRow, history_of

_SAID = {
    PROBLEM: "Something is wrong with a copy",
    UNKNOWN: "It is not known whether all copies are right",
    WARNING: "No copy is wrong, but there are warnings",
    VERIFIED: "All copies are the same as their source",
}


@dataclass(frozen=True)
class _Figures:
    """The figures of a report of all copies: of all together, and of each copy, by its bucket."""

    together: Counts
    copies: Mapping[str, Counts]
    oldest: Mapping[str, datetime | None]

    @property
    def suspect(self) -> int:
        """How many rows say that something is wrong."""
        return _suspect(self.together)


def copies_page(making: Making, copies: Copies, row: StatusRow) -> Page:
    """Make the page of all copies. Raises LakeError."""
    sources = making.sources(*(status_file(asset, copies.name) for asset in OF_PAIRS))
    figures, lost = read_or_lost(row, lambda: _read(sources, copies))
    history = history_of(making.lake, "fixity_report", copies.name)
    wrong = {day.at.date().isoformat(): wrong_of(day.counts) for day in history}
    state = state_of(row, lost)
    states = {each.name: each.state for each in making.status.rows if each.kind == "pair"}
    html = render(
        "copies.html",
        making.now,
        name=copies.name,
        state=state,
        said=_SAID[state],
        more=_more(figures, copies),
        found=findings(making, row, lost),
        source=link("bucket", copies.source),
        checked_at=row.checked_at,
        copies=[
            {
                "pair": link("pair", pair.name),
                "replica": pair.replica,
                "state": states[pair.name],
                "objects": counts.total_objects if counts else "",
                "same": counts.matches if counts else "",
                "wrong": _suspect(counts) if counts else "",
                "oldest": figures.oldest.get(pair.replica) or "unknown" if figures else "",
            }
            for pair in copies.pairs
            for counts in [figures.copies.get(pair.replica) if figures else None]
        ],
        csv=f"../{copies_file(copies.name, None)}" if figures else "",
        chart=trend(by_day(wrong), making.now.date(), "How many objects were not right, day by day"),
        sources=sources,
    )
    red = {day.at.date().isoformat(): len(day.red) for day in history}
    return Page(html, tuple(lost), red, wrong=figures.suspect if figures else None)


def _read(sources: Sources, copies: Copies) -> _Figures:
    """The figures of the newest report of all copies. Raises Unusable, LakeError."""
    name, csv = copies_stats_file(copies.name, None), copies_file(copies.name, None)
    try:
        values: dict[str, Any] = json_object(sources.fetch(name).read_text(encoding="utf-8"))
        of_each = values["copies"]
        oldest = {each: of_each[each]["replica_oldest_check"] for each in of_each}
        figures = _Figures(
            Counts.from_stats(values),
            {each: Counts.from_stats(of_each[each]) for each in of_each},
            {each: time and datetime.fromisoformat(time) for each, time in oldest.items()},
        )
    except FileNotFoundError as error:
        raise Unusable(f"{name} is lost") from error
    except (ValueError, TypeError, KeyError) as error:
        raise Unusable(f"{name} is damaged") from error
    try:
        sources.fetch(csv)
    except FileNotFoundError as error:
        raise Unusable(f"{csv} is lost") from error
    return figures


def _suspect(counts: Counts) -> int:
    """How many rows say that something is wrong."""
    return sum(count for status, count in counts.by_status().items() if status in SUSPECT)


def _more(figures: _Figures | None, copies: Copies) -> list[str]:
    if figures is None:
        return [f"No report of all copies can be read. This makes one: fixity verify {copies.name}"]
    same, all_of_them = figures.together.matches, figures.together.total_objects
    return [f"{same:,} of {all_of_them:,} objects are the same in all {len(copies.buckets)} buckets."]
