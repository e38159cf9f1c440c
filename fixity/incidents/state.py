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

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from operator import attrgetter

from fixity.clock import CLOCKS_DIFFER, EPOCH
from fixity.incidents.events import (
    CLOSED,
    CONFIRMED,
    DIAGNOSED,
    DISMISSED,
    EVENTS,
    OPENED,
    REPAIRED,
    VERIFIED,
    Event,
    UnreadableEvents,
    read_events,
)
from fixity.lake import Lake

OPEN = "open"
"""The state of an object or an incident that nobody repaired, closed or dismissed. The other states are words
of events: `repaired` (it waits for its check), `closed`, `dismissed`."""
_ORDER = {event: number for number, event in enumerate(EVENTS)}
_TEXTS = attrgetter(*(each.name for each in fields(Event) if each.name not in ("event", "happened_at")))

Identity = tuple[str, str, str, str | None]
"""An object of an incident: `bucket` or `pair`, its name, the key, and the version if it has one."""


def identity(pair: str | None, bucket: str | None, key: str, version_id: str | None) -> Identity:
    """The identity of an object in a bucket; or in a pair, if nobody knows which copy is bad."""
    version = None if version_id in ("", "null") else version_id
    return ("bucket", bucket, key, version) if bucket else ("pair", pair or "", key, version)


@dataclass(slots=True)
class IncidentObject:
    """An object of an incident, as the events say.

    since: when it came into its state (UTC). opened_at: when it was found (UTC). confirmed: whether a second
    look confirmed it. found: every wrong checksum that its bytes had, as ALGORITHM:hex; None for missing.
    expected: the right one, if known. rests_on: the reasons of the diagnosis, for people. repaired: whether
    it was repaired since it was last found. right_since: a check found the right bytes at that time (UTC),
    and none has found wrong ones since.
    """

    incident_id: str
    pair: str | None
    bucket: str | None
    key: str
    version_id: str | None
    opened_at: datetime
    since: datetime
    state: str = OPEN
    confirmed: bool = False
    diagnosis: str | None = None
    rests_on: str | None = None
    found: set[str | None] = field(default_factory=set)
    expected: str | None = None
    repaired: bool = False
    right_since: datetime | None = None
    detail: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether it is closed or dismissed."""
        return self.state in (CLOSED, DISMISSED)

    @property
    def is_right(self) -> bool:
        """Whether nothing is left to do: it is over, or was repaired and then found right."""
        return self.is_over or (self.state == REPAIRED and self.right_since is not None)

    @property
    def identity(self) -> Identity:
        """Its identity now; a diagnosis or a repair may have told which bucket's copy is bad."""
        return identity(self.pair, self.bucket, self.key, self.version_id)

    def take(self, event: Event) -> None:
        """Change by an event. One that is over does not change."""
        if self.is_over:
            return
        self.bucket = self.bucket or event.bucket
        self.pair = self.pair or event.pair
        self.expected = event.expected or self.expected
        if event.event == OPENED:
            if self.state != OPEN:
                self.state, self.since = OPEN, event.happened_at
            self.found.add(event.found)
            self.repaired, self.right_since = False, None
            self.detail = event.detail or self.detail
        elif event.event == CONFIRMED:
            self.confirmed = True
        elif event.event == DIAGNOSED:
            self.diagnosis, self.rests_on = event.diagnosis, event.detail
        elif event.event == REPAIRED:
            self.state, self.since = REPAIRED, event.happened_at
            self.repaired, self.right_since = True, None
        elif event.event == VERIFIED:
            self.right_since = self.right_since or event.happened_at
        elif event.event in (CLOSED, DISMISSED) and (
            event.person or (event.event == CLOSED and self.state == REPAIRED and self.right_since)
        ):
            self.state, self.since = event.event, event.happened_at

    def accepts(self, found: str | None, seen_at: datetime, now: datetime) -> bool:
        """Whether its state already covers damage, so that this is no news.

        Arguments: `found`, as in the class; `seen_at`, when it was last seen (UTC).

        Dismissed: what was found is accepted, other bytes are not. Closed or repaired: damage that was last
        seen before is not new. The bad version under a repaired one stays as it is, and is no news either.
        """
        if self.state == DISMISSED:
            return found in self.found
        if self.state == OPEN:
            return found in self.found and (self.right_since is None or seen_at <= self.right_since)
        since = self.since if self.since <= now + CLOCKS_DIFFER else EPOCH  # written by a wrong clock
        is_version = self.identity[3] is not None and found is not None
        return seen_at <= since or (is_version and self.repaired and found in self.found)

    def event(self, kind: str, at: datetime, **more: str | None) -> Event:
        """An event about it. Arguments: `more`, the other fields of the event."""
        known = {"pair": self.pair, "bucket": self.bucket, "key": self.key, "version_id": self.version_id}
        return Event(self.incident_id, kind, at, **(known | more))


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
        """How many objects have which diagnosis; '' for none."""
        return dict(sorted(Counter(each.diagnosis or "" for each in self.objects).items()))

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
    """All incidents, the oldest first. A lake without any answers with one listing. Raises LakeError."""
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
        if event.event == OPENED and (found is None or found.is_over):
            found = IncidentObject(
                event.incident_id,
                event.pair,
                event.bucket,
                event.key,
                event.version_id,
                event.happened_at,
                event.happened_at,
            )
            its_objects.append(found)
        if found is not None:
            found.take(event)
            held[found.identity] = found
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
