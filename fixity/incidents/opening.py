"""Opens incidents: for damage that checks of a bucket find, and for confirmed rows of a pair's report.

All that a run finds for the first time is one incident, named after the run. What an incident has already is
not opened again; what is newly known of it (a second look, a diagnosis, other wrong bytes) is added to it.
Objects that could not be read are not damaged and open nothing, nor do objects that changed meanwhile. Which
damage a state covers is in `state`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import pyarrow as pa

from fixity import compute as pc
from fixity.catalog import Pair
from fixity.clock import utc_now
from fixity.incidents.events import CONFIRMED, DIAGNOSED, OPENED, Event, append
from fixity.incidents.incident_object import Identity, IncidentObject, identity, turned
from fixity.incidents.state import held_by, incidents_now
from fixity.lake import Lake
from fixity.ledger.damage import Damage
from fixity.words import when_right

_WRONG = ("mismatch", "missing_source", "missing_replica")
"""The statuses of a report's rows that open an incident."""
_OF_SUSPECT = (
    "key",
    "version_id",
    "status",
    "checksum_algorithm",
    "checksum_source",
    "checksum_replication",
    *(f"{side}_{name}" for side in ("source", "replica") for name in ("version_id", "checked_at")),
)
_OfPair = tuple[str | None, str]
"""A pair and a key."""
_OF_FINDING = ("looked", "note", "diagnosis", "diagnosis_rests_on", "damaged")


@dataclass(frozen=True)
class _Found:
    """An object that a run found wrong.

    names: under which it may be known, its own identity first. The other fields are those of events;
    `seen_at`, when it was last seen so (UTC); `looked`, whether a second look confirmed it. turns: whether
    it may be the object of which the pair's diagnosis said that the other bucket's copy is bad: by the key
    alone, or only with the same version.
    """

    names: Sequence[Identity]
    pair: str | None
    bucket: str | None
    key: str
    version_id: str | None
    found: str | None
    expected: str | None
    seen_at: datetime
    looked: bool
    diagnosis: str | None
    rests_on: str | None
    detail: str | None
    turns: Literal["key", "version"] | None = None


def incident_id(run_id: str, at: datetime) -> str:
    """The name of the incident that a run opens at a time (UTC): short, to be typed by people."""
    return f"{at:%Y%m%d}-{''.join(filter(str.isalnum, run_id))[:8].lower()}"


def record_damage(
    lake: Lake,
    bucket: str,
    damaged: Sequence[Damage],
    run_id: str,
    pairs: Iterable[str] = (),
    now: Callable[[], datetime] = utc_now,
) -> None:
    """Open an incident for those damaged objects of a bucket that are in none, and add what is new to others.

    Arguments: `pairs`, those that have the bucket. Raises LakeError.
    """
    known = list(pairs)
    _record(lake, [_of_damage(bucket, each, known) for each in damaged], run_id, now())


def record_findings(
    lake: Lake,
    pair: Pair,
    suspects: pa.Table,
    findings: pa.Table,
    run_id: str,
    now: Callable[[], datetime] = utc_now,
) -> None:
    """The same for the rows of a pair's report that differ or are missing. Raises LakeError.

    Arguments: `suspects` and `findings`, as in PairReport; nothing is recorded of rows without findings.
    """
    if not findings.num_rows:
        return
    moment = now()
    known = pa.table([findings[name] for name in _OF_FINDING], list(_OF_FINDING))
    for name in _OF_SUSPECT:
        known = known.append_column(name, suspects[name])
    rows = known.filter(pc.is_in(known["status"], pa.array(_WRONG))).to_pylist()
    found = [
        each for row in rows if row["diagnosis"] != "changed_meanwhile" for each in _of_row(pair, row, moment)
    ]
    _record(lake, found, run_id, moment)


