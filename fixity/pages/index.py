"""The first page: whether everything is verified, what needs a person, and all buckets and pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime

from fixity.lake.paths import page_file
from fixity.pages.ages import cells, total
from fixity.pages.charts import YEAR, trend
from fixity.pages.making import Made, Making, Shown, findings, link, state_of
from fixity.pages.render import render, rows
from fixity.pages.sources import commands_for_pages
from fixity.status import PROBLEM, STATES, UNKNOWN, VERIFIED, WARNING, StatusRow

_CARDS = 25
_ROWS, _TABLE_BYTES = 5_000, 700_000


def index_page(making: Making, made: Mapping[str, Made]) -> str:
    """Make the first page. Arguments: `made`, the pages of all rows, by name."""
    listed = sorted(
        ((row, made[page_file(row.kind, row.name)]) for row in making.status.rows),
        key=lambda each: STATES.index(state_of(each[0], each[1].lost)),
    )
    states = Counter(state_of(row, page.lost) for row, page in listed)
    states[PROBLEM] += len(making.status.platform)
    states[WARNING] += len(making.status.notes)
    needing = [(row, page) for row, page in listed if state_of(row, page.lost) != VERIFIED]
    pairs = [(row, page) for row, page in listed if row.kind == "pair"]
    buckets = [(row, page) for row, page in listed if row.kind == "bucket"]
    pair_rows, pairs_shown = rows("pair", (_pair(*each) for each in pairs), _ROWS, _TABLE_BYTES)
    ages = [page.read.by_age(making.now) for _, page in buckets if page.read]
    bucket_rows, buckets_shown = rows(
        "bucket", (_bucket(row, page, making.now) for row, page in buckets), _ROWS, _TABLE_BYTES
    )
    return render(
        "index.html",
        making.now,
        state=next((state for state in STATES if states[state]), UNKNOWN),
        said=_said(states),
        more=_more(len(pairs), buckets),
        platform=[
            Shown(each.text, each.since.date() if each.since else None) for each in making.status.platform
        ],
        notes=[Shown(text) for text in making.status.notes],
        cards=[
            {
                **link(row.kind, row.name),
                "kind": row.kind,
                "state": state_of(row, page.lost),
                "found": findings(making, row, page.lost),
            }
            for row, page in needing[:_CARDS]
        ],
        more_cards=max(0, len(needing) - _CARDS),
        chart=trend(
            _red_by_day([page.red for _, page in listed], making.now.date()), making.now.date(), _YEAR
        ),
        year=_YEAR,
        pairs=pair_rows,
        more_pairs=len(pairs) - pairs_shown,
        all_ages=cells(total(ages)) if len(ages) > 1 else None,
        buckets=bucket_rows,
        more_buckets=len(buckets) - buckets_shown,
        commands=commands_for_pages(making.lake),
    )


_YEAR = "How many buckets and pairs had a red check, day by day"


def _said(states: Mapping[str, int]) -> str:
    """The answer, in one sentence."""
    problems, unknown, warnings = (states[state] for state in (PROBLEM, UNKNOWN, WARNING))
    if problems:
        also = f", and {unknown} {'is' if unknown == 1 else 'are'} not known" if unknown else ""
        return f"{_things(problems)} {'needs' if problems == 1 else 'need'} you{also}"
    if unknown:
        return f"{_things(unknown)} {'is' if unknown == 1 else 'are'} not known"
    if warnings:
        return f"Nothing wrong was found, with {warnings} {'warning' if warnings == 1 else 'warnings'}"
    return "Everything is verified"


def _things(count: int) -> str:
    return "1 thing" if count == 1 else f"{count:,} things"


def _more(pairs: int, buckets: Sequence[tuple[StatusRow, Made]]) -> list[str]:
    objects = sum(page.read.objects for _, page in buckets if page.read)
    oldest = [row.oldest_evidence for row, _ in buckets if row.oldest_evidence]
    said = f"{objects:,} objects in {_count(len(buckets), 'bucket')}, {_count(pairs, 'pair')}."
    return [
        said,
        *([f"The oldest check that this rests on is of {min(oldest):%-d %B %Y}."] if oldest else []),
    ]


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _pair(row: StatusRow, page: Made) -> dict[str, object]:
    return {
        **link("pair", row.name),
        "state": state_of(row, page.lost),
        "objects": row.counts.get("total_objects"),
        "wrong": page.wrong,
        "checked_at": row.checked_at,
    }


def _bucket(row: StatusRow, page: Made, now: datetime) -> dict[str, object]:
    read = page.read
    return {
        **link("bucket", row.name),
        "state": state_of(row, page.lost),
        "objects": read.objects if read else None,
        "heat": cells(read.by_age(now) if read else total([])),
    }


def _red_by_day(of_rows: Iterable[Mapping[str, int]], today: date) -> dict[date, int]:
    """How many rows were red on each day; between its results a row stays as it was."""
    first = today - YEAR
    changes = Counter[date]()
    for red in of_rows:
        was_red = False
        for each, count in sorted(red.items()):
            if bool(count) != was_red:
                was_red = not was_red
                changes[max(date.fromisoformat(each), first)] += 1 if was_red else -1
        if red:
            changes[max(date.fromisoformat(min(red)), first)] += 0  # known from this day on
    counts: dict[date, int] = {}
    now_red = 0
    for day in sorted(changes):
        now_red += changes[day]
        counts[day] = now_red
    return counts
