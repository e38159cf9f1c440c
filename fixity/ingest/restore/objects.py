"""An archived object, the state of its restore, and how the store's answers change it.

An object is `waiting` (until the limit of bytes restored at a time has room), `requested`, `restored`
(ready to be read), `checked` (it was read), or `failed`. One missing answer of the store does not fail a
restore; several in a row do. Looking (`look`) and requesting (`ask`) do not belong here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from fixity.buckets import ObjectError, ObjectUnreadable
from fixity.catalog import Tier
from fixity.clock import CLOCKS_DIFFER
from fixity.ingest.restore.archives import MAYBE_ARCHIVED, Archive, archive_of
from fixity.lake import Lake, LakeFile
from fixity.lake.database import open_database, view
from fixity.ledger.files import ingest_tables, ledger_files, usable_files
from fixity.tables import CHECKSUMS, INGEST, RESTORED

State = Literal["waiting", "requested", "restored", "checked", "failed"]
OPEN: tuple[State, ...] = ("waiting", "requested", "restored")
"""The states with something left to do."""

ATTEMPTS = 2
"""How many times a restore is requested, and a restored object is read."""

_SQL = Path(__file__).with_suffix(".sql")
_LOOKS = 5


@dataclass(frozen=True)
class Archived:
    """An archived object, and the state of its restore. Times in UTC; see RESTORED for each field."""

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
    """The objects of an inventory that are or may be archived, in their state after the last look.

    Without a last look all are `waiting`. Objects read since are `checked`. Raises LakeError.
    """
    with open_database(workspace) as database:
        view(database, "last_look", [last] if last else [], RESTORED)
        (first_asked,) = database.execute("SELECT min(requested_at) FROM last_look").fetchall()[0]

        def checks_since(files: list[LakeFile]) -> list[Path]:
            since = (
                []
                if first_asked is None
                else [file for file in files if file.appeared >= first_asked - CLOCKS_DIFFER]
            )
            return [file.path for file in usable_files(lake, bucket, since, workspace)[0]]

        view(database, "checks", checks_since(ledger_files(lake, bucket)), CHECKSUMS)
        view(database, "ingested", checks_since(ingest_tables(lake, bucket)), INGEST)
        found = database.execute(
            _SQL.read_text(encoding="utf-8"),
            {"inventory": str(inventory), "classes": list(MAYBE_ARCHIVED), "attempts": ATTEMPTS},
        ).to_arrow_table()
    return [Archived(**row) for row in found.to_pylist()]


def unanswered(row: Archived, error: ObjectUnreadable) -> Archived:
    """The unchanged row, to look at again soon; failed after several looks without an answer."""
    if row.unanswered + 1 >= _LOOKS:
        return failed(replace(row, unanswered=row.unanswered + 1), error)
    detail = f"its state is unknown: {error}"
    return replace(row, unanswered=row.unanswered + 1, error_code=error.code, detail=detail)


def gone(row: Archived, error: ObjectError) -> Archived:
    """The row of an object that was overwritten or deleted since it was listed."""
    return replace(row, archive=None, unanswered=0, error_code=error.code, detail=error.message)


def failed(row: Archived, error: ObjectError) -> Archived:
    """The row as failed, with the error."""
    archive = row.archive or archive_of(row.storage_class, None) or "ARCHIVE_ACCESS"
    return replace(row, archive=archive, state="failed", error_code=error.code, detail=error.message)
