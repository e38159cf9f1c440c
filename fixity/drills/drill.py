"""Looks how far a bucket's drill is, ends it, and begins a new one where that is asked for.

When a drill is over its result is kept; then the right bytes are put back, and its incidents are dismissed.
"""

from __future__ import annotations

from dataclasses import replace

from fixity.drills.begin import Order, begin, put
from fixity.drills.find import found_so_far
from fixity.drills.kept import Drill, drills_of
from fixity.drills.plan import PREFIX, right_bytes
from fixity.incidents.events import DISMISSED, append
from fixity.incidents.state import incidents_now
from fixity.repair import RepairRun, Side
from fixity.repair.lease import only_repair


def drill(run: RepairRun, side: Side, order: Order | None = None) -> list[Drill]:
    """All drills of a bucket as they are now, the oldest first.

    Arguments: `order`, of a new drill; it is begun unless one goes on. Raises RepairBusy if another run is at
    the bucket, DrillRefused, ObjectError, BucketUnreachable, TableUnreadable, LakeError.
    """
    with only_repair(run):
        drills = drills_of(run.lake, side.name)
        goes_on = bool(drills) and not drills[-1].is_over
        if goes_on:
            drills[-1] = found_so_far(run, side, drills[-1])
            if drills[-1].is_over:
                drills[-1].keep(run.lake)
        if drills and drills[-1].is_over:
            _tidy_up(run, side, drills[-1])
        if order is not None and not goes_on:
            drills.append(begin(run, side, order))
        return drills


def _tidy_up(run: RepairRun, side: Side, over: Drill) -> None:
    """Put right bytes in the place of what is still damaged, and dismiss the incidents.

    It is done at each look: a run may have been killed here, or have opened an incident later.
    """
    for each in over.objects:
        item = side.reader.find(each.key)
        if item is None or (item.size, item.etag, item.last_modified) == (
            each.size,
            each.etag,
            each.last_modified,
        ):
            put(side, each.key, right_bytes(each.key))
    append(
        run.lake,
        [
            replace(
                each.event(DISMISSED, incident.next_at(run.now()), reason=f"drill {over.id}"),
                run_id=run.run_id,
                person=over.person,
            )
            for incident in incidents_now(run.lake)
            for each in incident.objects
            if not each.is_over and each.bucket == side.name and each.key.startswith(PREFIX)
        ],
    )
