"""A rolling run: choose objects that are due, check them, keep the checks. One run at a time on a bucket.

If a batch takes longer than its interval, the run starts the next batch in parallel, within the same limits
of the store. No object is read twice.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import takewhile
from pathlib import Path

import pyarrow as pa

from fixity.buckets import BucketReader, ListedObject, listed_objects
from fixity.catalog import SecondLook
from fixity.clock import utc_now
from fixity.digests.algorithms import Digest, digest_by
from fixity.engines.stream.engine import Check, Threads, check_objects
from fixity.engines.stream.second_look import Allowance, SecondReader
from fixity.errors import AnotherPlace, RunOver
from fixity.lake import Lake
from fixity.ledger import SNAPSHOT, Snapshot, ready
from fixity.rolling.due import Batch, choose, find, within
from fixity.rolling.egress import egress_left
from fixity.rolling.finish import Rolled, finish
from fixity.rolling.heartbeat import Heartbeat, kept_alive
from fixity.rolling.lease import Lease, leases, record_roll, take_lease
from fixity.rolling.order import Order
from fixity.rolling.suspects import Expected
from fixity.tables import FAILED, TableUnreadable

_Ended = queue.Queue[Check | BaseException | None]
"""What reading gives: checks, None at the end of a batch, and errors that end the run."""
_DOUBTFUL = 4  # the last failed checks: dropped if the run then ends because its rights were lost
_MOST_BATCHES = 8  # of one run: then it ends, so that its results are known, and the next run goes on


@dataclass(frozen=True)
class RollingRun:
    """A run that carries out an order: from which store, into which lake, and its id.

    `threads`: objects that are read at once. `log` takes what is left out or cut short, and why.
    `second_look`: how much of what differs it reads a second time. `is_over`: whether a rolling run is known
    to have ended, so that nobody waits for its heartbeat to be old.
    """

    store: BucketReader
    lake: Lake
    run_id: str
    threads: Threads
    log: Callable[[str], None] = lambda text: None
    now: Callable[[], datetime] = utc_now
    second_look: SecondLook = field(default_factory=SecondLook)
    is_over: Callable[[str], bool] = lambda run_id: False

    def refuse_over(self) -> None:
        """Raise RunOver if the run itself has ended, of which its process may not have heard."""
        if self.is_over(self.run_id):
            raise RunOver(
                f"the run {self.run_id} has ended: it reads no more, and what it has checked is kept"
            )


def roll(order: Order, run: RollingRun) -> Rolled:
    """Check a batch of the objects that are due. First keeps the checks of a run that was killed.

    Raises BucketBusy, TableMissing, LakeError, NotInInventory, AnotherPlace, and
    LeaseLost, RunOver and BucketUnreachable; checks made until then are kept.
    """
    lake, now = run.lake, run.now
    run.refuse_over()
    mine = take_lease(lake, order.bucket, run.run_id, now(), run.is_over)
    try:
        snapshot = ready(lake, order.bucket, order.settings, run.run_id, now, run.log)
        if _take_over(order, run):
            snapshot = ready(lake, order.bucket, order.settings, run.run_id, now)
        _refuse_elsewhere(snapshot, order)
        with lake.workspace() as workspace:
            batches = _Batches(order, run, snapshot, mine, workspace)
            with kept_alive(lake, mine, workspace, now, batches.fail, run.refuse_over) as heartbeat:
                cut_short = batches.check(heartbeat)
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


def _take_over(order: Order, run: RollingRun) -> bool:
    """Keep the checks of runs that were killed; whether there were any."""
    now = run.now()
    dead = [
        other
        for other in leases(run.lake, order.bucket)
        if other.run_id != run.run_id and (not other.is_alive(now) or run.is_over(other.run_id))
    ]
    for other in dead:
        try:
            kept = finish(run.lake, other, order.settings, run.now())
        except (pa.ArrowException, TableUnreadable, ValueError, IndexError) as error:
            where = other.set_aside(run.lake)
            run.log(
                f"the run {other.run_id} was killed, and the checks that it left cannot be used ({error}): "
                f"they are moved to {where}, and the objects are checked again"
            )
            continue
        run.log(f"the run {other.run_id} was killed: its {kept.objects:,} checks are kept")
    return bool(dead)


class _Batches:
    """Batches of one run, each read by threads of its own within the store's one throttle."""

    def __init__(
        self, order: Order, run: RollingRun, snapshot: Snapshot, lease: Lease, workspace: Path
    ) -> None:
        self._order = order
        self._run = run
        self._lake = run.lake
        self._snapshot = snapshot
        self._lease = lease
        self._workspace = workspace
        self._ended = _Ended()
        self._taken: list[Path] = []
        self._objects = 0
        limits, settings = run.second_look, order.settings
        self._second = SecondReader(run.store, run.threads, settings.etag_is_md5, run.now)
        self._allowance = Allowance(limits.objects, limits.bytes)
        self._looking = threading.Lock()  # batches in parallel share the allowance
        self._doubtful: deque[Check] = deque()

    def fail(self, error: BaseException) -> None:
        """End the run with an error, for example that its lease is lost."""
        self._ended.put(error)

    def check(self, heartbeat: Heartbeat) -> str | None:
        """Check batch after batch, until one ends within its interval, or there were enough for one run.

        Returns why the first one is smaller than what is due, if it is.
        """
        batch = self._next()
        cut_short = batch.cut_short
        if cut_short:
            self._run.log(f"{self._order.bucket}: {batch.rows.num_rows:,} objects are taken: {cut_short}")
        running = 0
        while batch.rows.num_rows:
            self._begin(batch)
            running = self._wait(heartbeat, running + 1)
            while running > 1:  # one batch in parallel is enough: newer objects are checked meanwhile
                running = self._wait(heartbeat, running)
            if not running or self._order.keys or len(self._taken) == _MOST_BATCHES:
                break
            self._run.log(
                f"{self._order.bucket}: the batch takes longer than its interval; the next runs in parallel"
            )
            batch = self._next()
        while running:
            running = self._wait(heartbeat, running, for_ever=True)
        for check in self._doubtful:
            heartbeat.add(check)
        return cut_short

    def _next(self) -> Batch:
        if self._order.keys:
            return find(self._lake, self._snapshot, self._order.keys, self._workspace)
        if not self._order.may_read(self._run.now()):
            return Batch(SNAPSHOT.empty_table(), f"the policy's window is {self._order.window}")
        budgets, limits = self._order.budgets, self._order.limits
        if budgets:
            left = egress_left(self._lake, budgets, self._lease, self._run.now())
            limits = replace(limits, egress=left.share, budget=min(budget.size for budget in budgets))
        batch = choose(self._lake, self._snapshot, self._taken, self._run.now(), limits, self._workspace)
        if not budgets or not batch.rows.num_rows:
            return batch
        # Other runs may have chosen at the same time. The run that writes its note later sees the other note.
        self._note(batch)
        left = egress_left(self._lake, budgets, self._lease, self._run.now())
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
        items = list(enumerate(listed_objects(batch.rows), self._objects))
        expected = Expected(batch.rows, self._objects, self._order.settings.algorithm)
        self._objects += batch.rows.num_rows
        # A daemon: an interrupted run does not wait for the end of an object of terabytes.
        threading.Thread(
            target=self._read, args=(items, expected), name=f"batch-{number}", daemon=True
        ).start()

    def _read(self, items: list[tuple[int, ListedObject]], expected: Expected) -> None:
        def digest_of(position: int, item: ListedObject) -> Digest:
            return digest_by(self._order.settings.algorithm, expected.algorithms(position))

        in_time = takewhile(lambda _: self._order.may_read(self._run.now()), items)
        held = []  # if the run is killed, these objects stay due: they were not looked at twice
        try:
            for check in check_objects(self._run.store, in_time, digest_of, self._run.threads, self._run.now):
                if expected.is_contradicted(check):
                    held.append(check)
                else:
                    self._ended.put(check)
            if held:
                self._look_again(expected, held)
            self._ended.put(None)
        except BaseException as error:
            self.fail(error)

    def _look_again(self, expected: Expected, held: list[Check]) -> None:
        suspects, others = expected.split(held, self._workspace)
        for check in others:
            self._ended.put(check)
        if not suspects:
            return
        with self._looking:
            if self._order.budgets:
                left = egress_left(self._lake, self._order.budgets, self._lease, self._run.now())
                self._allowance.size = max(0, min(self._allowance.size, left.size))
            for check in self._second.look_again(suspects, self._order.settings.algorithm, self._allowance):
                self._ended.put(check)

    def _wait(self, heartbeat: Heartbeat, running: int, for_ever: bool = False) -> int:
        """Take in checks until all batches or the interval have ended; returns how many batches still run."""
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
            elif ended.status == FAILED:
                self._doubtful.append(ended)
                if len(self._doubtful) > _DOUBTFUL:
                    heartbeat.add(self._doubtful.popleft())
            else:
                heartbeat.add(ended)
        return 0
