"""Whether the platform has found a drill's damage, by its ledger and its inventories alone.

A check that differs finds an object; a listing without it finds one that is lost. Nothing is read here from
the bucket.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

import pyarrow.parquet as pq

from fixity.clock import CLOCKS_DIFFER
from fixity.drills.kept import Drill
from fixity.lake.paths import inventory_folder
from fixity.ledger.files import ledger_files, usable_files
from fixity.ledger.fold import settings_of
from fixity.ledger.lost import lost_now
from fixity.ledger.refresh import ready
from fixity.repair import RepairRun, Side
from fixity.tables import DIFFERS, Provenance, TableUnreadable

LOST = "lost"


def found_so_far(run: RepairRun, side: Side, drill: Drill) -> Drill:
    """A drill with what was found of it until now. A file that cannot be proved finds nothing.

    Raises LakeError.
    """
    found: dict[str, tuple[datetime, str]] = {}
    for key, at, how in [*_differing(run, drill), *_lost(run, side, drill)]:
        found[key] = min((at, how), found.get(key, (at, how)))
    objects = [
        replace(each, found_at=found[each.key][0], found_as=found[each.key][1]) if each.key in found else each
        for each in drill.objects
    ]
    now = run.now()
    is_over = all(each.found_at or each.is_missed(now) for each in objects)
    return replace(drill, objects=objects, is_over=is_over)


def _differing(run: RepairRun, drill: Drill) -> Iterator[tuple[str, datetime, str]]:
    since = drill.damaged_at - CLOCKS_DIFFER
    files = [file for file in ledger_files(run.lake, drill.bucket) if file.appeared >= since]
    with run.lake.workspace() as workspace:
        for file in usable_files(run.lake, drill.bucket, files, workspace, thoroughly=True)[0]:
            for row in pq.read_table(file.path, columns=["key", "verdict", "checked_at"]).to_pylist():
                if row["verdict"] == DIFFERS and row["checked_at"] > drill.damaged_at:
                    yield row["key"], row["checked_at"], DIFFERS


def _lost(run: RepairRun, side: Side, drill: Drill) -> Iterator[tuple[str, datetime, str]]:
    snapshot = ready(run.lake, side.name, settings_of(side.bucket), run.run_id, run.now, run.log)
    keys = {each.key for each in drill.objects}
    rows = [row for row in lost_now(run.lake, side.bucket, snapshot).to_pylist() if row["key"] in keys]
    if not rows:
        return
    listings = sorted(_listings(run, drill))
    for row in rows:
        # A check found it gone, or the first listing after the damage did.
        at = row["checked_at"] if row["listed"] else next(iter(listings), None)
        if at is not None and at > drill.damaged_at:
            yield row["key"], at, LOST


def _listings(run: RepairRun, drill: Drill) -> Iterator[datetime]:
    """When the bucket was listed since the damage."""
    with run.lake.workspace() as workspace:
        for file in run.lake.list(inventory_folder(drill.bucket)):
            if file.name.endswith(".parquet") and file.appeared >= drill.damaged_at - CLOCKS_DIFFER:
                with suppress(TableUnreadable):
                    listed_at = Provenance.read(run.lake.fetch(file.name, workspace)).listed_at
                    if listed_at > drill.damaged_at:
                        yield listed_at
