"""Looks at a bucket's archived objects: updates the states of restores, and requests the next ones.

Each look keeps a table, `restored/<bucket>/<run id>.parquet`; the next look continues from it. When all
objects are checked or failed, the next look starts from the inventory. Reading restored objects does not
belong here.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fixity import compute as pc
from fixity.buckets import BucketUnreachable, ObjectError, ObjectUnreadable
from fixity.buckets.s3.attributes import Attributes, Head
from fixity.catalog import Bucket
from fixity.clock import utc_now
from fixity.ingest.restore.archives import Archive, archive_of, wait_for
from fixity.ingest.restore.ask import ask_for_next
from fixity.ingest.restore.objects import ATTEMPTS, OPEN, Archived, archived_of, gone, unanswered
from fixity.lake import Lake
from fixity.lake.latest import latest_table, point_to_latest
from fixity.lake.paths import expired_file, restored_file, restored_folder
from fixity.ledger.bucket_run import BucketRun
from fixity.ledger.inventory import fetch_inventory
from fixity.tables import (
    CHECKSUMS,
    FAILED,
    LISTED_COLUMNS,
    NOT_COMPARED,
    RESTORED,
    Provenance,
    this_software,
)

EXPIRED = "RestoreExpired"
_SOON = timedelta(minutes=15)


@dataclass(frozen=True)
class Look:
    """A look: its table's name in the lake, its rows, and when to look again (None: all is done).

    notes: objects dropped since the last look, with the reason.
    """

    file: str
    rows: list[Archived]
    look_again_at: datetime | None
    notes: list[str]

    @property
    def ready(self) -> list[Archived]:
        """The objects that can be read now."""
        return [row for row in self.rows if row.state == "restored"]


def look_at_archived(
    run: BucketRun,
    attributes: Attributes,
    inventory: str,
    threads: int,
    now: Callable[[], datetime] = utc_now,
) -> Look:
    """Update the restores of an inventory's archived objects, request the next ones, and keep the table.

    Arguments: `inventory`, its name in the lake; `threads`, requests at once; `now` returns the time in UTC.
    Raises BucketUnreachable, LakeError.
    """
    lake, bucket, name = run.lake, run.bucket, run.bucket.name
    with lake.workspace() as workspace, ThreadPoolExecutor(threads) as pool:
        listing = fetch_inventory(lake, inventory, workspace)
        last = _last_unfinished(lake, name, workspace)
        known = archived_of(lake, name, listing, workspace, last)
        rows = list(pool.map(lambda row: _look(attributes, row, now()), known))
        _refuse_all_unanswered(name, known, rows)
        notes = [f"{row.key}: {row.detail}" for row in rows if _fell_out(row)]
        rows = [row for row in rows if row.archive is not None or row.unanswered]
        rows = ask_for_next(attributes, rows, bucket.restore, pool, now)
        notes += [f"{row.key}: {row.detail}" for row in rows if _fell_out(row)]
        rows = [row for row in rows if not _fell_out(row)]
        provenance = replace(Provenance.read(listing), run_id=run.run_id, software=this_software())
        expired = _expired_now(known, rows)
        if expired:  # before the table, which marks them as failed: a repeated attempt would skip them
            of = replace(provenance, listed_at=now())
            _keep_as_failed_checks(lake, _failed_checks(expired, listing, bucket, of), of, workspace)
        file = workspace / "restored.parquet"
        table = pa.Table.from_pylist([asdict(row) for row in rows], RESTORED)
        pq.write_table(table.cast(provenance.attach(RESTORED)), file, compression="zstd")
        table_name = restored_file(name, run.run_id)
        lake.put(table_name, file, replace=True)  # an earlier attempt may have put it, with other times
        point_to_latest(lake, restored_folder(name), provenance)
    return Look(table_name, rows, _look_again_at(rows, now()), notes)


def _expired_now(before: list[Archived], after: list[Archived]) -> list[Archived]:
    known = {(row.key, row.version_id) for row in before if row.state == "failed"}
    return [row for row in after if row.error_code == EXPIRED and (row.key, row.version_id) not in known]


def _failed_checks(rows: list[Archived], listing: Path, bucket: Bucket, of: Provenance) -> pa.Table:
    """Rows of the ledger: objects whose restored copies expired before they were read."""
    expired = {(row.key, row.version_id): row for row in rows}
    keys = sorted({key for key, _ in expired})
    listed = pq.read_table(listing, filters=pc.field("key").isin(keys), columns=list(LISTED_COLUMNS))
    checks = [
        {
            **dict.fromkeys(CHECKSUMS.names),
            **each,
            "algorithm": bucket.algorithm,
            "status": FAILED,
            "error_code": row.error_code,
            "error_message": row.detail,
            "bytes_read": 0,
            "checked_at": of.listed_at,
            "run_id": of.run_id,
            "verdict": NOT_COMPARED,
        }
        for each in listed.to_pylist()
        if (row := expired.get((each["key"], each["version_id"])))
    ]
    return pa.Table.from_pylist(checks, CHECKSUMS)


def _keep_as_failed_checks(lake: Lake, checks: pa.Table, of: Provenance, workspace: Path) -> None:
    """Keep failed checks in the ledger, because objects whose restore expired were never read.

    Files of earlier attempts stay unchanged; a new file has only the checks that they lack.
    """
    for attempt in count(1):
        name = expired_file(of.bucket, of.run_id, attempt)
        try:
            kept = pq.read_table(lake.fetch(name, workspace), columns=["key", "version_id"])
        except FileNotFoundError:
            break
        known = {(row["key"], row["version_id"]) for row in kept.to_pylist()}
        rows = checks.select(["key", "version_id"]).to_pylist()
        checks = checks.filter(
            pa.array([(row["key"], row["version_id"]) not in known for row in rows], pa.bool_())
        )
    if checks.num_rows:
        of = replace(of, inventory_run_id=Path(name).stem)  # the rows are not of a whole inventory
        file = workspace / "expired.parquet"
        pq.write_table(checks.cast(of.attach(CHECKSUMS)), file, compression="zstd")
        lake.put(name, file)


def _fell_out(row: Archived) -> bool:
    """Whether an object was overwritten or deleted since it was listed."""
    return row.archive is None and row.error_code is not None and not row.unanswered


def _refuse_all_unanswered(bucket: str, before: list[Archived], after: list[Archived]) -> None:
    """Raise BucketUnreachable if all objects get the same error: then the store is the problem."""
    pairs = zip(before, after, strict=True)
    looked_at = [(old, new) for old, new in pairs if old.is_open and not _needs_no_look(old)]
    alike = {new.error_code if new.unanswered > old.unanswered else None for old, new in looked_at}
    if len(looked_at) > 1 and len(alike) == 1 and None not in alike:
        raise BucketUnreachable(f"{bucket}: none of {len(looked_at):,} objects: {looked_at[0][1].detail}")


def _last_unfinished(lake: Lake, bucket: str, workspace: Path) -> Path | None:
    """The table of the last look, if objects are still open."""
    last = latest_table(lake, restored_folder(bucket))
    if last is None:
        return None
    file = lake.fetch(last, workspace)
    states = pq.read_table(file, columns=["state"]).column("state").unique().to_pylist()
    return file if set(states) & set(OPEN) else None


def _look(attributes: Attributes, row: Archived, now: datetime) -> Archived:
    """The row with the current state of its restore."""
    if not row.is_open:
        return row
    if known := _needs_no_look(row):
        return replace(row, archive=known)
    try:
        head = attributes.head(row.key, row.version_id, row.etag)
    except ObjectUnreadable as error:
        return unanswered(row, error)
    except ObjectError as error:
        return gone(row, error)
    if row.unanswered:
        row = replace(row, unanswered=0, error_code=None, detail=None)
    archive = archive_of(row.storage_class, head)
    if row.storage_class == "INTELLIGENT_TIERING" and row.attempts and archive is None:
        return replace(row, state="restored", detail=None)  # it moved to a tier that can be read at once
    row = replace(row, archive=archive)
    if archive is None or (row.state == "requested" and row.look_again_at and now < row.look_again_at):
        # Too early for anything but an already finished restore.
        return _restored(row, head, now) or row
    return _restored(row, head, now) or _not_restored(row, head, archive, now)


def _needs_no_look(row: Archived) -> Archive | None:
    """The archive of a waiting object, if known. Then no look is needed: the request will show its state.

    Only an object in Intelligent-Tiering needs a first look to find its archive.
    """
    return (row.archive or archive_of(row.storage_class, None)) if row.state == "waiting" else None


def _restored(row: Archived, head: Head, now: datetime) -> Archived | None:
    if head.restore_ongoing is False:
        requested_at = row.requested_at or now  # somebody else requested it, before our look
        return replace(row, state="restored", requested_at=requested_at, restored_until=head.restored_until)
    return None


def _not_restored(row: Archived, head: Head, archive: Archive, now: datetime) -> Archived:
    if head.restore_ongoing:
        tier = row.tier or "Standard"  # somebody else requested it, in an unknown tier
        return replace(row, state="requested", tier=tier, look_again_at=now + wait_for(archive, tier))
    if row.state == "waiting":
        return row
    if row.attempts >= ATTEMPTS:
        why = "the restored copy expired before it was read, for the second time"
        return replace(row, state="failed", error_code=EXPIRED, detail=why)
    return replace(row, state="waiting", detail="the restored copy expired before it was read")


def _look_again_at(rows: list[Archived], now: datetime) -> datetime | None:
    times = [row.look_again_at for row in rows if row.state == "requested" and row.look_again_at]
    if any(row.state in ("restored", "waiting") or (row.unanswered and row.is_open) for row in rows):
        times.append(now + _SOON)  # objects being read now make room for waiting ones
    return min(times, default=None)
