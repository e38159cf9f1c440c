"""Leases: the objects that a rolling run has taken and the checks it has made, for other runs to see.

    scratch/rolling/<bucket>/<run>/alive.json          since when, and the last heartbeat
    scratch/rolling/<bucket>/<run>/batch-000001.parquet      what was taken, and from which snapshot
    scratch/rolling/<bucket>/<run>/checks/….parquet          checks that have ended, of each step
    scratch/rolling/<bucket>/<run>/looked/….txt              how much was read a second time
    scratch/rolling/<bucket>/turns/00000042/run.json         whose turn it is: the highest number counts

A run is alive as long as it has a heartbeat, and is not known to be over. Of runs that start at once, the one
that puts the next turn goes on. The time when the last rolling run of a bucket ended is kept with the
bucket's snapshot.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.engines.stream.engine import Check
from fixity.errors import FixityError
from fixity.lake import Lake
from fixity.lake.paths import LEASES, leases_folder, set_aside_folder, snapshot_folder
from fixity.lake.proof import json_object
from fixity.tables import CHECKSUMS

if TYPE_CHECKING:
    from fixity.catalog import Algorithm
    from fixity.ledger import Snapshot

BEAT_SECONDS = 30.0
DEAD_AFTER = timedelta(minutes=10)
_LONG_AGO = "1970-01-01T00:00:00+00:00"
_TURNS = "turns"
_ALGORITHM = b"algorithm"

_OF_CHECKS = (
    "status",
    "checksum",
    "error_code",
    "error_message",
    "bytes_read",
    "checked_at",
    "reads",
    "other_checksums",
)
CHECKS = pa.schema(
    [pa.field("position", pa.int64()), *(CHECKSUMS.field(name).with_nullable(True) for name in _OF_CHECKS)]
)


Purpose = Literal["checks", "keeps", "repairs"]
"""What a run does under a lease: it checks objects, keeps what a dead run had checked, or repairs."""
_BUSY: dict[str, str] = {
    "checks": "is being checked by the rolling run {run} since {began} (last heartbeat {beat}): it goes on "
    "with newer batches itself",
    "keeps": "has checks of a dead run, which are being kept by the run {run} since {began}: start this run "
    "again in a minute",
    "repairs": "is being repaired by the run {run} since {began} (last heartbeat {beat})",
}


class BucketBusy(FixityError):
    """Another run works on the bucket. The message says which, and at what."""


class LeaseLost(FixityError):
    """A run had no heartbeat for so long that another run ended its lease."""


@dataclass(frozen=True)
class Lease:
    """A run's lease on the objects it has taken; when it began, its last heartbeat (UTC), and what for."""

    bucket: str
    run_id: str
    began: str
    beat: str
    purpose: Purpose = "checks"

    @property
    def folder(self) -> str:
        """Its folder in the lake."""
        return f"{leases_folder(self.bucket)}{self.run_id}/"

    def is_alive(self, now: datetime) -> bool:
        """Whether its last heartbeat is recent; it may be in the future if clocks differ."""
        return abs(now - datetime.fromisoformat(self.beat)) < DEAD_AFTER

    def end(self, lake: Lake) -> None:
        """End the lease. If this stops halfway, the next run can still use the rest. Raises LakeError."""
        lake.remove(f"{self.folder}checks/")
        lake.remove(self.folder)

    def set_aside(self, lake: Lake) -> str:
        """Move its files out of the way of other runs; returns their new location. Raises LakeError."""
        folder = set_aside_folder(self.bucket, self.run_id)
        for file in lake.list(self.folder):
            lake.copy(file.name, folder + file.name.removeprefix(self.folder))
        lake.remove(self.folder)
        return lake.location(folder)

    def renew(self, lake: Lake, now: datetime) -> None:
        """Write a heartbeat. Raises LeaseLost if another run's turn has come; LakeError."""
        self._refuse_lost(lake, self.beat_at(lake, now))

    def keep_alive(self, lake: Lake, now: datetime) -> None:
        """As `renew`, but if its last heartbeat is recent, only look whether the lease is still held."""
        beat = datetime.fromisoformat(held(lake, self.bucket, self.run_id).beat)
        if abs(now - beat) >= timedelta(seconds=BEAT_SECONDS):
            self.renew(lake, now)

    def beat_at(self, lake: Lake, now: datetime) -> str:
        """Write a heartbeat, also before one's turn has come. Returns its file's name. Raises LakeError."""
        said = {"began": self.began, "beat": now.isoformat(), "purpose": self.purpose}
        name, text = f"{self.folder}alive.json", json.dumps(said)
        lake.put_text(name, text, replace=True)
        return name

    def _refuse_lost(self, lake: Lake, put: str) -> None:
        """Raise LeaseLost if the lease is gone, after a file was put: then that file is removed again.

        Looking first would not do: a process may stand still between its look and its write.
        """
        try:
            held(lake, self.bucket, self.run_id)
        except LeaseLost:
            lake.discard(put)
            raise

    def take(self, lake: Lake, number: int, rows: pa.Table, chosen: Snapshot, workspace: Path) -> Path:
        """Note a batch as taken, with what it was chosen from and by which algorithm it is read.

        Returns a local file.

        Again with fewer rows, as long as none of them is read. Raises LakeError.
        """
        name = f"batch-{number:06d}.parquet"
        file = workspace / name
        file.unlink(missing_ok=True)  # the lake may still hold its bytes
        noted = (chosen.provenance.attach(rows.schema).metadata or {}) | {
            _ALGORITHM: chosen.algorithm.encode()
        }
        pq.write_table(rows.replace_schema_metadata(noted), file)
        lake.put(self.folder + name, file, replace=True, keep=True)
        return file

    def keep(self, lake: Lake, name: str, checks: list[Check], workspace: Path) -> None:
        """Keep checks that have ended; again where that may have failed. Raises LeaseLost, LakeError."""
        rows = [
            {**check._asdict(), "other_checksums": list(check.others.items()) or None} for check in checks
        ]
        file = workspace / "ended.parquet"
        pq.write_table(pa.Table.from_pylist(rows, CHECKS), file)
        kept = f"{self.folder}checks/{name}.parquet"
        lake.put(kept, file, replace=True)
        self._refuse_lost(lake, kept)

    def batches(self, lake: Lake, workspace: Path) -> list[Path]:
        """Local files of what it has taken, in order. Raises LakeError."""
        return self._files(lake, "batch-", workspace)

    def checks(self, lake: Lake, workspace: Path, name: str = "") -> list[Path]:
        """Local files of the checks that have ended, by the start of their `name`. Raises LakeError."""
        return self._files(lake, f"checks/{name}", workspace)

    def _files(self, lake: Lake, kind: str, workspace: Path) -> list[Path]:
        return [
            lake.fetch(file.name, workspace)
            for file in lake.list(self.folder)
            if file.name.startswith(self.folder + kind)
        ]


