"""Finds what is wrong now and may be told: from the status, and from the incidents.

What an open incident says of a bucket or pair is told once, by the incident: the red checks that found it are
none of their own. Whether it was told before does not belong here; that is in `plan`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

from fixity.alerts.plan import Alert, Known, Wrong
from fixity.catalog import Catalog, What
from fixity.humanize import printable
from fixity.incidents.state import Incident
from fixity.incidents.summary import what
from fixity.status import Finding, Status, StatusRow
from fixity.status.coverage import ALIVE, NO_DAMAGE
from fixity.status.now import COVERAGE, OPEN_INCIDENTS
from fixity.status.rows import RUN

_SAID_BY_INCIDENTS = {"no_damage", NO_DAMAGE, "no_mismatches", "no_missing_source", "no_missing_replica"}
_COUNTED_WITHIN = timedelta(days=1)
_LONGEST = 300  # characters of what a check says
_NOT_COUNTED = "coverage is not counted"

IsFinal = Callable[[str], bool]
"""Whether a failed run, given its id, is not tried again by itself."""


def wrong_now(
    status: Status, incidents: Iterable[Incident], catalog: Catalog, is_final: IsFinal
) -> list[Wrong]:
    """All that is wrong now. Arguments: `incidents`, all of them."""
    found = [_of_incident(each) for each in incidents if not each.is_over]
    of_each = {row.failed_run for row in status.rows if row.kind == "pair" and catalog.copies_with(row.name)}
    for row in status.rows:
        if row.kind == "pair" and row.name in catalog.copies:  # what is red there, each copy tells
            told = row.failed_run in (None, *of_each)
            found += (each for each in _of_row(row, is_final) if each.opened == "run_failed" and not told)
        else:
            found += _of_row(row, is_final)
    found += [_of_finding(each, None) for each in status.platform]
    found += _not_counted(status, catalog)
    return found


def over_now(status: Status, incidents: Iterable[Incident]) -> Callable[[str, Known], str | None]:
    """Says of something that is no longer wrong what to tell; None of what the catalog no longer has."""
    by_subject = {_subject(each): each for each in incidents}
    rows: dict[tuple[str, str], StatusRow] = {(row.kind, row.name): row for row in status.rows}

    def over(subject: str, known: Known) -> str | None:
        if (incident := by_subject.get(subject)) is not None:
            return _ended(incident)
        if known.over == "incident_closed":
            return f"The files of {subject} can no longer be found in the lake. Nobody has closed it."
        if known.row == ("", ""):
            return f"No longer wrong: {subject}."
        row = rows.get(known.row)
        if row is None:
            return None
        why = f" ({printable(row.unknown[0], _LONGEST)})" if row.unknown else ""
        return f"No longer wrong: {subject}. Its status is now: {row.state}{why}."

    return over


def passed_since(incidents: Iterable[Incident], since: datetime | None, known: Iterable[str]) -> list[Alert]:
    """The alerts of incidents that opened and ended since the last look. Arguments: `since` (UTC)."""
    there = set(known)
    alerts: list[Alert] = []
    for each in incidents:
        if since and each.is_over and each.opened_at > since and _subject(each) not in there:
            opened = _of_incident(each)
            alerts += [
                Alert(opened.key, opened.opened, opened.text),
                Alert(f"{opened.key} over", opened.over, _ended(each)),
            ]
    return alerts


def _subject(incident: Incident) -> str:
    return f"the incident {incident.id}"


def _of_incident(incident: Incident) -> Wrong:
    keys = [repr(printable(each.key, 100)) for each in incident.objects[:3]]
    more = len(incident.objects) - len(keys)
    objects = f" Objects: {', '.join(keys)}{f' and {more:,} more' if more else ''}." if keys else ""
    of_pairs = f" Found by the report of {', '.join(incident.pairs)}." if incident.pairs else ""
    subject = _subject(incident)
    text = (
        f"Something is wrong: {subject}, {printable(what(incident), _LONGEST)}.{objects}{of_pairs} "
        f"To do: fixity incident {incident.id}"
    )
    return Wrong(subject, subject, "incident_opened", "incident_closed", text)


def _ended(incident: Incident) -> str:
    last = incident.events[-1] if incident.events else None
    by = f" by {printable(last.person, 100)}" if last and last.person else ""
    reason = f": {printable(last.reason, _LONGEST)}" if last and last.reason else ""
    return f"The incident {incident.id} was {incident.state}{by}{reason} ({what(incident)})."


def _of_row(row: StatusRow, is_final: IsFinal) -> Iterator[Wrong]:
    runs = set()
    for finding in row.red:
        if finding.asset == OPEN_INCIDENTS and finding.check != RUN:
            continue
        if row.open_incidents and finding.check in _SAID_BY_INCIDENTS:
            continue
        if finding.check == RUN:
            if finding.since in runs or not is_final(row.failed_run or ""):
                continue  # a run of several assets is told once
            runs.add(finding.since)
        yield _of_finding(finding, row)


def _of_finding(finding: Finding, row: StatusRow | None) -> Wrong:
    of = f" of the {row.kind} {row.name}" if row else ""
    if finding.check == RUN:
        subject = f"the last run{of or f' of {finding.asset}'} failed"
    else:
        subject = f"{finding.check} of {finding.asset}{of}"
    name = f" {row.name}" if row else ""
    text = printable(finding.text, _LONGEST)
    if finding.check == RUN:
        told = f"A run{of or f' of {finding.asset}'} failed: {text}. To do: fixity status{name}"
        return Wrong(subject, _key(subject, finding), "run_failed", "run_failed", told, _row(row))
    told = f"The check {subject} is red{f': {text}' if text else ''}. To do: fixity status{name}"
    if finding.asset != COVERAGE:
        return Wrong(subject, _key(subject, finding), "check_red", "check_green", told, _row(row))
    kind: What = "silence" if finding.check == ALIVE else "coverage"
    return Wrong(subject, _key(subject, finding), kind, kind, told, _row(row))


def _key(subject: str, finding: Finding) -> str:
    return f"{subject} since {finding.since.isoformat() if finding.since else 'ever'}"


def _row(row: StatusRow | None) -> tuple[str, str]:
    return (row.kind, row.name) if row else ("", "")


def _not_counted(status: Status, catalog: Catalog) -> Iterator[Wrong]:
    """Buckets with a term whose coverage nobody counted in the last day, told as one."""
    names = sorted(
        row.name
        for row in status.rows
        if row.kind == "bucket"
        and row.coverage is None
        and catalog.buckets[row.name].fixity_every is not None
        and row.checked_at is not None
        and status.at - row.checked_at > _COUNTED_WITHIN
    )
    if names:
        more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
        told = (
            f"Nobody counted in the last day how much of {', '.join(names[:3])}{more} was checked. "
            "To do: see that the daemon runs (fixity dev), or: fixity coverage"
        )
        yield Wrong(_NOT_COUNTED, _NOT_COUNTED, "silence", "silence", told)
