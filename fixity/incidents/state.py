"""What the events say about each incident now: the fold of all of them, in any order, doubled or not.

The rules:
- An object belongs to the first incident that opened for it and is not over. If two runs open one for the
  same object at once, the earlier counts; nobody locks.
- A run closes an object only after a repair and a check that found the right bytes. A person closes or
  dismisses a whole incident, with a reason.
- A file of events that cannot be read closes nothing: its incident is open until the file is restored, or
  until a person closes or dismisses the incident after the time in the file's name.

When events are appended is in `opening` and `closing`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from operator import attrgetter

from fixity.clock import EPOCH
from fixity.incidents.events import (
    CLOSED,
    DIAGNOSED,
    DISMISSED,
    EVENTS,
    OPENED,
    REPAIRED,
    Event,
    UnreadableEvents,
    read_events,
)
from fixity.incidents.incident_object import OPEN, Identity, IncidentObject, identity, turned
from fixity.lake import Lake

_ORDER = {event: number for number, event in enumerate(EVENTS)}
_TEXTS = attrgetter(*(each.name for each in fields(Event) if each.name not in ("event", "happened_at")))


@dataclass(frozen=True)
class Incident:
    """An incident now: its objects, its events in order, and its files that cannot be read.

    unknown: whether such a file may have opened something that nobody closed since.
    """

    id: str
    objects: Sequence[IncidentObject]
    events: Sequence[Event]
    unreadable: Sequence[UnreadableEvents]
    unknown: bool

    @property
    def state(self) -> str:
        """open, repaired (it waits for its check), closed or dismissed: the first that any object has."""
        if self.unknown:
            return OPEN
        # Without objects, since their file cannot be read, only a person can have ended it.
        states = {each.state for each in self.objects} or {each.event for each in self.events if each.person}
        return next((state for state in (OPEN, REPAIRED, CLOSED) if state in states), DISMISSED)

    @property
    def is_over(self) -> bool:
        """Whether it is closed or dismissed."""
        return self.state in (CLOSED, DISMISSED)

    @property
    def opened_at(self) -> datetime:
        """When it was opened (UTC)."""
        return min([event.happened_at for event in self.events[:1]] + [file.at for file in self.unreadable])

    @property
    def last_at(self) -> datetime:
        """When its last event was (UTC)."""
        return max([event.happened_at for event in self.events[-1:]] + [file.at for file in self.unreadable])

    @property
    def run_id(self) -> str | None:
        """The run that opened it."""
        return self.events[0].run_id if self.events else None

    @property
    def last_event(self) -> str:
        """The word for its last event."""
        return self.events[-1].event if self.events else "unreadable"

    @property
    def buckets(self) -> list[str]:
        """The buckets whose copies are bad."""
        return sorted({each.bucket for each in self.objects if each.bucket})

    @property
    def pairs(self) -> list[str]:
        """The pairs whose reports found objects of it."""
        return sorted({each.pair for each in self.objects if each.pair})

    @property
    def diagnoses(self) -> dict[str, int]:
        """How many objects have which diagnosis; '' for none. Those that were found right since do not count,
        unless all were.
        """
        left = [each for each in self.objects if each.right_since is None] or self.objects
        return dict(sorted(Counter(each.diagnosis or "" for each in left).items()))

    def concerns(self, bucket: str, pairs: Iterable[str]) -> bool:
        """Whether an object that is not over may be bad in a bucket. Arguments: `pairs` of the bucket."""
        if self.unknown:
            return True
        known = set(pairs)
        return any(
            each.bucket == bucket or (each.bucket is None and each.pair in known)
            for each in self.objects
            if not each.is_over
        )

    def next_at(self, now: datetime) -> datetime:
        """A time for its next event: now, or just after its last one if another clock wrote that."""
        return max(now, self.last_at + timedelta(microseconds=1))


def incidents_now(lake: Lake) -> list[Incident]:
    """All incidents, the oldest first. A lake without any answers with two listings. Raises LakeError."""
    return fold(*read_events(lake))


def held_by(incidents: Iterable[Incident]) -> dict[Identity, IncidentObject]:
    """The newest object of each identity; see `identity`."""
    held: dict[Identity, IncidentObject] = {}
    for each in sorted((each for one in incidents for each in one.objects), key=lambda each: each.opened_at):
        held[each.identity] = each
    return held


def fold(events: Iterable[Event], unreadable: Sequence[UnreadableEvents] = ()) -> list[Incident]:
    """The incidents that events make, the oldest first."""
    held: dict[Identity, IncidentObject] = {}
    of_pairs = defaultdict[tuple[str | None, str], list[IncidentObject]](list)
    objects: dict[str, list[IncidentObject]] = {file.incident_id: [] for file in unreadable}
    of_incident: dict[str, list[Event]] = {file.incident_id: [] for file in unreadable}
    before: Event | None = None
    for event in sorted(events, key=_order):
        if event == before:
            continue
        before = event
        of_incident.setdefault(event.incident_id, []).append(event)
        its_objects = objects.setdefault(event.incident_id, [])
        if event.key is None:
            for each in its_objects:
                each.take(event)
            continue
        found = _held(held, event)
        if (found is None or found.is_over) and event.event == DIAGNOSED and event.pair and event.bucket:
            found = turned(of_pairs[event.pair, event.key], event.bucket, event.version_id) or found
        if event.event == OPENED and (found is None or found.is_over):
            place = (event.bucket, event.key, event.version_id)
            found = IncidentObject(event.incident_id, None, *place, event.happened_at, event.happened_at)
            its_objects.append(found)
        if found is not None:
            was, of_pair = found.identity, found.pair
            found.take(event)
            if was[0] == "bucket" and was != found.identity:  # a diagnosis turned round
                held.pop(was, None)
            held[found.identity] = found
            if found.pair != of_pair:
                of_pairs[found.pair, found.key].append(found)
    made = [
        Incident(name, objects[name], its_events, files, _is_unknown(its_events, files))
        for name, its_events in of_incident.items()
        for files in [[file for file in unreadable if file.incident_id == name]]
        if objects[name] or files  # else another incident holds all its objects
    ]
    return sorted(made, key=lambda each: (each.opened_at, each.id))


def _order(event: Event) -> tuple[datetime, int, str]:
    """The order of events; equal ones, from whichever files, are neighbours."""
    return event.happened_at, _ORDER[event.event], "\0".join([text or "" for text in _TEXTS(event)])


def _held(held: dict[Identity, IncidentObject], event: Event) -> IncidentObject | None:
    """The object that an event is about; also one of a pair of which nobody knew which copy is bad."""
    assert event.key is not None
    found = held.get(identity(event.pair, event.bucket, event.key, event.version_id))
    if found is None and event.bucket and event.pair:
        of_pair = held.get(identity(event.pair, None, event.key, event.version_id))
        return of_pair if of_pair is not None and of_pair.bucket in (None, event.bucket) else None
    return found


def _is_unknown(events: Iterable[Event], files: Sequence[UnreadableEvents]) -> bool:
    """Whether a file that cannot be read may have opened something that no person ended after it."""
    ended = [
        event.happened_at
        for event in events
        if event.key is None and event.person and event.event in (CLOSED, DISMISSED)
    ]
    return any(file.at >= max(ended, default=EPOCH) for file in files)
