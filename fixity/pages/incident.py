"""The page of an incident: which objects, which copy is bad, what to do, and what happened when."""

from __future__ import annotations

from collections import Counter

from fixity.incidents.diagnosis import DIAGNOSES
from fixity.incidents.incident_object import IncidentObject
from fixity.incidents.state import Incident
from fixity.incidents.summary import note, what
from fixity.lake.paths import incident_file
from fixity.pages.making import Making, Page, Shown
from fixity.pages.render import render, rows
from fixity.pages.visible import sentence
from fixity.status import PROBLEM, UNKNOWN, VERIFIED, WARNING
from fixity.words import to_do

_SAID = {
    "open": "This is open: it needs you",
    "repaired": "Repaired, and not checked since",
    "closed": "Closed: what was wrong is right again",
    "dismissed": "Dismissed: a person accepted what was found",
}
_STATES = {"open": PROBLEM, "repaired": PROBLEM, "closed": VERIFIED, "dismissed": WARNING}
_MOST_EVENTS = 200


def incident_page(making: Making, incident: Incident, first: str) -> Page:
    """Make the page of an incident. Arguments: `first`, what comes before a repair. Raises LakeError."""
    folder = incident_file(incident.id, "").rpartition("/")[0]
    sources = making.sources(*(name for name in making.files if name.startswith(f"{folder}/")))
    moments = Counter(
        (each.happened_at, each.event, each.person or f"run {each.run_id}", each.reason)
        for each in incident.events
    )
    shown, count = rows("incident", map(_shown, incident.objects))
    html = render(
        "incident.html",
        making.now,
        id=incident.id,
        state=UNKNOWN if incident.unreadable and incident.is_over else _STATES[incident.state],
        said=_SAID[incident.state],
        more=[what(incident), *filter(None, [note(incident)])],
        advice=[] if incident.is_over else _advice(incident, first),
        objects=len(incident.objects),
        rows=shown,
        shown=count,
        history=[
            {"at": at, "event": event, "objects": objects, "by": by, "reason": reason}
            for (at, event, by, reason), objects in list(moments.items())[-_MOST_EVENTS:]
        ],
        sources=sources,
    )
    return Page(html)


def _shown(each: IncidentObject) -> dict[str, object]:
    """An object of an incident as a page shows it."""
    return {
        "key": each.key,
        "version_id": each.version_id,
        "state": each.state,
        "place": f"The copy in {each.bucket}" if each.bucket else f"A copy of the pair {each.pair}",
        "diagnosis": DIAGNOSES.get(each.diagnosis or "", each.diagnosis),
        "rests_on": sentence(each.rests_on or ""),
        "detail": sentence(each.detail or ""),
    }


def _advice(incident: Incident, first: str) -> list[Shown]:
    """What to do about the whole incident, and about the objects of each diagnosis."""
    if first:
        return [Shown(f"This incident is {incident.state}", to_do=first)]
    names = {"ID": incident.id, **({"PAIR": incident.pairs[0]} if len(incident.pairs) == 1 else {})}
    return [
        Shown(f"This incident is {incident.state}", to_do=to_do(incident.state, names)),
        *(
            Shown(f"{DIAGNOSES.get(word, word)}: {count:,} of the objects", to_do=to_do(word, names))
            for word, count in incident.diagnoses.items()
            if word
        ),
    ]
