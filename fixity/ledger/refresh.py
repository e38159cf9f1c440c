"""The bucket's current snapshot; rebuilt first if the ledger or the inventory has newer data."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from fixity.clock import CLOCKS_DIFFER, EPOCH, utc_now
from fixity.lake import Lake
from fixity.lake.proof import lost, lost_file, proof_file
from fixity.ledger.files import (
    LeftOut,
    changed_since_folded,
    gone_from_ledger,
    ingest_tables,
    ledger_files,
    proofs_there,
    run_of,
    usable_files,
)
from fixity.ledger.fold import Settings
from fixity.ledger.fold_all import QUEUE_ROWS, fold
from fixity.ledger.fold_plan import Folding
from fixity.ledger.inventory import TableMissing
from fixity.ledger.listing import Listing, inventory_in_force
from fixity.ledger.snapshot import Snapshot, in_force

_MOST_SINCE = 200  # files of changed rows; with more of them the snapshot is rebuilt


def ready(
    lake: Lake,
    bucket: str,
    settings: Settings,
    run_id: str,
    now: Callable[[], datetime] = utc_now,
    log: Callable[[str], None] = lambda text: None,
) -> Snapshot:
    """The bucket's current snapshot; rebuilt first if the ledger or the inventory has newer data.

    Arguments: `run_id` names a new snapshot; `log` takes what is left out, and why.
    Raises TableMissing without an inventory, LakeError.
    """
    snapshot, listing, is_current = state_of(lake, bucket, settings, now, log)
    if snapshot is None or not is_current:
        with lake.workspace() as workspace:
            folding = Folding(lake, bucket, settings, run_id, now(), workspace)
            snapshot = fold(folding, snapshot, listing)
    for name, (_, why) in snapshot.left_out.items():
        log(f"left out: {lake.location(name)} {why}")
    return snapshot


class State(NamedTuple):
    """A bucket's snapshot if it has one, the inventory to use, and whether the snapshot has all there is."""

    snapshot: Snapshot | None
    listing: Listing
    is_current: bool


def state_of(
    lake: Lake,
    bucket: str,
    settings: Settings,
    now: Callable[[], datetime] = utc_now,
    log: Callable[[str], None] = lambda text: None,
) -> State:
    """Whether a bucket's snapshot has to be rebuilt. Raises TableMissing without an inventory, LakeError."""
    snapshot = in_force(lake, bucket)
    listing = inventory_in_force(lake, bucket)
    if listing.refused:
        log(listing.refused)
    is_behind = snapshot is None or _is_behind(lake, snapshot, listing, settings, now())
    return State(snapshot, listing, not is_behind)


def known_so_far(
    lake: Lake,
    bucket: str,
    settings: Settings,
    run_id: str,
    log: Callable[[str], None] = lambda text: None,
) -> Snapshot | None:
    """The snapshot as `ready` gives it; None if the ledger is empty, or the bucket was never listed.

    Raises LakeError.
    """
    if not (ledger_files(lake, bucket) or ingest_tables(lake, bucket)):
        return None
    try:
        return ready(lake, bucket, settings, run_id, log=log)
    except TableMissing:
        return None


def _is_behind(
    lake: Lake,
    snapshot: Snapshot,
    listing: Listing,
    settings: Settings,
    now: datetime,
) -> bool:
    since = snapshot.since(lake)
    there = {file.name for file in lake.list(snapshot.folder)}
    known = {*snapshot.folded, *(each.run_id for each in since)}
    unfolded = {
        file.name: file.size
        for file in ledger_files(lake, snapshot.bucket)
        if run_of(file.name) not in known or snapshot.folded.get(run_of(file.name), file.size) != file.size
    }
    unfolded |= {
        file.name: file.size
        for file in ingest_tables(lake, snapshot.bucket)
        if snapshot.ingested.get(run_of(file.name)) != file.size
    }
    return (
        not there.issuperset(snapshot.files)
        or snapshot.inventory_run_id != listing.provenance.run_id
        or not settings.are_of(snapshot)
        or max(datetime.fromisoformat(snapshot.folded_at), *(each.at for each in since), EPOCH)
        > now + CLOCKS_DIFFER  # folded by a wrong clock
        or (snapshot.doubted and abs(now - datetime.fromisoformat(snapshot.folded_at)) > CLOCKS_DIFFER)
        or len(since) > _MOST_SINCE
        or (snapshot.queued == QUEUE_ROWS and sum(each.rows for each in since) > QUEUE_ROWS // 2)
        or unfolded != {name: size for name, (size, _) in snapshot.left_out.items()}
        or _was_restored(lake, snapshot)
    )


def _was_restored(lake: Lake, snapshot: Snapshot) -> bool:
    """Whether a file that was left out can be used now. A restored one may have the damaged one's size."""
    if not snapshot.left_out:
        return False
    in_it = {*snapshot.folded, *snapshot.ingested}
    files = [*ledger_files(lake, snapshot.bucket), *ingest_tables(lake, snapshot.bucket)]
    left_out = [file for file in files if file.name in snapshot.left_out and run_of(file.name) not in in_it]
    with lake.workspace() as workspace:
        return bool(usable_files(lake, snapshot.bucket, left_out, workspace, thoroughly=True)[0])


class FilesState(NamedTuple):
    """The files of a bucket's ledger that cannot be read or proved, are gone, or not as they were folded.

    not_proved: how many files have no proof, because an earlier version wrote them. accepted: how many files
    people accepted without one, by the day.
    """

    left_out: list[LeftOut]
    not_proved: int
    accepted: dict[str, int]


def state_of_files(lake: Lake, bucket: str, workspace: Path) -> FilesState:
    """The state of a bucket's ledger.

    Files that are folded are not read again, but their proofs must be there. Raises LakeError.
    """
    snapshot = in_force(lake, bucket)
    folded, doubted = (snapshot.folded, snapshot.left_out) if snapshot else ({}, {})
    files = ledger_files(lake, bucket)
    new = [file for file in files if run_of(file.name) not in folded]
    _, left_out = usable_files(lake, bucket, new, workspace, doubted=doubted)
    left_out += changed_since_folded(files, folded)
    proved = folded.keys() - (snapshot.not_proved if snapshot else ())
    proofs = proofs_there(lake, bucket)
    left_out += gone_from_ledger(lake, bucket, folded, files, proofs)
    without = [file for file in files if proof_file(file.name) not in proofs.there]
    left_out += [
        LeftOut(file.name, file.size, f"cannot be proved: {lost(file.name)}")
        for file in without
        if run_of(file.name) in proved
    ]
    named = {each.name for each in left_out}
    return FilesState(left_out, sum(file.name not in named for file in without), proofs.accepted)


def gone(lake: Lake, bucket: str) -> list[LeftOut]:
    """The files of a bucket's ledger that are gone, though something kept names them. Raises LakeError."""
    snapshot = in_force(lake, bucket)
    files = ledger_files(lake, bucket)
    return gone_from_ledger(
        lake, bucket, snapshot.folded if snapshot else (), files, proofs_there(lake, bucket)
    )


def accept_lost(lake: Lake, bucket: str, now: datetime) -> list[str]:
    """Note that the files of a bucket's ledger that are gone are lost for good; returns their names.

    What the snapshot has of them goes on to count, for as long as it is there.
    Arguments: `now` in UTC. Raises LakeError.
    """
    names = [each.name for each in gone(lake, bucket)]
    for name in names:
        text = f"accepted on {now.isoformat()} as lost: nothing is known of the checks in it\n"
        lake.put_text(lost_file(name, now.date()), text, replace=True)
    return names
