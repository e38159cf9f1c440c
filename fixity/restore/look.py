"""One look at a bucket's archived objects: what became of the restores asked for, and asking for the next.

Each look is a table, `restored/<bucket>/<run id>.parquet`, which the next one goes on from. An object is
`waiting` (its bytes do not fit among those restored at a time yet), `requested`, `restored` (ready to
be read), `checked` (it was read), or `failed`. When all are checked or failed, the next look begins
anew.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.catalog import Restore, Tier
from fixity.database import open_database
from fixity.hashing import utc_now
from fixity.lake import Lake
from fixity.lake.paths import ingest_folder, restored_file, restored_folder
from fixity.newest import announce, newest_table
from fixity.restore.archives import MAYBE_ARCHIVED, Archive, archive_of, days_for, tier_for, wait_for
from fixity.stores import ObjectError, ObjectUnreadable
from fixity.stores.attributes import Attributes, Head
from fixity.tables import INGEST, RESTORED, Provenance

State = Literal["waiting", "requested", "restored", "checked", "failed"]
_SQL = Path(__file__).with_suffix(".sql")
_SOON = timedelta(minutes=15)
_ATTEMPTS = 2
_OPEN = ("waiting", "requested", "restored")


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
    requested_at: datetime | None
    look_again_at: datetime | None
    restored_until: datetime | None
    error_code: str | None
    detail: str | None

    @property
    def is_open(self) -> bool:
        """Whether there is something left to do."""
        return self.state in _OPEN


@dataclass(frozen=True)
class Look:
    """A look as kept: the table's name in the lake, its rows, and when to look again (None: all is done)."""

    file: str
    rows: list[Archived]
    look_again_at: datetime | None

    def count(self, state: State) -> int:
        """Rows in a state."""
        return sum(row.state == state for row in self.rows)

    @property
    def ready(self) -> list[Archived]:
        """Those that can be read now."""
        return [row for row in self.rows if row.state == "restored"]


def look_at_archived(
    lake: Lake,
    attributes: Attributes,
    bucket: str,
    inventory: str,
    restore: Restore,
    run_id: str,
    threads: int,
    now: Callable[[], datetime] = utc_now,
) -> Look:
    """See how the archived objects of an inventory stand, ask for the next restores, keep the table.

    Arguments: `inventory`, its name in the lake. Raises StoreUnreachable, LakeError.
    """
    with lake.workspace() as workspace, ThreadPoolExecutor(threads) as pool:
        listing = lake.fetch(inventory, workspace)
        last = _last_unfinished(lake, bucket, workspace)
        known = archived_of(lake, bucket, listing, workspace, last)
        rows = list(pool.map(lambda row: _look(attributes, row, now()), known))
        rows = [row for row in rows if row.archive is not None]
        room = restore.at_once - sum(row.size for row in rows if row.state in ("requested", "restored"))
        chosen: list[bool] = []
        for row in rows:
            # One that is larger than all the room goes alone.
            fits = row.state == "waiting" and (row.size <= room or room == restore.at_once)
            room -= row.size if fits else 0
            chosen.append(fits)
        asked = pool.map(
            lambda row, wanted: _ask(attributes, row, restore, now()) if wanted else row, rows, chosen
        )
        rows = list(asked)
        file = workspace / "restored.parquet"
        provenance = replace(Provenance.read(listing), run_id=run_id)
        table = pa.Table.from_pylist([asdict(row) for row in rows], RESTORED)
        pq.write_table(table.cast(provenance.attach(RESTORED)), file, compression="zstd")
        name = restored_file(bucket, run_id)
        lake.put(name, file)
        announce(lake, restored_folder(bucket), provenance)
    return Look(name, rows, _look_again_at(rows, now()))


