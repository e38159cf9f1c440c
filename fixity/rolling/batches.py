"""Reads a shard of a rolling run's batch, under the run's lease, and the batches that come after it.

If a batch takes longer than its interval, the step with most bytes to read starts the next batch in parallel,
within the same limits of the store. No object is read twice. How the run begins and ends is in `roll`.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from contextlib import closing
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.buckets import ListedObject, listed_objects
from fixity.digests.algorithms import Digest, digest_by
from fixity.engines.stream.engine import Check, check_objects
from fixity.engines.stream.second_look import SecondReader, allowance_of_run
from fixity.engines.stream.shards import Plan, Shard
from fixity.ledger.snapshot import in_force
from fixity.rolling.egress import egress_left
from fixity.rolling.heartbeat import Heartbeat, kept_alive
from fixity.rolling.lease import Lease, held
from fixity.rolling.order import Order
from fixity.rolling.run import RollingRun
from fixity.rolling.suspects import Expected
from fixity.rolling.take import take_batch
from fixity.tables import FAILED, Provenance

_Ended = queue.Queue[Check | BaseException | None]
"""What reading gives: checks, None at the end of a batch, and errors that end the run."""
_DOUBTFUL = 4  # the last failed checks: dropped if the run then ends because its rights were lost
_MOST_BATCHES = 8  # of one run: then it ends, so that its results are known, and the next run goes on


def check_shard(order: Order, run: RollingRun, plan: Plan, shard: Shard) -> None:
    """Check what no attempt has checked of a shard, and keep the checks with the run's lease.

    Raises LeaseLost, RunOver, BucketUnreachable, LakeError. Checks made until then are kept: another attempt
    goes on, or the next run takes them over.
    """
    run.refuse_over()
    assert plan.bucket is not None and plan.run_id is not None  # a rolling run's plan has both
    lease = held(run.lake, plan.bucket, plan.run_id)
    # The catalog may name another algorithm since, and all shards are read by one.
    order = replace(order, settings=replace(order.settings, algorithm=plan.algorithm))
    with run.lake.workspace() as workspace:
        name = f"{shard.first:012d}-"
        done = lease.checks(run.lake, workspace, name)
        with (
            closing(_Batches(order, run, lease, workspace)) as batches,
            kept_alive(run, lease, workspace, name, batches.fail) as heartbeat,
        ):
            batches.check(heartbeat, shard, {each for file in done for each in _positions(file)})
            if shard == max(plan.shards, key=lambda each: each.size):
                batches.go_on(heartbeat)
            batches.wait(heartbeat)


def _positions(file: Path) -> list[int]:
    positions: list[int] = pq.read_table(file, columns=["position"]).column("position").to_pylist()
    return positions


class _Closed(Exception):
    """Nobody takes the checks any more; raised only where batches are read."""


class _Batches:
    """Batches of one step, each read by threads of its own within the store's one throttle."""

    def __init__(self, order: Order, run: RollingRun, lease: Lease, workspace: Path) -> None:
        self._order = order
        self._run = run
        self._lake = run.lake
        self._lease = lease
        self._workspace = workspace
        self._ended = _Ended()
        self._running = 0
        self._taken = lease.batches(run.lake, workspace)
        self._closed = threading.Event()
        self._second = SecondReader(run.store, self._at_once, order.settings.etag_is_md5, run.now)
        self._looking = threading.Lock()  # batches in parallel share what may be read again
        self._doubtful: deque[Check] = deque()

    def fail(self, error: BaseException) -> None:
        """End the step with an error, for example that the lease is lost."""
        self._ended.put(error)

    def close(self) -> None:
        """Read nothing more; whatever is read still ends by itself, and soon."""
        self._closed.set()

    def _at_once(self) -> int:
        """How many objects to read at once; the reading asks again and again. Raises _Closed."""
        if self._closed.is_set():
            raise _Closed
        threads = self._run.threads
        return threads() if callable(threads) else threads

    def check(self, heartbeat: Heartbeat, shard: Shard, done: set[int]) -> None:
        """Check a shard of the first batch, without the positions that are done, for one interval at most."""
        rows = pq.read_table(self._taken[0]).slice(shard.first, shard.objects)
        self._begin(rows, shard.first, done)
        self._wait(heartbeat)

    def go_on(self, heartbeat: Heartbeat) -> None:
        """Check batch after batch, until one ends within its interval, or there were enough for one run."""
        while self._running and not self._order.keys and len(self._taken) < _MOST_BATCHES:
            snapshot = in_force(self._lake, self._order.bucket)
            chosen_from = Provenance.read(self._taken[0]).run_id
            if snapshot is None or snapshot.generation != chosen_from:
                return  # the bucket was listed again: the next run goes on with that
            self._run.log(
                f"{self._order.bucket}: the batch takes longer than its interval; the next runs in parallel"
            )
            batch, file = take_batch(
                self._order, self._run, snapshot, self._lease, self._taken, self._workspace
            )
            if file is None:
                return
            first = sum(pq.read_metadata(each).num_rows for each in self._taken)
            self._taken.append(file)
            self._begin(batch.rows, first, set())
            self._wait(heartbeat)
            while self._running > 1:  # one batch in parallel is enough: newer objects are checked meanwhile
                self._wait(heartbeat)

    def wait(self, heartbeat: Heartbeat) -> None:
        """Take in checks until all batches have ended."""
        self._wait(heartbeat, for_ever=True)
        for check in self._doubtful:
            heartbeat.add(check)

    def _begin(self, rows: pa.Table, first: int, done: set[int]) -> None:
        items = [each for each in enumerate(listed_objects(rows), first) if each[0] not in done]
        expected = Expected(rows, first, self._order.settings.algorithm)
        self._running += 1
        # A daemon: an interrupted run does not wait for the end of an object of terabytes.
        threading.Thread(
            target=self._read, args=(items, expected), name=f"batch-{first}", daemon=True
        ).start()

    def _read(self, items: list[tuple[int, ListedObject]], expected: Expected) -> None:
        def digest_of(position: int, item: ListedObject) -> Digest:
            return digest_by(self._order.settings.algorithm, expected.algorithms(position))

        in_time = takewhile(lambda _: self._order.may_read(self._run.now()), items)
        held_back = []  # if the run is killed, these objects stay due: they were not looked at twice
        try:
            for check in check_objects(self._run.store, in_time, digest_of, self._at_once, self._run.now):
                if expected.is_contradicted(check):
                    held_back.append(check)
                else:
                    self._ended.put(check)
            if held_back:
                self._look_again(expected, held_back)
            self._ended.put(None)
        except BaseException as error:
            self.fail(error)

    def _look_again(self, expected: Expected, held_back: list[Check]) -> None:
        suspects, others = expected.split(held_back, self._workspace)
        for check in others:
            self._ended.put(check)
        if not suspects:
            return
        notes, limits = f"{self._lease.folder}looked/", self._run.second_look
        if self._order.budgets:
            left = egress_left(self._lake, self._order.budgets, self._lease, self._run.now())
            limits = limits.model_copy(update={"bytes": max(0, min(limits.bytes, left.size))})
        name = str(suspects[0].check.position)
        with self._looking, allowance_of_run(self._lake, notes, limits, name) as allowance:
            for check in self._second.look_again(suspects, self._order.settings.algorithm, allowance):
                self._ended.put(check)

    def _wait(self, heartbeat: Heartbeat, for_ever: bool = False) -> None:
        """Take in checks until all batches or the interval have ended."""
        until = time.monotonic() + self._order.interval
        while self._running:
            try:
                left = None if for_ever else max(0.0, until - time.monotonic())
                ended = self._ended.get(timeout=left)
            except queue.Empty:
                return
            if ended is None:
                self._running -= 1
            elif isinstance(ended, BaseException):
                raise ended
            elif ended.status == FAILED:
                self._doubtful.append(ended)
                if len(self._doubtful) > _DOUBTFUL:
                    heartbeat.add(self._doubtful.popleft())
            else:
                heartbeat.add(ended)
