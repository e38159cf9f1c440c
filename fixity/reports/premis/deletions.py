"""PREMIS events for objects that vanished: a `deletion` that was observed, one for each object.

Which objects vanished is in `fixity.ledger.lost`; events of checks are in `events.sql`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from fixity.catalog import Bucket
from fixity.lake import Lake
from fixity.ledger.lost import lost_now
from fixity.ledger.snapshot import Snapshot
from fixity.reports.premis.columns import DELETION, EVENTS, event_id, exported_ids, uri
from fixity.tables import this_software


def deletions(
    lake: Lake, bucket: Bucket, snapshot: Snapshot, exports: Iterable[Path], place: str
) -> pa.Table:
    """The events of lost objects that no export has.

    Arguments: `exports`, local files; `place`, the beginning of the URI of each object. Raises LakeError,
    TableUnreadable.
    """
    lost = lost_now(lake, bucket, snapshot).to_pylist()
    exported = set(exported_ids(exports, "event_type", [DELETION])) if lost else set()
    events = [_event(row, bucket.name, snapshot, place) for row in lost]
    new = [event for event in events if event["event_id"] not in exported]
    return pa.Table.from_pylist(new, EVENTS)


def _event(row: dict[str, Any], bucket: str, snapshot: Snapshot, place: str) -> dict[str, Any]:
    version = row["version_id"]
    of = (DELETION, bucket, row["key"], version or "", row["etag"] or "", row["size"], row["last_modified"])
    seen, right = (
        f"{row[name]:%Y-%m-%dT%H:%M:%SZ}" if row[name] else "never" for name in ("last_seen", "good_at")
    )
    damaged = "; it was known to be damaged" if row["damaged_at"] else ""
    same = ("key", "version_id", "etag", "size")
    return {
        **{name: row[name] for name in same},
        "event_id": event_id(*of),
        "event_type": DELETION,
        # A listing did not have it; or the read of a listed object found that it was deleted.
        "event_datetime": row["checked_at"] if row["listed"] else snapshot.provenance.listed_at,
        "outcome": "warning",
        "outcome_note": f"the object is gone: last seen {seen}, last right {right}{damaged}",
        "bucket": bucket,
        "object_uri": uri(place, row["key"], version),
        "algorithm": row["baseline_algorithm"],
        "expected": row["baseline"],
        "expected_from": row["baseline_from"],
        "expected_at": row["baseline_at"],
        "bytes_read": 0,
        "run_id": snapshot.inventory_run_id,
        "agent": this_software(),
    }
