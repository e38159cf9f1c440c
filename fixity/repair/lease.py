"""One repair of a bucket at a time: a lease with a heartbeat, as rolling runs have one on a bucket.

What a killed repair has left (uploads that were not finished) is removed by the next one.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from uuid import uuid4

from fixity.buckets.local_writer import LocalWriter
from fixity.errors import FixityError
from fixity.lake import LakeError
from fixity.repair.sides import RepairRun, Side
from fixity.rolling.lease import BEAT_SECONDS, DEAD_AFTER, BucketBusy, Lease, LeaseLost, leases, take_lease


class RepairBusy(FixityError):
    """Another run repairs the bucket. The message says which."""


@contextmanager
def only_repair(run: RepairRun) -> Iterator[None]:
    """Leases on the repairs of both buckets, for the length of the block.

    If one is lost because the machine stood still, another repair may begin: the preconditions of each write
    hold all the same. Raises RepairBusy, LakeError.
    """
    stop = threading.Event()
    held: list[Lease] = []

    def beat() -> None:
        while not stop.wait(BEAT_SECONDS):
            for lease in held:
                with suppress(LakeError, LeaseLost):
                    lease.renew(run.lake, run.now())

    thread = threading.Thread(target=beat, name="beat", daemon=True)
    with ExitStack() as ends:
        for _, side in sorted(run.sides.items()):
            lease = _taken(run, side)
            ends.callback(lease.end, run.lake)
            held.append(lease)
            _clean_up(run, side, lease)
        thread.start()
        ends.callback(thread.join)
        ends.callback(stop.set)
        yield


def _taken(run: RepairRun, side: Side) -> Lease:
    try:
        return take_lease(run.lake, _subject(side), run.run_id, run.now(), purpose="repairs")
    except BucketBusy as error:
        minutes = int(DEAD_AFTER.total_seconds() // 60)
        raise RepairBusy(
            f"another run repairs '{side.name}' ({error}). Wait for its end; after a kill, {minutes} minutes"
        ) from error


def _clean_up(run: RepairRun, side: Side, mine: Lease) -> None:
    """Remove what killed repairs of a bucket have left; note what this one begins."""
    if isinstance(side.writer, LocalWriter):
        side.writer.remove_unfinished()
    else:

        def note(upload: dict[str, str]) -> None:
            run.lake.put_text(f"{mine.folder}uploads/{uuid4().hex}.json", json.dumps(upload))

        side.writer.begun = note
    for other in leases(run.lake, _subject(side)):
        if other.run_id == mine.run_id:
            continue
        for file in run.lake.list(f"{other.folder}uploads/"):
            with suppress(ValueError, KeyError, TypeError, FileNotFoundError):  # killed while it was written
                if not isinstance(side.writer, LocalWriter):
                    side.writer.abort(json.loads(run.lake.read_text(file.name)))
        other.end(run.lake)


def _subject(side: Side) -> str:
    return f"{side.name}+repair"
