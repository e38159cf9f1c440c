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

import pyarrow.compute as pc
import pyarrow.parquet as pq

from fixity.clock import utc_now
from fixity.errors import WrongUsage
from fixity.incidents.events import CLOSED, VERIFIED, Event, append
from fixity.incidents.state import Incident, IncidentObject, incidents_now
from fixity.lake import Lake
from fixity.tables import MATCHED

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
    "checked_at",
]


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
    for each in _right(bucket, incidents, checks):
        event = each.event(VERIFIED, by_id[each.incident_id].next_at(moment), run_id=run_id)
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


def _right(bucket: str, incidents: Iterable[Incident], checks: Path | None) -> Iterator[IncidentObject]:
    """The objects of a bucket in incidents that a run found right."""
    waiting = defaultdict[str, list[IncidentObject]](list)
    for each in (each for incident in incidents for each in incident.objects):
        if each.bucket == bucket and each.expected and not each.is_over and each.right_since is None:
            waiting[each.key].append(each)
    if not waiting or checks is None:
        return
    there = set(pq.read_schema(checks).names)
    columns = [name for name in _COLUMNS if name in there]
    for row in pq.read_table(
        checks, columns=columns, filters=pc.field("key").isin(list(waiting))
    ).to_pylist():
        sums = _sums(row)
        for each in waiting[row["key"]]:
            same = row["is_latest"] or row["version_id"] == each.version_id
            if same and each.right_since is None and each.expected in sums and row["checked_at"] > each.since:
                yield each


def _sums(row: Mapping[str, Any]) -> set[str]:
    """All that a check says of the bytes that it read, as ALGORITHM:hex."""
    sums = {f"{row['algorithm']}:{row['checksum']}"} if row["checksum"] else set()
    sums |= {f"{algorithm}:{checksum}" for algorithm, checksum in row.get("other_checksums") or ()}
    if row.get("verdict") == MATCHED:
        sums.add(f"{row['expected_algorithm']}:{row['expected']}")
    return sums


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
