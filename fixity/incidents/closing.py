"""Ends incidents: by a check that found the right bytes after a repair, or by a person with a reason.

Repairing does not belong here. What counts as open is in `state`.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fixity import compute as pc
from fixity.clock import utc_now
from fixity.errors import WrongUsage
from fixity.incidents.claims import record_name
from fixity.incidents.events import CLOSED, VERIFIED, Event, append
from fixity.incidents.incident_object import Identity, IncidentObject, identity
from fixity.incidents.state import Incident, incidents_now
from fixity.lake import Lake
from fixity.lake.csv_files import reading_with_duckdb
from fixity.lake.database import open_database
from fixity.ledger.judge import MANIFEST
from fixity.reports.columns import COLUMNS
from fixity.tables import MATCHED, OTHER_COPY

_COLUMNS = [
    "key",
    "version_id",
    "is_latest",
    "algorithm",
    "checksum",
    "other_checksums",
    "verdict",
    "expected_algorithm",
    "expected",
    "expected_from",
    "checked_at",
]
_TAKES_BACK = ("api", MANIFEST, OTHER_COPY)
"""What may say that bytes are right which were called wrong. What a store recorded of bytes as it wrote them
says only that they are still those."""


class NoIncident(WrongUsage):
    """There is no such incident, or it is over already."""


def close_right(
    lake: Lake, bucket: str, checks: Path | None, run_id: str, now: Callable[[], datetime] = utc_now
) -> list[Incident]:
    """Note which objects of incidents a run found right, and close the incidents that this ends.

    An object that nobody repaired stays open, with the time since when its bytes are right again: a person
    closes it.

    Arguments: `checks`, the run's file of the ledger, a local file; None if it checked nothing.
    Returns all incidents now. Raises LakeError.
    """
    incidents, moment = incidents_now(lake), now()
    by_id = {each.id: each for each in incidents}
    events: list[Event] = []
    for each, right_by in _right(bucket, incidents, checks):
        at = by_id[each.incident_id].next_at(moment)
        event = each.event(VERIFIED, at, run_id=run_id, detail=right_by)
        each.take(event)
        events.append(event)
    events += [
        Event(incident.id, CLOSED, incident.next_at(moment), run_id=run_id)
        for incident in incidents
        if not incident.is_over and _is_right(incident)
    ]
    if not events:
        return incidents
    append(lake, events)
    return incidents_now(lake)


def note_same(lake: Lake, pair: str, csv: str, run_id: str, now: Callable[[], datetime] = utc_now) -> None:
    """Note which objects are the same on both sides by a pair's report, if nobody knew which copy is bad.

    Arguments: `csv`, the report's name in the lake. A person closes them. Raises LakeError.
    """
    waiting: dict[Identity, tuple[Incident, IncidentObject]] = {
        each.identity: (incident, each)
        for incident in incidents_now(lake)
        for each in incident.objects
        if each.bucket is None and each.pair == pair and not each.is_over and each.right_since is None
    }
    if not waiting:
        return
    with lake.workspace() as workspace, open_database(workspace) as database:
        database.register("waiting", pa.table({"key": [key for _, _, key, _ in waiting]}))
        report = reading_with_duckdb(lake.fetch(csv, workspace), list(COLUMNS))
        rows = database.execute(
            f"SELECT key, version_id FROM {report} SEMI JOIN waiting USING (key) WHERE status = 'ok'"
        ).fetchall()
    same = [found for row in rows if (found := waiting.get(identity(pair, None, *row)))]
    moment = now()
    append(
        lake,
        [
            each.event(VERIFIED, incident.next_at(moment), run_id=run_id, detail="both sides' being the same")
            for incident, each in same
        ],
    )


def _right(
    bucket: str, incidents: Iterable[Incident], checks: Path | None
) -> Iterator[tuple[IncidentObject, str]]:
    """The objects of a bucket in incidents that a run found right, and by what."""
    waiting = defaultdict[str, list[IncidentObject]](list)
    for each in (each for incident in incidents for each in incident.objects):
        if each.bucket == bucket and not each.is_over and each.right_since is None:
            waiting[each.key].append(each)
    if not waiting or checks is None:
        return
    there = set(pq.read_schema(checks).names)
    columns = [name for name in _COLUMNS if name in there]
    # A check without a time did not look: S3's report may not name an object, or name one written since.
    looked = pc.field("key").isin(list(waiting)) & pc.field("checked_at").is_valid()
    for row in pq.read_table(checks, columns=columns, filters=looked).to_pylist():
        for each in waiting[row["key"]]:
            same = row["is_latest"] or row["version_id"] == each.version_id
            if not same or each.right_since is not None or row["checked_at"] <= each.since:
                continue
            if right_by := _right_by(row, each):
                yield each, right_by


def _right_by(row: Mapping[str, Any], of: IncidentObject) -> str | None:
    """By what a check found an object right, for people; None if it did not."""
    sums = {f"{row['algorithm']}:{row['checksum']}"} if row["checksum"] else set()
    sums |= {f"{algorithm}:{checksum}" for algorithm, checksum in row.get("other_checksums") or ()}
    by_record = None
    if row.get("verdict") == MATCHED:
        sums.add(f"{row['expected_algorithm']}:{row['expected']}")
        by_record = record_name(row["expected_from"])
    if of.expected and of.expected in sums:
        return by_record or "the checksum that was expected"
    # A repaired one has to have the bytes that were copied to it.
    taken_back = by_record and row["expected_from"] in _TAKES_BACK and not of.repaired
    return by_record if taken_back else None


def _is_right(incident: Incident) -> bool:
    """Whether each of its objects was repaired and then found right, or is over."""
    return not incident.unknown and all(each.is_right for each in incident.objects)


def find_incident(incidents: Iterable[Incident], incident_id: str) -> Incident:
    """The incident of that id. Raises NoIncident, which names similar ones."""
    by_id = {each.id: each for each in incidents}
    if incident_id in by_id:
        return by_id[incident_id]
    near = difflib.get_close_matches(incident_id, by_id, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else "`fixity incidents` lists all"
    raise NoIncident(f"there is no incident '{incident_id}'. {hint}")


def end_by_person(lake: Lake, incident_id: str, event: str, person: str, reason: str) -> Incident:
    """Close or dismiss an incident. Dismissing accepts its objects as they were found.

    Arguments: `event`, CLOSED or DISMISSED; `person`, who does it; `reason`, why.
    Returns the incident as it was before. Raises NoIncident, WrongUsage if one of them is empty, LakeError.
    """
    if not person.strip() or not reason.strip():
        raise WrongUsage("an incident is ended by a person, with a reason: say both")
    incident = find_incident(incidents_now(lake), incident_id)
    if incident.is_over:
        raise NoIncident(f"the incident {incident_id} is {incident.state} already")
    append(lake, [Event(incident_id, event, incident.next_at(utc_now()), person=person, reason=reason)])
    return incident
