"""The append-only table of incidents' events, as files `incidents/<id>/<time>-<event>-<uuid>.parquet`.

Each file is put once, with its proof, and is never changed. A file that cannot be read or proved is named,
and all others still count. What the events say about an incident now is in `state`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.clock import EPOCH, utc_now
from fixity.lake import Lake
from fixity.lake.base import LakeFile
from fixity.lake.paths import INCIDENTS, incident_file, records_folder
from fixity.lake.proof import BEING_PUT
from fixity.tables import INCIDENT_EVENTS, TableUnreadable

OPENED, CONFIRMED, DIAGNOSED = "opened", "confirmed", "diagnosed"
REPAIR_ASKED, REPAIRED, VERIFIED = "repair_asked", "repaired", "verified"
CLOSED, DISMISSED = "closed", "dismissed"
EVENTS = (OPENED, CONFIRMED, DIAGNOSED, REPAIR_ASKED, REPAIRED, VERIFIED, CLOSED, DISMISSED)
"""The words for events, in the order in which they count if their times are equal."""

_ROWS = 10_000  # turned into events at a time
_TIME = "%Y%m%dT%H%M%S%fZ"


@dataclass(frozen=True, slots=True)
class Event:
    """One event of an incident; the fields are the columns of INCIDENT_EVENTS.

    Without a `key` it is about all objects that the incident has at that time.
    """

    incident_id: str
    event: str
    happened_at: datetime
    run_id: str | None = None
    person: str | None = None
    pair: str | None = None
    bucket: str | None = None
    key: str | None = None
    version_id: str | None = None
    diagnosis: str | None = None
    found: str | None = None
    expected: str | None = None
    detail: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class UnreadableEvents:
    """A file of events that cannot be read: its name, its incident, the time in its name (UTC), and why."""

    name: str
    incident_id: str
    at: datetime
    why: str


def append(lake: Lake, events: Iterable[Event]) -> None:
    """Append events: one new file for each incident. Raises LakeError."""
    by_incident = defaultdict[str, list[Event]](list)
    for event in events:
        by_incident[event.incident_id].append(event)
    with lake.workspace() as workspace:
        for incident_id, of_it in by_incident.items():
            first = min(of_it, key=lambda event: (event.happened_at, EVENTS.index(event.event)))
            name = f"{first.happened_at.astimezone(UTC).strftime(_TIME)}-{first.event}-{uuid4().hex}"
            file = workspace / name
            columns = {name: [getattr(each, name) for each in of_it] for name in INCIDENT_EVENTS.names}
            pq.write_table(pa.table(columns, INCIDENT_EVENTS), file, compression="zstd")
            lake.put(incident_file(incident_id, name), file)


def read_events(
    lake: Lake, now: Callable[[], datetime] = utc_now
) -> tuple[list[Event], list[UnreadableEvents]]:
    """All events, in no order, and the files that cannot be read. Raises LakeError."""
    recorded = lake.list(records_folder(INCIDENTS))  # before the files: a run may put one at any time
    names = [file.name for file in lake.list(INCIDENTS)]
    lost = _lost(recorded, set(names), now())
    if not names:
        return [], lost
    with lake.workspace() as workspace, ThreadPoolExecutor(lake.at_once) as pool:
        read = list(pool.map(lambda name: _read(lake, name, workspace), names))
    events = [event for each in read if not isinstance(each, UnreadableEvents) for event in each]
    return events, [*(each for each in read if isinstance(each, UnreadableEvents)), *lost]


def _lost(recorded: Iterable[LakeFile], there: set[str], now: datetime) -> list[UnreadableEvents]:
    """The files of which only the record is left. A record is put before its file, so a new one may wait."""
    names = {
        file.name.removeprefix(records_folder("")).removesuffix(".json")
        for file in recorded
        if file.name.endswith(".parquet.json") and file.appeared < now - BEING_PUT
    }
    why = "is gone, and only its record is left"
    return [
        UnreadableEvents(name, PurePosixPath(name).parts[1], _time_in(name), why)
        for name in sorted(names - there)
    ]


def _read(lake: Lake, name: str, workspace: Path) -> list[Event] | UnreadableEvents:
    incident_id = PurePosixPath(name).parts[1]
    path = Path(lake.location(name))
    try:
        path = lake.fetch(name, workspace)
        with pq.ParquetFile(path) as table:
            there = table.schema_arrow.names
            events: list[Event] = []
            for batch in table.iter_batches(batch_size=_ROWS):
                columns = [
                    batch.column(name).to_pylist() if name in there else [None] * batch.num_rows
                    for name in INCIDENT_EVENTS.names
                ]
                events += map(Event, *columns)
        for event in events:
            if (
                event.incident_id != incident_id
                or event.event not in EVENTS
                or event.happened_at.tzinfo is None
            ):
                raise ValueError(
                    f"it has the event '{event.event}' of '{event.incident_id}' at {event.happened_at}"
                )
    except (pa.ArrowException, OSError, TableUnreadable, ValueError, TypeError, AttributeError) as error:
        fault = error.fault if isinstance(error, TableUnreadable) else str(error)
        why = fault.replace(str(path), "it").replace(lake.location(name), "it")
        return UnreadableEvents(name, incident_id, _time_in(name), why)
    return events


def _time_in(name: str) -> datetime:
    """The time in a file's name; long ago if it has none."""
    try:
        return datetime.strptime(PurePosixPath(name).name.partition("-")[0], _TIME).replace(tzinfo=UTC)
    except ValueError:
        return EPOCH
