"""PREMIS events for copies that a pair's report found to be bad: a fixity check against the other copies.

An event of a check never changes, so what a comparison finds out about it later is an event of its own.
Incidents have it, with the reasons. Where nobody can tell which copy is bad, both have a warning.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.catalog import Pair
from fixity.lake import Lake
from fixity.lake.paths import INCIDENTS
from fixity.reports.premis.deletions import EVENTS, NAMESPACE
from fixity.tables import INCIDENT_EVENTS, OTHER_COPY, TableUnreadable, naming_the_unreadable, this_software

COMPARISON = "comparison"
"""What stands for the evidence of such an event: nothing was read for it."""

_BAD = ("source_damaged", "replica_damaged", "replica_stale", "both_damaged")
_UNKNOWN = "cannot_tell"
_FETCHES = 8  # at a time: a lake on S3 answers each in tens of milliseconds


def comparisons(
    lake: Lake, bucket: str, pairs: Iterable[Pair], exports: Iterable[Path], place: str
) -> pa.Table:
    """The events of bad copies in a bucket that no export has.

    Arguments: `pairs`, those that have the bucket; `exports`, local files; `place`, the beginning of the URI
    of each object. A file of incidents that cannot be read is left out: `incidents` tells it. Raises
    LakeError, TableUnreadable.
    """
    by_name = {pair.name: pair for pair in pairs}
    names = [file.name for file in lake.list(INCIDENTS) if file.name.endswith(".parquet")]
    with lake.workspace() as workspace, ThreadPoolExecutor(_FETCHES) as pool:
        read = [
            row for rows in pool.map(partial(_read, lake, workspace, bucket, by_name), names) for row in rows
        ]
    read.sort(key=lambda row: row["happened_at"])
    opened = {_object(row): row for row in read if row["event"] == "opened"}
    found = [
        _event(row, opened.get(_object(row), {}), bucket, place, by_name.get(row["pair"]))
        for row in read
        if row["event"] == "diagnosed"
        and row["diagnosis"] in (_BAD if row["bucket"] else (_UNKNOWN, "both_damaged"))
    ]
    exported = set(_exported(exports)) if found else set()
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


def _exported(exports: Iterable[Path]) -> Iterator[str]:
    for file in exports:
        with naming_the_unreadable(file):
            ids = pq.read_table(file, columns=["event_id"], filters=[("evidence", "==", COMPARISON)])
        yield from ids.column("event_id").to_pylist()


def _event(
    row: dict[str, Any], opened: dict[str, Any], bucket: str, place: str, pair: Pair | None
) -> dict[str, Any]:
    version, at, diagnosis = row["version_id"], row["happened_at"], row["diagnosis"]
    of = (COMPARISON, bucket, *_object(row), at.isoformat(), diagnosis)
    is_replica = pair is not None and bucket == pair.replica
    sums = (row["found"] or opened.get("found") or "").split(",")  # of a pair, the source's comes first
    algorithm, _, actual = sums[-1 if is_replica else 0].partition(":")
    expected = (row["expected"] or opened.get("expected") or "").removeprefix(f"{algorithm}:")
    because = f": {row['detail']}" if row["detail"] else ""
    if row["bucket"] is None and is_replica and pair is not None and pair.match == "key":
        version = None  # it is the source's
    return {
        "event_id": str(uuid.uuid5(NAMESPACE, "\n".join(map(str, of)))),
        "event_type": "fixity check",
        "event_datetime": at,
        "outcome": "warning" if diagnosis == _UNKNOWN else "fail",
        "outcome_note": f"{diagnosis}{because}; incident {row['incident_id']}",
        "bucket": bucket,
        "key": row["key"],
        "version_id": version,
        "object_uri": place + quote(row["key"]) + (f"?versionId={quote(version, '')}" if version else ""),
        "algorithm": algorithm or None,
        "actual": actual or None,
        "expected": (algorithm and expected) or None,
        "expected_from": OTHER_COPY if algorithm and expected else None,
        "bytes_read": 0,
        "evidence": COMPARISON,
        "run_id": row["run_id"] or "",
        "agent": this_software(),
    }