def _of_damage(bucket: str, damage: Damage, pairs: Sequence[str]) -> _Found:
    key, version = damage.key, damage.version_id
    last = when_right(damage.good_at and _time(damage.good_at))
    return _Found(
        [identity(None, bucket, key, version), *(identity(pair, None, key, version) for pair in pairs)],
        None,
        bucket,
        key,
        version,
        f"{damage.algorithm}:{damage.actual}",
        f"{damage.algorithm}:{damage.expected}",
        damage.found_at,
        damage.reads >= 2,
        None,
        None,
        f"{last}, wrong since {_time(damage.damaged_at)}",
    )


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _of_row(pair: Pair, row: Mapping[str, Any], now: datetime) -> Iterator[_Found]:
    """What a row says of each bad copy; of the pair, if nobody knows which one is bad."""
    status, key = row["status"], row["key"]
    sides = {pair.source: "source", pair.replica: "replica"}
    missing = {"missing_source": pair.source, "missing_replica": pair.replica}.get(status)
    damaged = [missing] if missing else list(row["damaged"] or ())
    sums = {pair.source: row["checksum_source"], pair.replica: row["checksum_replication"]}
    texts = {
        bucket: f"{row['checksum_algorithm']}:{checksum}" for bucket, checksum in sums.items() if checksum
    }
    versions = {bucket: row[f"{side}_version_id"] for bucket, side in sides.items()}
    seen = [row[f"{side}_checked_at"] for side in sides.values() if row[f"{side}_checked_at"]]
    for number, bad in enumerate(damaged or [None]):
        version = row["version_id"] if missing or bad is None else versions[bad]
        names = [identity(pair.name, bad, key, version)]
        names += [identity(None, bucket, key, versions[bucket]) for bucket in sides if bad in (None, bucket)]
        if not number:  # one copy takes over what was known before anybody knew which one is bad
            names.append(identity(pair.name, None, key, row["version_id"]))
        expected = [text for bucket, text in texts.items() if bad not in (None, bucket)]
        yield _Found(
            names,
            pair.name,
            bad,
            key,
            version,
            ",".join(text for bucket, text in texts.items() if bad in (None, bucket)) or None,
            expected[0] if expected and len(damaged) == 1 else None,
            now if missing else max(seen, default=now),
            bool(row["looked"]),
            row["diagnosis"],
            row["diagnosis_rests_on"],
            "; ".join(filter(None, (status, row["note"]))),
            pair.match if len(damaged) == 1 and not missing else None,
        )


def _record(lake: Lake, found: Sequence[_Found], run_id: str, now: datetime) -> None:
    if not found:
        return
    incidents = incidents_now(lake)
    held, by_id = held_by(incidents), {each.id: each for each in incidents}
    of_pairs = defaultdict[_OfPair, list[IncidentObject]](list)
    for it in (it for incident in incidents for it in incident.objects):
        of_pairs[it.pair, it.key].append(it)
    new = incident_id(run_id, now)
    events: list[Event] = []
    for each in found:
        known = next((held[name] for name in each.names if name in held), None)
        if known is None or known.is_over:
            if known is not None and known.accepts(each.found, each.seen_at, now):
                continue
            known = _turned(each, of_pairs)
        incident = by_id.get(known.incident_id if known else new)
        at = incident.next_at(now) if incident else now
        known = known or IncidentObject(new, each.pair, each.bucket, each.key, each.version_id, at, at)
        events += _news(each, known, at, now, run_id)
    append(lake, events)


def _turned(found: _Found, of_pairs: Mapping[_OfPair, list[IncidentObject]]) -> IncidentObject | None:
    """The object whose diagnosis turns round by what was found."""
    if not (found.turns and found.bucket):
        return None
    objects = of_pairs.get((found.pair, found.key), [])
    if found.turns == "version":
        objects = [each for each in objects if each.version_id == found.version_id]
    return turned(objects, found.bucket, found.version_id)


def _news(found: _Found, known: IncidentObject, at: datetime, now: datetime, run_id: str) -> Iterator[Event]:
    """The events of what is not known of an object yet."""
    if known.bucket and found.bucket not in (None, known.bucket):
        more = {"bucket": found.bucket, "version_id": found.version_id, "run_id": run_id}
        sums = {"found": found.found, "expected": found.expected}
        diagnosed = {"diagnosis": found.diagnosis, "detail": found.rests_on}
        yield known.event(DIAGNOSED, at, **more, **sums, **diagnosed)
        return
    same = {"run_id": run_id, "pair": known.pair or found.pair, "bucket": known.bucket or found.bucket}
    if not known.accepts(found.found, found.seen_at, now):
        expected = found.expected or known.expected
        yield known.event(OPENED, at, **same, found=found.found, expected=expected, detail=found.detail)
    if found.looked and not known.confirmed:
        yield known.event(CONFIRMED, at, **same)
    if found.diagnosis and found.diagnosis != known.diagnosis:
        yield known.event(DIAGNOSED, at, **same, diagnosis=found.diagnosis, detail=found.rests_on)
