"""A rolling run: take what is due, check it, keep the checks; one run at a time on a bucket.

A batch that outlasts its interval does not hold up the rest: the run takes the next one beside it,
within the same limits of the store, and never an object twice.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from fixity.buckets import BucketReader, ListedObject
from fixity.catalog import Algorithm, Bucket
from fixity.clock import utc_now
from fixity.digests.algorithms import Digest, digest_by
from fixity.engines.stream.engine import Check, check_objects
from fixity.errors import AnotherPlace, NoTerm
from fixity.lake import Lake
from fixity.ledger import Settings, Snapshot, ready
from fixity.ledger.fold import settings_of
from fixity.rolling.due import Batch, Limits, choose, find, within
from fixity.rolling.egress import EgressBudget, egress_left
from fixity.rolling.finish import Rolled, finish
from fixity.rolling.heartbeat import Heartbeat, kept_alive
from fixity.rolling.lease import Lease, leases, record_roll, take_lease
from fixity.tables import TableUnreadable

_Ended = queue.Queue[Check | BaseException | None]
"""What comes of reading: checks, the end of a batch as None, and what ends the run."""
_MOST_BATCHES = 8  # of one run: it ends then, so that what it found is known, and the next one goes on


@dataclass(frozen=True)
class Order:
    """What a rolling run is to do.

    `interval`: seconds after which a batch in progress gets a next one beside it. `keys`: these
    objects instead of those that are due. `place`: where the bucket is, as the catalog says. `budget`:
    of its store, which batches stay within; what is left of it is for the run to find out.
    """

    bucket: str
    settings: Settings
    limits: Limits
    interval: float
    keys: tuple[str, ...] = ()
    place: str | None = None
    budget: EgressBudget | None = None


def order_for(
    bucket: Bucket,
    place: str,
    budget: EgressBudget | None,
    items: int | None = None,
    keys: Sequence[str] = (),
) -> Order:
    """The order that the catalog gives for a bucket.

    Arguments: `place`, where the catalog says that it is; `budget`, of its store; `items` and `keys`
    where they were asked for. Raises NoTerm for a bucket without `fixity_every`, unless keys were
    asked for.
    """
    if bucket.fixity_every is None and not keys:
        raise NoTerm(
            f"'{bucket.name}' has no term: give it `fixity_every` in the catalog, such as fixity_every: 90d"
        )
    return Order(
        bucket.name,
        settings_of(bucket),
        Limits(items or bucket.batch_items, bucket.batch_bytes),
        bucket.batch_interval.total_seconds(),
        tuple(keys),
        place,
        budget,
    )


def roll(
    store: BucketReader,
    lake: Lake,
    order: Order,
    run_id: str,
    threads: int,
    log: Callable[[str], None] = lambda text: None,
    now: Callable[[], datetime] = utc_now,
) -> Rolled:
    """Check a batch of what is due. What a killed run left behind is kept first.

    Arguments: `threads` objects at once; `log` takes what is left out or cut short, and why.
    Raises BucketBusy, TableMissing, LakeError, NotInInventory, AnotherPlace, and
    LeaseLost and BucketUnreachable; what was checked until then is kept.
    """
    mine = take_lease(lake, order.bucket, run_id, now())
    try:
        snapshot = ready(lake, order.bucket, order.settings, run_id, now, log)
        if _take_over(lake, order, run_id, log, now):
            snapshot = ready(lake, order.bucket, order.settings, run_id, now)
        _refuse_elsewhere(snapshot, order)
        cut_short: str | None = None
        ended: _Ended = queue.Queue()
        with lake.workspace() as workspace, kept_alive(lake, mine, workspace, now, ended.put) as heartbeat:
            cut_short = _Run(
                store, lake, order, snapshot, mine, heartbeat, ended, threads, workspace, log, now
            ).run()
    except BaseException:
        finish(lake, mine, order.settings, now())
        raise
    rolled = finish(lake, mine, order.settings, now(), cut_short)
    record_roll(lake, order.bucket, now())
    return rolled


def _refuse_elsewhere(snapshot: Snapshot, order: Order) -> None:
    if None not in (order.place, snapshot.place) and order.place != snapshot.place:
        raise AnotherPlace(
            f"'{order.bucket}' was listed at {snapshot.place}, but the catalog now says {order.place}: list "
            f"it there first (fixity inventory {order.bucket})"
        )


def _take_over(
    lake: Lake,
    order: Order,
    run_id: str,
    log: Callable[[str], None],
    now: Callable[[], datetime],
) -> bool:
    dead = [other for other in leases(lake, order.bucket) if other.run_id != run_id]
    for other in dead:
        try:
            kept = finish(lake, other, order.settings, now())
        except (pa.ArrowException, TableUnreadable, ValueError, IndexError) as error:
            where = other.set_aside(lake)
            log(
                f"the run {other.run_id} ended without a word, and what it left behind cannot be used "
                f"({error}): it is set aside in {where}, and its objects are checked anew"
            )
            continue
        log(f"the run {other.run_id} ended without a word: {kept.objects:,} checks of it are kept")
    return bool(dead)


class _Run:
    """Batches of one run, each read by threads of its own within the store's one throttle."""

    def __init__(
        self,
        store: BucketReader,
        lake: Lake,
        order: Order,
        snapshot: Snapshot,
        lease: Lease,
        heartbeat: Heartbeat,
        ended: _Ended,
        threads: int,
        workspace: Path,
        log: Callable[[str], None],
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._lake = lake
        self._order = order
        self._snapshot = snapshot
        self._lease = lease
        self._heartbeat = heartbeat
        self._threads = threads
        self._workspace = workspace
        self._log = log
        self._now = now
        self._ended = ended
        self._taken: list[Path] = []
        self._objects = 0

    def run(self) -> str | None:
        """Check batch after batch, until one ends within its interval, or they are enough for a run; says
        what cut the first one short."""
        batch = self._next()
        cut_short = batch.cut_short
        if cut_short:
            self._log(f"{self._order.bucket}: {batch.rows.num_rows:,} objects are taken: {cut_short}")
        running = 0
        while batch.rows.num_rows:
            self._begin(batch)
            running = self._wait(running + 1)
            while running > 1:  # one beside is enough for what is newer to move
                running = self._wait(running)
            if not running or self._order.keys or len(self._taken) == _MOST_BATCHES:
                break
            self._log(f"{self._order.bucket}: the batch outlasts its interval; the next is taken beside it")
            batch = self._next()
        while running:
            running = self._wait(running, for_ever=True)
        return cut_short

    def _next(self) -> Batch:
        if self._order.keys:
            return find(self._lake, self._snapshot, self._order.keys, self._workspace)
        budget, limits = self._order.budget, self._order.limits
        if budget is not None:
            left = egress_left(self._lake, budget, self._lease, self._now())
            limits = replace(limits, egress=left.share, budget=budget.size)
        batch = choose(self._lake, self._snapshot, self._taken, self._now(), limits, self._workspace)
        if budget is None or not batch.rows.num_rows:
            return batch
        # Others may have chosen at the same time. Whoever notes later what it takes sees the other's note.
        self._note(batch)
        left = egress_left(self._lake, budget, self._lease, self._now())
        if left.size >= 0:
            return batch
        batch = within(batch.rows, replace(limits, egress=max(0, batch.size + left.size)))
        self._note(batch)
        return batch

    def _note(self, batch: Batch) -> Path:
        number, chosen = len(self._taken) + 1, self._snapshot.provenance
        return self._lease.take(self._lake, number, batch.rows, chosen, self._workspace)

    def _begin(self, batch: Batch) -> None:
        number = len(self._taken) + 1
        self._taken.append(self._note(batch))
        items = list(enumerate(_objects(batch.rows), self._objects))
        others = dict(enumerate(_other_algorithms(batch.rows), self._objects))
        self._objects += batch.rows.num_rows
        # A daemon: an interrupted run does not wait for the end of an object of terabytes.
        threading.Thread(target=self._read, args=(items, others), name=f"batch-{number}", daemon=True).start()

    def _read(self, items: list[tuple[int, ListedObject]], others: dict[int, set[Algorithm]]) -> None:
        def digest_of(position: int, item: ListedObject) -> Digest:
            return digest_by(self._order.settings.algorithm, others[position])

        try:
            for check in check_objects(self._store, items, digest_of, self._threads, self._now):
                self._ended.put(check)
            self._ended.put(None)
        except BaseException as error:
            self._ended.put(error)

    def _wait(self, running: int, for_ever: bool = False) -> int:
        """Take in checks until all batches have ended, or the interval has; says how many batches run on."""
        until = time.monotonic() + self._order.interval
        while running:
            try:
                left = None if for_ever else max(0.0, until - time.monotonic())
                ended = self._ended.get(timeout=left)
            except queue.Empty:
                return running
            if ended is None:
                running -= 1
            elif isinstance(ended, BaseException):
                raise ended
            else:
                self._heartbeat.add(ended)
        return 0


def _other_algorithms(rows: pa.Table) -> Iterator[set[Algorithm]]:
    """Of each row, the algorithms of what is expected of it."""
    columns = [rows.column(name).to_pylist() for name in ("baseline_algorithm", "record_algorithm")]
    for values in zip(*columns, strict=True):
        yield set(filter(None, values))


def _objects(rows: pa.Table) -> Iterator[ListedObject]:
    columns = [rows.column(name).to_pylist() for name in ListedObject.__slots__]
    for values in zip(*columns, strict=True):
        yield ListedObject(*values)