def algorithm_of(batch: Path) -> Algorithm | None:
    """The algorithm by which a batch is read, from its local file; None: an earlier version took it."""
    noted = (pq.read_schema(batch).metadata or {}).get(_ALGORITHM)
    return cast("Algorithm", noted.decode()) if noted else None


def leases(lake: Lake, bucket: str) -> list[Lease]:
    """All leases on a bucket, also of killed runs, and what is left of some. Raises LakeError."""
    folder = leases_folder(bucket)
    below = (file.name.removeprefix(folder).partition("/") for file in lake.list(folder))
    names = {name for name, _, file in below if file} - {_TURNS}  # not what a file browser leaves there
    found = (_read(lake, bucket, name) or _ended(bucket, name) for name in sorted(names))
    return list(found)


def leased_buckets(lake: Lake) -> set[str]:
    """The buckets on which there are leases, found by one listing for all. Raises LakeError."""
    below = (file.name.removeprefix(LEASES).split("/") for file in lake.list(LEASES))
    return {names[0] for names in below if len(names) > 2 and names[1] != _TURNS}


def held(lake: Lake, bucket: str, run_id: str) -> Lease:
    """A run's lease on a bucket, as it is now.

    Raises LeaseLost where it is gone, or another run's turn has come; LakeError.
    """
    mine = _read(lake, bucket, run_id)
    if mine is not None and _last_turn(lake, bucket)[1] in (run_id, None):
        return mine
    raise LeaseLost(
        f"the run {run_id} has no lease on '{bucket}' any more: it ended, or it had no heartbeat for "
        f"{DEAD_AFTER} and another run took over. The checks made until then are kept; the other objects "
        "are checked by the next run"
    )


def _read(lake: Lake, bucket: str, run_id: str) -> Lease | None:
    """A run's lease; None where it has ended."""
    mine = _ended(bucket, run_id)
    try:
        values = json_object(lake.read_text(f"{mine.folder}alive.json"))
        if datetime.fromisoformat(values["beat"]).tzinfo is None:
            raise ValueError("a time without its offset")
        purpose = values.get("purpose")  # an earlier version said none
        return Lease(
            bucket, run_id, values["began"], values["beat"], purpose if purpose in _BUSY else "checks"
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):  # damaged: treated as a killed run's
        return mine


