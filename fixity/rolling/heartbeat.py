"""Keeps the checks of a rolling run while it works, and its heartbeat.

Which objects are checked, and how checks get into the ledger, does not belong here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from fixity.engines.stream.engine import Check
from fixity.lake import Lake, LakeError
from fixity.rolling.lease import BEAT_SECONDS, DEAD_AFTER, Lease

_KEEP_SECONDS = 5.0  # what a kill loses, at most


class Heartbeat:
    """Keeps checks as they end, a few seconds' worth at a time, and gives a heartbeat.

    Arguments: `ask` is called as often; it raises if the run must not go on.
    """

    def __init__(
        self,
        lake: Lake,
        lease: Lease,
        workspace: Path,
        now: Callable[[], datetime],
        ask: Callable[[], None],
    ) -> None:
        self._lake = lake
        self._lease = lease
        self._workspace = workspace
        self._now = now
        self._ask = ask
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
                self._lease.hold(self._lake)
                if waiting:
                    self._lease.keep(self._lake, self._number + 1, waiting, self._workspace)
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
                self._ask()
                try:
                    self.keep()
                    if time.monotonic() - beat >= BEAT_SECONDS:
                        self._lease.renew(self._lake, self._now())
                        beat = time.monotonic()
                    kept = time.monotonic()
                except LakeError:
                    if time.monotonic() - kept > DEAD_AFTER.total_seconds() / 2:
                        raise
        except BaseException as error:
            failed(error)


@contextmanager
def kept_alive(
    lake: Lake,
    lease: Lease,
    workspace: Path,
    now: Callable[[], datetime],
    failed: Callable[[BaseException], None],
    ask: Callable[[], None],
) -> Iterator[Heartbeat]:
    """A heartbeat for the length of the block; `failed` takes the error if it fails. Raises LakeError."""
    heartbeat = Heartbeat(lake, lease, workspace, now, ask)
    stop = threading.Event()
    thread = threading.Thread(target=heartbeat.work, args=(stop, failed), name="keep", daemon=True)
    thread.start()
    try:
        yield heartbeat
    finally:
        stop.set()
        thread.join()
        heartbeat.keep()
