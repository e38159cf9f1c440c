"""How many objects a table of checks could not read, and why; and which reads could not be trusted.

What the bytes are worth does not belong here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fixity import compute as pc
from fixity.buckets.base import CHANGED, DELETED
from fixity.lake import Lake
from fixity.lake.database import open_database
from fixity.lake.row_groups import read_group
from fixity.ledger.judge import COMPOSITE_CHECKSUM, UNSTABLE_READ
from fixity.ledger.snapshot import Snapshot
from fixity.ledger.views import view_now
from fixity.tables import CHECKSUMS, FAILED, SKIPPED, SUCCEEDED

EMPTIED = "EmptiedSinceListed"
"""The reason of objects that are no longer listed, where no object is, and nobody confirmed that."""

UNREAD_BEFORE = "could not be read before"
"""The reason of objects that an earlier run could not read, and that nobody has read since."""

NEVER = "NeverChecked"
"""The reason of objects that were listed and that nobody has checked yet."""

OF_FAILED_SHARDS = "not reached, because a part of the batch failed"
"""The reason of objects of a batch that stay due, because reading one of its shards ended in an error."""

_FAILED_NOW = """
    SELECT count(*) FROM now
    WHERE listed AND status = $failed AND NOT (failures = 0 AND verified_at IS NOT NULL)
"""
_UNREAD_NOW = Path(__file__).with_name("unread_now.sql")
UNSTABLE_COLUMNS = ("key", "version_id", "status", "error_message")
"""What is shown of objects whose two reads gave different bytes."""
_SHOWN = pa.schema(map(CHECKSUMS.field, UNSTABLE_COLUMNS))
_WHY = pa.schema(map(CHECKSUMS.field, ("status", "error_code")))


def nothing_there(place: str, bucket: str) -> str:
    """That a bucket lists no object, which nobody has called right, for people."""
    return (
        f"nothing is there: no object is listed in {place}. Look at `bucket` (or `path`) and `prefix` in the "
        f"catalog; if this is right, confirm it: fixity due {bucket} --confirm-empty"
    )


def unread(table: Path) -> dict[str, int]:
    """How many objects could not be read, by reason."""
    return dict(sorted(_by_reason(table)[FAILED].items()))


def passed_over(table: Path) -> dict[str, int]:
    """How many objects were there and were not read, or not compared, although nothing failed, by reason."""
    found = _by_reason(table)
    skipped = dict(sorted(found[SKIPPED].items()))
    skipped.pop(DELETED, None)  # there was nothing to read
    composite = found[SUCCEEDED][COMPOSITE_CHECKSUM]
    return skipped | ({COMPOSITE_CHECKSUM: composite} if composite else {})


def all_unread(table: Path) -> dict[str, int]:
    """How many could not be read, with the objects that were skipped if not one object was read.

    Objects that are no longer as they were listed do not count: there was nothing to read.
    """
    by_reason = _by_reason(table)
    found, skipped = (dict(sorted(by_reason[status].items())) for status in (FAILED, SKIPPED))
    if by_reason.keys() - {FAILED, SKIPPED}:
        return found
    return found | {reason: count for reason, count in skipped.items() if reason not in (CHANGED, DELETED)}


class UnreadNow(NamedTuple):
    """What of the listed objects is not read, by the newest check of each.

    failed: those that could not be read. passed_over: those that were there and were not read, by reason;
    where nothing was ever read, those could not be read either. never: those that nobody has checked.
    """

    failed: int
    passed_over: dict[str, int]
    never: int


def unread_now(lake: Lake, snapshot: Snapshot) -> UnreadNow:
    """What of the listed objects is not read, by all rows of a snapshot. Raises LakeError."""
    with lake.workspace() as workspace, open_database(workspace) as database:
        view_now(database, lake, snapshot, "objects", workspace)
        rows = database.execute(_UNREAD_NOW.read_text(encoding="utf-8"), {"never": NEVER}).fetchall()
    not_read = {reason: count for kind, reason, count in rows if kind == "not_read"}
    not_read.pop(DELETED, None)  # there was nothing to read
    failed = sum(count for kind, _, count in rows if kind == "failed")
    never = not_read.get(NEVER, 0)
    if any(kind == "read" for kind, _, _ in rows):
        return UnreadNow(failed, not_read, never)
    return UnreadNow(failed + sum(not_read.values()), {}, never)


def failed_now(lake: Lake, snapshot: Snapshot) -> int:
    """How many listed objects could not be read when they were last checked. Raises LakeError.

    Only the rows of such objects are read, and those that have changed since the snapshot was folded.
    """
    with lake.workspace() as workspace, open_database(workspace) as database:
        view_now(database, lake, snapshot, "unread", workspace)
        (count,) = database.execute(_FAILED_NOW, {"failed": FAILED}).fetchall()[0]
    return int(count)


def was_all_checked(lake: Lake, snapshot: Snapshot) -> bool:
    """Whether each listed object has a check, by a snapshot that has all there is.

    Its rows are read only where the checks since it was folded may be of all that had none. Raises LakeError.
    """
    if not snapshot.objects or snapshot.never == 0:
        return bool(snapshot.objects)
    changed = sum(each.rows for each in snapshot.since(lake))
    if snapshot.never > changed:
        return False
    return unread_now(lake, snapshot).never == 0


def unstable(table: Path) -> pa.Table:
    """The objects whose two reads gave different bytes: UNSTABLE_COLUMNS."""
    found = [_SHOWN.empty_table()]
    with pq.ParquetFile(table) as file:
        for group in range(file.num_row_groups):
            which = pc.equal(read_group(file, group, _WHY)["error_code"], UNSTABLE_READ)
            if pc.any(which).as_py():
                found.append(read_group(file, group, _SHOWN).filter(which))
    return pa.concat_tables(found)


def _by_reason(table: Path) -> defaultdict[str, Counter[str]]:
    """How many objects of each status a table has, by reason. Of most, the footer says it."""
    found = defaultdict[str, Counter[str]](Counter)
    with pq.ParquetFile(table) as file:
        for group in range(file.num_row_groups):
            rows = read_group(file, group, _WHY)
            for status in rows["status"].unique().to_pylist():
                reasons = rows["error_code"].filter(pc.equal(rows["status"], status)).value_counts()
                for each in reasons.to_pylist():
                    found[status][each["values"] or "unknown"] += each["counts"]
    return found
