"""An incident in one line for people: for the UI, the command and JSON. What it says is in `state`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from fixity.humanize import printable, reasons_text
from fixity.incidents.events import REPAIRED
from fixity.incidents.incident_object import OPEN, IncidentObject
from fixity.incidents.state import Incident

COLUMNS = (
    "incident",
    "state",
    "opened_at",
    "run_id",
    "pairs",
    "buckets",
    "objects",
    "diagnosis",
    "last_event",
    "last_at",
    "note",
)
"""What is shown of an incident, as `summary` names it."""


def summary(incident: Incident) -> Mapping[str, str | int | datetime | None]:
    """What is shown of an incident. Times are in UTC; `note` says what a person may have to do."""
    diagnoses = {name or "not diagnosed": count for name, count in incident.diagnoses.items()}
    return {
        "incident": incident.id,
        "state": incident.state,
        "opened_at": incident.opened_at,
        "run_id": incident.run_id,
        "pairs": ", ".join(incident.pairs),
        "buckets": ", ".join(incident.buckets),
        "objects": len(incident.objects),
        "diagnosis": reasons_text(diagnoses),
        "last_event": incident.last_event,
        "last_at": incident.last_at,
        "note": note(incident),
    }


def note(incident: Incident) -> str:
    """What a person should know or do; '' for nothing."""
    notes = [
        f"{file.name} {printable(file.why)}: restore it from a copy of the lake"
        for file in incident.unreadable
    ]
    if incident.unknown:
        notes.append("what it says is not known, so the incident stays open until a person ends it")
    left = [each for each in incident.objects if each.state == OPEN]
    right = [each for each in left if each.right_since is not None]
    if right:
        last = max(right, key=lambda each: each.right_since or each.since)
        which = "since then" if len(left) == len(right) else f"{len(right):,} of {len(left):,} objects were"
        notes.append(f"{which} {right_text(last)}, and nobody repaired them here")
        if len(left) == len(right):
            notes.append(f"if that is enough: fixity incident close {incident.id} --reason WHY")
    if incident.state == REPAIRED:
        notes.append("repaired, and waits for a check")
    unlooked = sum(not each.confirmed for each in left)
    if unlooked:
        notes.append(f"{unlooked:,} suspect, not looked at twice")
    return "; ".join(notes)


def right_text(found: IncidentObject) -> str:
    """When a check found an object right, and by what."""
    assert found.right_since is not None
    by = f" by {found.right_by}" if found.right_by else ""
    return f"found right at {_time(found.right_since)}{by}"


def what(incident: Incident) -> str:
    """Which objects, and since when: `1,000 objects of deposit-repl, opened 2026-11-29 01:20 UTC`."""
    count = len(incident.objects)
    objects = "unknown objects" if not count else "1 object" if count == 1 else f"{count:,} objects"
    places: Sequence[str] = incident.buckets or [f"the pair {pair}" for pair in incident.pairs]
    of = f" of {', '.join(places)}" if places else ""
    return f"{objects}{of}, opened {_time(incident.opened_at)}"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