def _ended(bucket: str, run_id: str) -> Lease:
    return Lease(bucket, run_id, _LONG_AGO, _LONG_AGO)


def take_lease(
    lake: Lake,
    bucket: str,
    run_id: str,
    now: datetime,
    is_over: Callable[[str], bool] = lambda run_id: False,
    purpose: Purpose = "checks",
) -> Lease:
    """Lease a bucket to a run: of several that start at once, exactly one goes on.

    If the lake's store does not decide between them, all may give up, but never do two go on.
    Arguments: `is_over`, whether a run is known to have ended, whatever its heartbeat; `purpose`, what others
    are told that the run does.
    Raises BucketBusy, LakeError.
    """
    mine = Lease(bucket, run_id, now.isoformat(), now.isoformat(), purpose)
    number, holder = _last_turn(lake, bucket)
    _refuse_busy(lake, mine, holder, now, is_over)
    mine.beat_at(lake, now)
    turn, said = _turn(bucket, number + 1), json.dumps({"run_id": run_id, "claim": str(uuid.uuid4())})
    # A request that is sent again finds the turn that its first attempt has put.
    won = lake.put_if(turn, said, None) or _text(lake, turn) == said
    last, holder = _last_turn(lake, bucket)
    if not won or last > number + 1 or (not lake.decides and _others(lake, mine, now)):
        if won:
            lake.remove(_folder_of(turn))
        if holder != run_id or not lake.decides:
            lake.remove(mine.folder)
        _refuse_busy(lake, mine, holder, now, is_over)
        raise BucketBusy(f"'{bucket}': another run started at the same time, and this one steps back")
    for file in lake.list(_turns(bucket)):
        if file.name < turn:
            lake.remove(_folder_of(file.name))
    return mine


def _refuse_busy(
    lake: Lake, mine: Lease, holder: str | None, now: datetime, is_over: Callable[[str], bool]
) -> None:
    """Raise BucketBusy if the run whose turn it is works on the bucket; if that is not known, any other.

    If it is this run's own, another worker died in the step that takes it, and this one does it again.
    """
    for other in leases(lake, mine.bucket):
        is_its_turn = other.run_id != mine.run_id and holder in (other.run_id, None)
        if is_its_turn and other.is_alive(now) and not is_over(other.run_id):
            said = _BUSY[other.purpose].format(run=other.run_id, began=other.began, beat=other.beat)
            raise BucketBusy(f"'{mine.bucket}' {said}")


def _last_turn(lake: Lake, bucket: str) -> tuple[int, str | None]:
    """The highest turn, and the run whose it is; 0 and None if there is none."""
    while names := [file.name for file in lake.list(_turns(bucket))]:
        if (seen := lake.see(names[-1])) is None:  # it has just been removed: there is a later one
            continue
        try:
            run_id = json.loads(seen.text)["run_id"]
        except (ValueError, KeyError, TypeError):  # damaged
            run_id = None
        return int(names[-1].split("/")[-2]), run_id
    return 0, None


def _others(lake: Lake, mine: Lease, now: datetime) -> bool:
    return any(each.run_id != mine.run_id and each.is_alive(now) for each in leases(lake, mine.bucket))


def _text(lake: Lake, name: str) -> str:
    seen = lake.see(name)
    return seen.text if seen else ""


def _turns(bucket: str) -> str:
    return f"{leases_folder(bucket)}{_TURNS}/"


def _turn(bucket: str, number: int) -> str:
    return f"{_turns(bucket)}{number:08d}/run.json"


def _folder_of(turn: str) -> str:
    return turn.removesuffix("run.json")


def record_roll(lake: Lake, bucket: str, now: datetime) -> None:
    """Keep the time when a rolling run of a bucket ended, also if nothing was due.

    It shows that the schedule runs. Raises LakeError.
    """
    lake.put_text(_rolled_file(bucket), now.isoformat(), replace=True)


def last_roll(lake: Lake, bucket: str) -> datetime | None:
    """When a rolling run of a bucket ended last (UTC). Raises LakeError."""
    return time_in(lake, _rolled_file(bucket))


def time_in(lake: Lake, name: str) -> datetime | None:
    """The time (UTC) that a file of the lake holds; None where there is none. Raises LakeError."""
    try:
        time = datetime.fromisoformat(lake.read_text(name))
    except (FileNotFoundError, ValueError):
        return None
    return time if time.tzinfo else None


def _rolled_file(bucket: str) -> str:
    return f"{snapshot_folder(bucket)}ROLLED"
