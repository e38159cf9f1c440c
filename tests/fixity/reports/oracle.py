"""What the report should say, worked out one object at a time with dictionaries.

Written from the contract, not from the SQL: no joins, no ranges, no sort but Python's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from fixity.reports import Counts
from tests.fixity.reports.rows import LAG, LISTED, Row


def expected_rows(source: list[Row], replica: list[Row], match: str) -> list[dict[str, str]]:
    """The report's rows without `bucket` and `detail`, as texts, in order."""
    sides = [_objects(rows, match) for rows in (source, replica)]
    lines = []
    for identity in sides[0].keys() | sides[1].keys():
        ours, theirs = (side.get(identity) for side in sides)
        first = ours or theirs
        assert first is not None
        shown = {
            "key": first["key"],
            "version_id": first["version_id"],
            "status": _status(ours, theirs, match),
            "checksum_algorithm": first["algorithm"],
        }
        for column, name in (("checksum", "checksum"), ("size", "size"), ("etag", "etag")):
            shown[f"{name}_source"] = ours and ours[column]
            shown[f"{name}_replication"] = theirs and theirs[column]
        shown["checked_source"] = ours and _iso(ours["checked_at"])
        shown["checked_replication"] = theirs and _iso(theirs["checked_at"])
        lines.append(shown)
    lines.sort(key=lambda line: (line["key"].encode(), line["version_id"] or ""))
    return [{name: "" if value is None else str(value) for name, value in line.items()} for line in lines]


def expected_counts(source: list[Row], replica: list[Row], match: str) -> Counts:
    """The figures of the same report."""
    ours, theirs = _objects(source, match).values(), _objects(replica, match).values()
    found = Counter(line["status"] for line in expected_rows(source, replica, match))
    return Counts(
        total_objects=len(ours),
        matches=found["ok"],
        mismatches=found["mismatch"],
        missing_replica=found["missing_replica"],
        missing_source=found["missing_source"],
        failed_source=_failed(ours),
        failed_replication=_failed(theirs),
        incomparable=found["incomparable"],
        not_checked=found["not_checked"],
        pending=found["pending"],
        rows=found.total(),
    )


def _failed(rows: Iterable[Row]) -> int:
    return sum(row["status"] == "failed" for row in rows)


def _objects(rows: list[Row], match: str) -> dict[Any, Row]:
    if match == "key":
        return {row["key"]: row for row in rows if row["is_latest"]}
    return {
        (row["key"], {None: "", "null": ""}.get(row["version_id"], row["version_id"])): row for row in rows
    }


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _newer_than(row: Row, moment: datetime) -> bool:
    return row["last_modified"] is not None and row["last_modified"] > moment


def _status(ours: Row | None, theirs: Row | None, match: str) -> str:
    if ours is None or theirs is None:
        there = ours or theirs
        assert there is not None
        if there["status"] == "skipped" and there["error_code"] in (
            "DeletedSinceListed",
            "ChangedSinceListed",
        ):
            return "not_checked"
        if _newer_than(there, LISTED - LAG):
            return "pending"
        return "missing_replica" if theirs is None else "missing_source"
    if ours["status"] == "failed":
        return "failed_source"
    if theirs["status"] == "failed":
        return "failed_replication"
    if "skipped" in (ours["status"], theirs["status"]):
        return "not_checked"
    if not _comparable(ours, theirs):
        return "incomparable"
    if ours["checksum"] == theirs["checksum"]:
        return "ok"
    if ours["checksum_type"] == "COMPOSITE":
        return "incomparable"
    if match == "key" and (_newer_than(ours, LISTED - LAG) or _newer_than(theirs, LISTED)):
        return "pending"
    return "mismatch"


def _comparable(ours: Row, theirs: Row) -> bool:
    return (
        ours["algorithm"] == theirs["algorithm"]
        and ours["checksum_type"] == theirs["checksum_type"]
        and None not in (ours["checksum"], theirs["checksum"])
        and "stored" not in (ours["evidence"], theirs["evidence"])
    )