def _last_unfinished(lake: Lake, bucket: str, workspace: Path) -> Path | None:
    """The table of the last look, where that left something to do."""
    last = newest_table(lake, restored_folder(bucket))
    if last is None:
        return None
    file = lake.fetch(last, workspace)
    states = pq.read_table(file, columns=["state"]).column("state").unique().to_pylist()
    return file if set(states) & set(_OPEN) else None


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
                "last": str(last or nothing_before),
                "checks": [str(nothing_checked), *(str(lake.fetch(name, workspace)) for name in checks)],
            },
        ).to_arrow_table()
    return [Archived(**row) for row in found.to_pylist()]


def _look(attributes: Attributes, row: Archived, now: datetime) -> Archived:
    """How a restore stands now."""
    if row.state == "waiting":
        # What waits is not looked at each time: asking will tell. Only where Intelligent-Tiering has
        # it must be known before, once.
        known = row.archive or archive_of(row.storage_class, None)
        if known is not None:
            return replace(row, archive=known)
    elif not row.is_open:
        return row
    try:
        head = attributes.head(row.key, row.version_id, row.etag)
    except ObjectError as error:
        return _failed(row, error)
    archive = archive_of(row.storage_class, head)
    if row.storage_class == "INTELLIGENT_TIERING" and row.attempts and archive is None:
        return replace(row, state="restored", detail=None)  # it moved to a tier that is read at once
    row = replace(row, archive=archive)
    if archive is None or (row.state == "requested" and row.look_again_at and now < row.look_again_at):
        # Before its time only what is restored already is of interest.
        return _restored(row, head, now) or row
    return _restored(row, head, now) or _not_restored(row, head, archive, now)


def _restored(row: Archived, head: Head, now: datetime) -> Archived | None:
    if head.restore_ongoing is False:
        asked = row.requested_at or now  # by somebody else, before we looked
        return replace(row, state="restored", requested_at=asked, restored_until=head.restored_until)
    return None


def _not_restored(row: Archived, head: Head, archive: Archive, now: datetime) -> Archived:
    if head.restore_ongoing:
        tier = row.tier or "Standard"  # asked for by somebody else: nobody says how
        return replace(row, state="requested", tier=tier, look_again_at=now + wait_for(archive, tier))
    if row.state == "waiting":
        return row
    if row.attempts >= _ATTEMPTS:
        why = "the restored copy expired before it was read, for the second time"
        return replace(row, state="failed", error_code="RestoreExpired", detail=why)
    return replace(row, state="waiting", detail="the restored copy expired before it was read")


def _ask(attributes: Attributes, row: Archived, restore: Restore, now: datetime) -> Archived:
    """Ask for an object's restore."""
    assert row.archive is not None
    tier, said = tier_for(row.archive, restore.tier)
    days = days_for(row.archive, restore)
    try:
        try:
            answer = attributes.restore(row.key, row.version_id, tier, days)
        except ObjectUnreadable as error:
            if error.code != "GlacierExpeditedRetrievalNotAvailable":
                raise
            tier, said = "Standard", "S3 has no capacity for Expedited now: Standard was asked for"
            answer = attributes.restore(row.key, row.version_id, tier, days)
    except ObjectError as error:
        return _failed(row, error)
    return replace(
        row,
        state="restored" if answer == "restored" else "requested",
        tier=tier,
        attempts=row.attempts + 1,
        requested_at=now,
        look_again_at=now + wait_for(row.archive, tier),
        detail=said,
    )


def _failed(row: Archived, error: ObjectError) -> Archived:
    archive = row.archive or archive_of(row.storage_class, None) or "ARCHIVE_ACCESS"
    return replace(row, archive=archive, state="failed", error_code=error.code, detail=error.message)


def _look_again_at(rows: list[Archived], now: datetime) -> datetime | None:
    times = [row.look_again_at for row in rows if row.state == "requested" and row.look_again_at]
    if any(row.state in ("restored", "waiting") for row in rows):
        times.append(now + _SOON)  # what is being read makes room for what waits
    return min(times, default=None)
