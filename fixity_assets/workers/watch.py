"""A run's watch over a step that it has sent: whether it is done, and whether it must be sent again.

A step whose worker died is sent again, and so is one that waits for so long that the broker may have lost it.
All messages of a step share a lease: one of them is executed. While the broker does not answer, the run
waits. After that, and where the broker lost what it knew, a worker has time to say that it lives.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from celery.exceptions import TaskRevokedError

from fixity.errors import FixityError
from fixity_assets.workers.broker import PATIENCE, SILENT, BrokerSilent
from fixity_assets.workers.lease import Lease, State

_WAITS = 600.0  # seconds; a step that nobody began is sent again then, and the next time after twice as long
_MOST_DEATHS = 3
_LATE = 2.0  # seconds; a worker that lived a moment ago may just have given its result


class WorkersDied(FixityError):
    """Each worker that executed a step died or was cut off. The message says what to look at."""


class WatchedStep:
    """A step that was sent, or will be; Celery's own result, as far as Dagster uses it.

    Arguments: `send` gives the broker a message and returns Celery's result; `lease`, which all messages
    share; `dead_after`, seconds of silence after which a worker counts as dead; `clock` in seconds.
    """

    def __init__(
        self,
        send: Callable[[], Any],
        lease: Lease,
        dead_after: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send, self._lease, self._clock = send, lease, clock
        self._dead_after = dead_after
        self._results: list[Any] = []
        self._failure: Exception | None = None
        self._begun = self._is_revoked = False
        self._waits, self._deaths = _WAITS, 0
        self._seen = clock()  # when its worker was known to live, or when it was sent
        self._late = _LATE
        self._lapses = self._seen  # when its lease ends if nobody keeps it
        self._silent_since: float | None = None
        with suppress(*SILENT):
            self._results.append(send())

    def ready(self) -> bool:
        """Whether it has ended, in whatever way. Sends it, if it must be sent."""
        if self._failure is not None:
            return True
        now = self._clock()
        try:
            return self._look(now)
        except SILENT as error:
            self._silent_since = now if self._silent_since is None else self._silent_since
            if now - self._silent_since > PATIENCE:
                self._failure = BrokerSilent(
                    f"the broker has not answered for {PATIENCE / 60:.0f} minutes ({error}): start Redis "
                    "again, then re-execute the run; it reads only what is missing"
                )
            return self._failure is not None

    def _look(self, now: float) -> bool:
        if not self._results and not self._is_revoked:
            self._results.append(self._send())
        if any(result.ready() for result in self._results):
            return True
        state = self._lease.state()
        if state == "taken":
            self._begun, self._seen, self._late = True, now, _LATE
            left = self._lease.left()
            self._lapses = self._clock() + left
        if self._silent_since is not None:  # the broker may have lost what waits
            self._silent_since, self._waits = None, self._dead_after
            self._give_time()
        elif state == "free" and now < self._lapses:  # the broker lost what it knew, or stood still
            self._give_time()
        if state == "taken":
            return False
        silent = now - self._seen
        if state == "done" or self._begun:  # it may have died before it gave its result
            if silent > (self._dead_after if state == "done" else self._late):
                self._again(now, state)
        elif self._is_revoked:
            self._close()
        elif silent > self._waits:
            self._seen, self._waits = now, 2 * self._waits
            self._results.append(self._send())
        return self._failure is not None

    def _give_time(self) -> None:
        """Let a worker that could not keep its lease, or give its result, do so now."""
        self._seen = self._lapses = self._clock()
        self._late = self._dead_after

    def _again(self, now: float, state: State) -> None:
        """Send it again, because its worker died."""
        if self._is_revoked:
            self._lease.close()
            self._failure = TaskRevokedError("its worker died")
        elif self._deaths + 1 == _MOST_DEATHS:
            self._failure = WorkersDied(
                f"{_MOST_DEATHS} workers died or were cut off while they executed this step: look at their "
                "logs and their network, and whether they have enough memory"
            )
        else:
            if state == "done":
                self._lease.forget()
            self._results.append(self._send())
            self._deaths += 1
            self._begun, self._seen, self._late, self._waits = False, now, _LATE, _WAITS

    def get(self) -> Any:  # noqa: ANN401 - Celery's
        """What it returned, once it has ended. Raises what it raised, WorkersDied, BrokerSilent."""
        if self._failure is not None:
            raise self._failure
        return next(result for result in self._results if result.ready()).get()

    def revoke(self) -> None:
        """Have it executed by nobody, unless somebody has begun. That one notices that the run has ended."""
        self._is_revoked = True
        with suppress(*SILENT):  # it is closed when the broker is back
            self._close()

    def _close(self) -> None:
        if self._lease.close():
            self._failure = TaskRevokedError("the run was ended before a worker began")
