"""Keeps the checks of a rolling run while it works, and its heartbeat.

Which objects are checked, and how checks get into the ledger, does not belong here.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fixity.engines.stream.engine import Check
from fixity.lake import LakeError
from fixity.rolling.lease import BEAT_SECONDS, DEAD_AFTER, Lease, held
from fixity.rolling.run import RollingRun

_KEEP_SECONDS = 5.0  # what a kill loses, at most


class Heartbeat:
    """Keeps checks as they end, a few seconds' worth at a time, and gives a heartbeat.

    Arguments: `run`, which it asks as often whether it may go on; `name`, of its files of checks.
    """

    def __init__(self, run: RollingRun, lease: Lease, workspace: Path, name: str) -> None:
        self._run = run
        self._lake = run.lake
        self._lease = lease
        self._workspace = workspace
        self._name = f"{name}{uuid.uuid4().hex[:12]}-"  # two attempts at a shard do no harm
        self._waiting: list[Check] = []
        self._lock = threading.Lock()
        self._keeping = threading.Lock()
        self._number = 0

    def add(self, check: Check) -> None:
        """Take in a check that has ended."""
        with self._lock:
            self._waiting.append(check)

    def keep(self) -> None:
        """Keep all that ended until now."""
        with self._keeping:
            with self._lock:
                waiting, self._waiting = self._waiting, []
            try:
                if not waiting:
                    held(self._lake, self._lease.bucket, self._lease.run_id)
                    return
                name = f"{self._name}{self._number + 1:06d}"
                self._lease.keep(self._lake, name, waiting, self._workspace)
                self._number += 1
            except LakeError:
                with self._lock:
                    self._waiting = waiting + self._waiting
                raise

    def work(self, stop: threading.Event, failed: Callable[[BaseException], None]) -> None:
        """Keep checks and renew the lease until `stop` is set. A lake that does not answer is tried again."""
        beat = kept = time.monotonic()
        try:
            while not stop.wait(_KEEP_SECONDS):
                self._run.refuse_over()
                try:
                    self.keep()
                    if time.monotonic() - beat >= BEAT_SECONDS:
                        self._lease.renew(self._lake, self._run.now())
                        beat = time.monotonic()
                    kept = time.monotonic()
                except LakeError:
                    if time.monotonic() - kept > DEAD_AFTER.total_seconds() / 2:
                        raise
        except BaseException as error:
            failed(error)


@contextmanager
def kept_alive(
    run: RollingRun, lease: Lease, workspace: Path, name: str, failed: Callable[[BaseException], None]
) -> Iterator[Heartbeat]:
    """A heartbeat for the length of the block; `failed` takes the error if it fails.

    If the block fails, the lease stays: other steps of the run read under it, and another attempt may. The
    next run need not wait until it is old, if it knows that this one has ended. Raises LeaseLost, LakeError.
    """
    lease.keep_alive(run.lake, run.now())  # it may have waited for long
    heartbeat = Heartbeat(run, lease, workspace, name)
    stop = threading.Event()
    thread = threading.Thread(target=heartbeat.work, args=(stop, failed), name="keep", daemon=True)
    thread.start()
    try:
        yield heartbeat
    finally:
        stop.set()
        thread.join()
        heartbeat.keep()
    lease.keep_alive(run.lake, run.now())
