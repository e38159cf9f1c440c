"""PREMIS events of what incidents tell: copies that were found bad, and copies that were repaired.

An event of a check never changes, so what a comparison finds out about it later is an event of its own: a
fixity check against the other copies. Incidents have it, with the reasons. Where nobody can tell which copy
is bad, both have a warning. A repair is a `recovery`; whether the new copy is right, the check after it says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.catalog import Pair
from fixity.lake import Lake
from fixity.lake.paths import INCIDENTS
from fixity.reports.premis.columns import EVENTS, FIXITY_CHECK, RECOVERY, event_id, exported_ids, uri
from fixity.tables import INCIDENT_EVENTS, OTHER_COPY, TableUnreadable, this_software

COMPARISON, REPAIR = "comparison", "repair"
"""What stands for the evidence of such an event: nothing was read for it."""

_BAD = ("source_damaged", "replica_damaged", "replica_stale", "both_damaged")
_UNKNOWN = "cannot_tell"


def of_incidents(
    lake: Lake, bucket: str, pairs: Iterable[Pair], exports: Iterable[Path], places: Mapping[str, str]
) -> pa.Table:
    """The events of bad and of repaired copies in a bucket that no export has.

    Arguments: `pairs`, those that have the bucket; `exports`, local files; `places`, the beginning of the URI
    of each object, by bucket. A file of incidents that cannot be read is left out: `incidents` tells it.
    Raises LakeError, TableUnreadable.
    """
    by_name = {pair.name: pair for pair in pairs}
    names = [file.name for file in lake.list(INCIDENTS) if file.name.endswith(".parquet")]
    with lake.workspace() as workspace, ThreadPoolExecutor(lake.at_once) as pool:
        read = [
            row for rows in pool.map(partial(_read, lake, workspace, bucket, by_name), names) for row in rows
        ]
    read.sort(key=lambda row: row["happened_at"])
    opened = {_object(row): row for row in read if row["event"] == "opened"}
    found = []
    for row in read:
        pair = by_name.get(row["pair"])
        if row["event"] == "diagnosed":
            if row["diagnosis"] in (_BAD if row["bucket"] else (_UNKNOWN, "both_damaged")):
                found.append(_bad_copy(row, opened.get(_object(row), {}), bucket, places[bucket], pair))
        elif row["event"] == "repaired" and row["bucket"] == bucket:
            found.append(_repaired(row, pair, places))
    exported = set(exported_ids(exports, "evidence", (COMPARISON, REPAIR))) if found else set()
    return pa.Table.from_pylist([each for each in found if each["event_id"] not in exported], EVENTS)


def _read(
    lake: Lake, workspace: Path, bucket: str, pairs: Mapping[str, Pair], name: str
) -> list[dict[str, Any]]:
    """The events about objects of a bucket in a file, or about those of its pairs, if nobody knows which copy
    is bad.
    """
    try:
        table = pq.read_table(lake.fetch(name, workspace), columns=INCIDENT_EVENTS.names)
    except (pa.ArrowException, OSError, TableUnreadable):
        return []
    return [
        row
        for row in table.to_pylist()
        if row["key"] is not None
        and (row["bucket"] == bucket or (row["bucket"] is None and row["pair"] in pairs))
    ]


def _object(row: dict[str, Any]) -> tuple[str, str, str | None]:
    return row["incident_id"], row["key"], row["version_id"]


def _bad_copy(
    row: dict[str, Any], opened: dict[str, Any], bucket: str, place: str, pair: Pair | None
) -> dict[str, Any]:
    version, diagnosis = row["version_id"], row["diagnosis"]
    is_replica = pair is not None and bucket == pair.replica
    sums = (row["found"] or opened.get("found") or "").split(",")  # of a pair, the source's comes first
    algorithm, _, actual = sums[-1 if is_replica else 0].partition(":")
    expected = (row["expected"] or opened.get("expected") or "").removeprefix(f"{algorithm}:")
    because = f": {row['detail']}" if row["detail"] else ""
    if row["bucket"] is None and is_replica and pair is not None and pair.match == "key":
        version = None  # it is the source's
    return {
        **_of_both(row, bucket),
        "event_id": event_id(COMPARISON, bucket, *_object(row), row["happened_at"].isoformat(), diagnosis),
        "event_type": FIXITY_CHECK,
        "outcome": "warning" if diagnosis == _UNKNOWN else "fail",
        "outcome_note": f"{diagnosis}{because}; incident {row['incident_id']}",
        "version_id": version,
        "object_uri": uri(place, row["key"], version),
        "algorithm": algorithm or None,
        "actual": actual or None,
        "expected": (algorithm and expected) or None,
        "expected_from": OTHER_COPY if algorithm and expected else None,
        "evidence": COMPARISON,
    }


def _repaired(row: dict[str, Any], pair: Pair | None, places: Mapping[str, str]) -> dict[str, Any]:
    """The event of a repair. The incident knows the version of the bad copy, so none is named."""
    bucket, key = row["bucket"], row["key"]
    good = next((each for each in (pair.source, pair.replica) if each != bucket), None) if pair else None
    algorithm, _, expected = (row["expected"] or "").partition(":")
    asked = f"asked for by {row['person']}" if row["person"] else None
    notes = (row["detail"], f"incident {row['incident_id']}", asked)
    return {
        **_of_both(row, bucket),
        "event_id": event_id(REPAIR, bucket, *_object(row), row["happened_at"].isoformat()),
        "event_type": RECOVERY,
        "outcome": "success",
        "outcome_note": "; ".join(filter(None, notes)),
        "version_id": None,
        "object_uri": uri(places[bucket], key, None),
        "source_uri": uri(places[good], key, None) if good and good in places else None,
        "algorithm": (expected and algorithm) or None,
        "expected": expected or None,
        "expected_from": OTHER_COPY if expected else None,
        "evidence": REPAIR,
    }


def _of_both(row: dict[str, Any], bucket: str) -> dict[str, Any]:
    """What an event has from that of the incident, of whichever kind."""
    return {
        "event_datetime": row["happened_at"],
        "bucket": bucket,
        "key": row["key"],
        "bytes_read": 0,
        "run_id": row["run_id"] or "",
        "agent": this_software(),
    }
