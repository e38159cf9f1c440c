"""Begins a drill: deposits its objects, reads and checks them, and damages them.

Damage must look as if nobody had written. A file keeps its time, and its size where the bytes are as many. An
S3 object that is written again has a new ETag and time, as no store that rots gives it. So the check of the
deposit, which read the right bytes, is kept in the ledger under the object as it is listed after the damage;
its `error_message` says so. Each later check finds other bytes than the ledger has of an unchanged object.
Finding them is in `find`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from fixity.buckets import ListedObject
from fixity.buckets.local_writer import LocalWriter
from fixity.buckets.writing import NotAsExpected, NotWritten
from fixity.catalog.exclude import QUARANTINE
from fixity.digests.algorithms import Digest
from fixity.drills.kept import Drill, DrillObject
from fixity.drills.plan import OLDER, PREFIX, Planned, draw, older_bytes, right_bytes
from fixity.errors import WrongUsage
from fixity.humanize import printable
from fixity.incidents.opening import incident_id
from fixity.ledger.bucket_run import BucketRun
from fixity.ledger.fold import settings_of
from fixity.ledger.inventory import take_inventory
from fixity.ledger.refresh import ready
from fixity.ledger.selection import is_excluded
from fixity.repair import RepairRun, Side
from fixity.repair.check import keep_checks, read_now
from fixity.rolling.coverage import GRACE
from fixity.tables import CHECKSUMS, MATCHED

_DEPOSIT = "-drill"
"""The end of the names of the files of the ledger and of snapshots that a drill makes when it begins."""


class DrillRefused(WrongUsage):
    """No drill can be made in the bucket. The message says why. Nothing was damaged."""


@dataclass(frozen=True)
class Order:
    """A drill that a person wants: the seed of its plan, and how many objects it has."""

    seed: int
    objects: int
    person: str


def begin(run: RepairRun, side: Side, order: Order) -> Drill:
    """Damage the objects of a new drill. Nobody else may write to the bucket.

    A drill that is killed here is none; the next one puts the right bytes back. Raises DrillRefused,
    ObjectError, BucketUnreachable, LakeError.
    """
    _refuse_unless_made_for_it(side)
    plan = draw(order.seed, order.objects)
    items = [_deposit(side, each) for each in plan]
    checks = read_now(run, side, items, lambda key: _record(side, key))
    if wrong := [row["key"] for row in checks.to_pylist() if row["verdict"] != MATCHED]:
        raise NotWritten("NotRight", f"{wrong[0]} was not right when it was read: nothing was damaged")
    # Listed and folded, so that the schedule knows what was there.
    take_inventory(side.reader, BucketRun(run.lake, side.bucket, run.run_id, side.place), now=run.now)
    ready(run.lake, side.name, settings_of(side.bucket), run.run_id + _DEPOSIT, run.now, run.log)
    began_at = run.now()
    due_by = began_at + settings_of(side.bucket).every + GRACE
    drill_id = incident_id(run.run_id, began_at)
    after = {each.key: _do_damage(side, each) for each in plan}
    keep_checks(run, side, _as_listed(checks, after, drill_id), run.run_id + _DEPOSIT)
    objects = []
    for each in plan:
        record, item = _record(side, each.key), after[each.key]
        expected = f"{record['algorithm']}:{record['checksum']}"
        found = DrillObject(each.key, each.damage, expected, began_at, due_by)
        objects.append(
            replace(found, size=item.size, etag=item.etag, last_modified=item.last_modified)
            if item
            else found
        )
    drill = Drill(drill_id, side.name, order.seed, order.person, run.run_id, objects)
    drill.keep(run.lake)
    return drill


def put(side: Side, key: str, body: bytes) -> ListedObject:
    """Write an object, whatever is there, and return it as listed. Raises ObjectError, BucketUnreachable."""
    there, writer = side.reader.find(key), side.writer
    if isinstance(writer, LocalWriter):
        upload = writer.upload(key, there)
    else:
        upload = writer.upload(key, len(body), there, {})
    try:
        upload.update(memoryview(body))
        upload.finish()
    except BaseException:
        upload.abandon()
        raise
    item = side.reader.find(key)
    if item is None:
        raise NotAsExpected(f"{key} is gone right after it was written")
    return item


def _refuse_unless_made_for_it(side: Side) -> None:
    for batch in side.reader.list_objects():
        for key in batch.column("key").to_pylist():
            if not key.startswith((PREFIX, QUARANTINE)):
                raise DrillRefused(
                    f"'{side.name}' has an object that no drill has made, {printable(key, 200)}: drills need "
                    "a bucket, a prefix or a directory of their own"
                )
    if is_excluded(side.bucket, f"{PREFIX}0001"):
        raise DrillRefused(f"`exclude` of '{side.name}' leaves out {PREFIX}: no check would read the objects")


def _deposit(side: Side, planned: Planned) -> ListedObject:
    if planned.damage == OLDER:
        put(side, planned.key, older_bytes(planned.key))
    return put(side, planned.key, right_bytes(planned.key))


def _do_damage(side: Side, planned: Planned) -> ListedObject | None:
    """Damage an object, and return it as listed then; None if it is deleted."""
    if planned.damaged is None:
        item = side.reader.find(planned.key)
        if item is not None:
            side.writer.remove(item)
        return None
    return _keeping_time(side, planned.key, lambda: put(side, planned.key, planned.damaged or b""))


def _keeping_time(side: Side, key: str, write: Callable[[], ListedObject]) -> ListedObject | None:
    """Write an object so that a file keeps its time."""
    if side.bucket.path is None:
        return write()
    path = Path(side.bucket.path) / key
    before = path.stat()
    write()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return side.reader.find(key)


def _record(side: Side, key: str) -> dict[str, object]:
    """What is expected of an object, as EXPECTATION."""
    digest = Digest(side.bucket.algorithm)
    digest.update(memoryview(right_bytes(key)))
    return {
        "algorithm": side.bucket.algorithm,
        "checksum": digest.hexdigest(),
        "source": "api",
        "known_to_differ": False,
    }


def _as_listed(checks: pa.Table, after: dict[str, ListedObject | None], drill_id: str) -> pa.Table:
    """The checks of the deposit, under the objects as they are listed after the damage."""
    rows = checks.to_pylist()
    for row in rows:
        item = after[row["key"]]
        if item is not None:
            row |= {name: getattr(item, name) for name in ("version_id", "size", "etag", "last_modified")}
        row["error_message"] = f"drill {drill_id}: read when it was deposited, before it was damaged"
    return pa.Table.from_pylist(rows, CHECKSUMS)
