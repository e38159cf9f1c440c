"""One object of an incident: what the events say about it. Which incident it is in is said in `state`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from fixity.clock import CLOCKS_DIFFER, EPOCH
from fixity.incidents.events import CLOSED, CONFIRMED, DIAGNOSED, DISMISSED, OPENED, REPAIRED, VERIFIED, Event

OPEN = "open"
"""The state of an object or an incident that nobody repaired, closed or dismissed. The other states are words
of events: `repaired` (it waits for its check), `closed`, `dismissed`."""

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
    and none has found wrong ones since; right_by: what these were compared with, for people.
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
    right_by: str | None = None
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
            if event.bucket not in (None, self.bucket):
                self._turn(event)
        elif event.event == REPAIRED:
            self.state, self.since = REPAIRED, event.happened_at
            self.repaired, self.right_since = True, None
        elif event.event == VERIFIED:
            if self.right_since is None:
                self.right_since, self.right_by = event.happened_at, event.detail
        elif event.event in (CLOSED, DISMISSED) and (
            event.person or (event.event == CLOSED and self.state == REPAIRED and self.right_since)
        ):
            self.state, self.since = event.event, event.happened_at

    def _turn(self, event: Event) -> None:
        """Become the other bucket's copy, of which a new diagnosis says that it is the bad one."""
        self.bucket, self.version_id = event.bucket, event.version_id
        self.found, self.expected = {event.found}, event.expected
        self.repaired, self.right_since = False, None
        if self.state != OPEN:
            self.state, self.since = OPEN, event.happened_at

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


def turned(objects: Iterable[IncidentObject], bucket: str, version_id: str | None) -> IncidentObject | None:
    """The object of which a pair's diagnosis said until now that the other bucket's copy is bad.

    Arguments: `objects`, those of the pair with one key; `bucket` and `version_id`, the copy that is bad now.
    None where several may be meant.
    """
    diagnosed = [
        each for each in objects if not each.is_over and each.diagnosis and each.bucket not in (None, bucket)
    ]
    wanted = identity(None, bucket, "", version_id)
    same = [each for each in diagnosed if identity(None, bucket, "", each.version_id) == wanted]
    found = same or diagnosed
    return found[0] if len(found) == 1 else None
