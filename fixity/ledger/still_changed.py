"""Objects whose COMPOSITE checksum has changed: a first checksum of another type proves nothing of them.

Nothing compares a COMPOSITE checksum with one of the whole object. So where one changed though nobody wrote
the object, the next checksum of the whole object is of bytes that may be the wrong ones. It is not registered
as right: the check stays failed until the bytes are compared with a record, or the object is written anew.
How the change is found does not belong here; that is in `fixity.engines.s3_batch.composites`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fixity import compute as pc
from fixity.buckets.base import CHANGED, DELETED
from fixity.lake import Lake
from fixity.lake.database import open_database
from fixity.ledger.align import CONTENT
from fixity.ledger.judge import COMPOSITE_CHANGED
from fixity.ledger.snapshot import in_force
from fixity.ledger.views import reading_of, view_now
from fixity.tables import CHECKSUMS, FAILED, NOT_COMPARED, REGISTERED, SKIPPED, naming_the_unreadable

_OBJECT = ["key", *CONTENT]
_CHANGED = f"SELECT {', '.join(_OBJECT)} FROM now WHERE listed AND status = '{FAILED}' AND error_code = ?"
_TO_DO = "compare it with another copy, and give the right checksum: fixity ingest BUCKET KEY --expected"


def changed_objects(lake: Lake, bucket: str, workspace: Path) -> pa.Table | None:
    """The objects whose newest check says that their COMPOSITE checksum has changed; None: there are none.

    By the snapshot in force: whoever checks objects has it folded first, for what is expected of them.
    Raises LakeError.
    """
    snapshot = in_force(lake, bucket)
    if snapshot is None:
        return None
    with reading_of(lake, snapshot):
        files = [lake.fetch(name, workspace) for name in snapshot.names("unread")]
        with naming_the_unreadable(*files):
            if not any(pq.read_metadata(file).num_rows for file in files):  # so it mostly is
                return None
    with open_database(workspace) as database:
        view_now(database, lake, snapshot, "unread", workspace)
        found = database.execute(_CHANGED, [COMPOSITE_CHANGED]).to_arrow_table()
    return found if found.num_rows else None


def changed_among(rows: pa.Table) -> pa.Table | None:
    """The same among rows of a snapshot."""
    failed = pc.and_(pc.equal(rows["status"], FAILED), pc.equal(rows["error_code"], COMPOSITE_CHANGED))
    found = rows.filter(pc.fill_null(failed, False))
    return found if found.num_rows else None


def kept_open(checks: pa.Table, changed: pa.Table | None) -> pa.Table:
    """Checks as they are to be kept: of objects that have changed, what was compared with nothing has failed.

    Arguments: `checks`, judged; `changed`, from `changed_objects` or `changed_among`.
    """
    if changed is None:
        return checks
    among = pc.is_in(checks["key"], value_set=changed["key"].combine_chunks())
    if not pc.any(among).as_py():
        return checks
    objects = set(map(_object, changed.select(_OBJECT).to_pylist()))
    rows = checks.to_pylist()
    for row in rows:
        if _object(row) in objects and _proves_nothing(row):
            said = f"{row['error_code']}: {row['error_message']}" if row["error_code"] else ""
            now = f"{row['algorithm']} {row['checksum']}" if row["checksum"] else said
            row |= {
                "status": FAILED,
                "checksum": None,
                "checksum_type": None,
                "other_checksums": None,
                "verdict": NOT_COMPARED,
                "error_code": COMPOSITE_CHANGED,
                "error_message": "the COMPOSITE checksum of the object had changed though nobody had written "
                f"it, and nothing proves its bytes as they are now ({now}): {_TO_DO}"[:500],
            }
    return pa.Table.from_pylist(rows, CHECKSUMS)


def _object(row: dict[str, Any]) -> tuple[object, ...]:
    """What tells apart what was written under one key: a version's id, however a list shows all else."""
    version = row["version_id"]
    named = version not in (None, "null")
    return (row["key"], version) if named else (row["key"], *(row[name] for name in CONTENT[1:]))


def _proves_nothing(row: dict[str, object]) -> bool:
    if row["status"] == SKIPPED:
        return row["error_code"] not in (CHANGED, DELETED)
    return row["status"] == FAILED or row["verdict"] == REGISTERED
