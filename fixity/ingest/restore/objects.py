"""An archived object, how its restore stands, and how what a store answers changes that.

An object is `waiting` (its bytes do not fit among those restored at a time yet), `requested`, `restored`
(ready to be read), `checked` (it was read), or `failed`. That nobody answered is no end of a restore: only
several looks without an answer are. Looking and asking belong to the modules beside this one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

import pyarrow.parquet as pq

from fixity.buckets import ObjectError, ObjectUnreadable
from fixity.catalog import Tier
from fixity.ingest.restore.archives import MAYBE_ARCHIVED, Archive, archive_of
from fixity.lake import Lake
from fixity.lake.database import open_database
from fixity.lake.paths import ingest_folder
from fixity.tables import INGEST, RESTORED

State = Literal["waiting", "requested", "restored", "checked", "failed"]
OPEN: tuple[State, ...] = ("waiting", "requested", "restored")
"""States in which there is something left to do."""

ATTEMPTS = 2
"""How many times a restore is asked for, and a restored object is read."""

_SQL = Path(__file__).with_suffix(".sql")
_LOOKS = 5


@dataclass(frozen=True)
class Archived:
    """An archived object, and how its restore stands. Times in UTC; see RESTORED for each field."""

    key: str
    version_id: str | None
    size: int
    etag: str | None
    storage_class: str
    archive: Archive | None
    state: State
    tier: Tier | None
    attempts: int
    unanswered: int
    requested_at: datetime | None
    look_again_at: datetime | None
    restored_until: datetime | None
    error_code: str | None
    detail: str | None

    @property
    def is_open(self) -> bool:
        """Whether there is something left to do."""
        return self.state in OPEN


def archived_of(
    lake: Lake, bucket: str, inventory: Path, workspace: Path, last: Path | None = None
) -> list[Archived]:
    """The objects of an inventory that are archived or may be, each as the last look left it; all
    `waiting` where there is none. What was read since is `checked`. Raises LakeError."""
    nothing_before = workspace / "nothing-before.parquet"
    nothing_checked = workspace / "nothing-checked.parquet"
    pq.write_table(RESTORED.empty_table(), nothing_before)
    pq.write_table(INGEST.empty_table(), nothing_checked)
    checks = [file.name for file in lake.list(ingest_folder(bucket)) if file.name.endswith(".parquet")]
    with open_database(workspace) as database:
        found = database.execute(
            _SQL.read_text(encoding="utf-8"),
            {
                "inventory": str(inventory),
                "classes": list(MAYBE_ARCHIVED),
                "last": [str(nothing_before), *([str(last)] if last else [])],
                "attempts": ATTEMPTS,
                "checks": [str(nothing_checked), *(str(lake.fetch(name, workspace)) for name in checks)],
            },
        ).to_arrow_table()
    return [Archived(**row) for row in found.to_pylist()]


def unanswered(row: Archived, error: ObjectUnreadable) -> Archived:
    """The row as it was, to be looked at again soon; failed where that was so several times already."""
    if row.unanswered + 1 >= _LOOKS:
        return failed(replace(row, unanswered=row.unanswered + 1), error)
    detail = f"could not be looked at: {error}"
    return replace(row, unanswered=row.unanswered + 1, error_code=error.code, detail=detail)


def gone(row: Archived, error: ObjectError) -> Archived:
    """The row of an object that was overwritten or deleted since it was listed."""
    return replace(row, archive=None, unanswered=0, error_code=error.code, detail=error.message)


def failed(row: Archived, error: ObjectError) -> Archived:
    """The row with the error as its end."""
    archive = row.archive or archive_of(row.storage_class, None) or "ARCHIVE_ACCESS"
    return replace(row, archive=archive, state="failed", error_code=error.code, detail=error.message)
