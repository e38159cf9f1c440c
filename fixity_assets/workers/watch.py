"""A run's watch over a step that it has sent: whether it is done, and whether it must be sent again.

A step whose worker died is sent again, and so is one that waits for so long that the broker may have lost it.
All messages of a step share a lease: one of them is executed. While the broker does not answer, the run
waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from celery.exceptions import TaskRevokedError

from fixity.errors import FixityError
from fixity_assets.workers.broker import PATIENCE, SILENT, BrokerSilent
from fixity_assets.workers.lease import Lease

_WAITS = 600.0  # seconds; a step that nobody began is sent again then, and the next time after twice as long
_MOST_DEATHS = 3
_LATE = 2.0  # seconds; a worker that lived a moment ago may just have given its result


class WorkersDied(FixityError):
    """Each worker that executed a step died. The message says what to look at."""


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
        self._silent_since: float | None = None
        with suppress(*SILENT):
            self._results.append(send())

    @property
    def is_silent(self) -> bool:
        """Whether the broker did not answer when it was asked last."""
        return self._silent_since is not None

    def ready(self) -> bool:
        """Whether it has ended, in whatever way. Sends it, if it must be sent."""
        if self._failure is not None:
            return True
        now = self._clock()
        try:
            ended = self._look(now)
        except SILENT as error:
            self._silent_since = now if self._silent_since is None else self._silent_since
            if now - self._silent_since > PATIENCE:
                self._failure = BrokerSilent(
                    f"the broker has not answered for {PATIENCE / 60:.0f} minutes ({error}): start Redis "
                    "again, then re-execute the run; it reads only what is missing"
                )
            return self._failure is not None
        if (
            self._silent_since is not None
        ):  # nobody could keep a lease, and the broker may have lost what waits
            self._silent_since, self._seen, self._waits = None, now, self._dead_after
        return ended

    def _look(self, now: float) -> bool:
        if not self._results:
            self._results.append(self._send())
        if any(result.ready() for result in self._results):
            return True
        state = self._lease.state()
        if state == "taken":
            self._begun, self._seen = True, now
        silent = now - self._seen
        if state == "done" and silent > self._dead_after:  # it has died before it gave its result
            self._lease.forget()
            self._again(now)
        elif state == "free" and self._begun and silent > _LATE:
            self._again(now)
        elif state == "free" and not self._begun and silent > self._waits:
            self._seen, self._waits = now, 2 * self._waits
            self._results.append(self._send())
        return self._failure is not None

    def _again(self, now: float) -> None:
        """Send it again, because its worker died."""
        self._deaths += 1
        if self._is_revoked:
            self._failure = TaskRevokedError("its worker died")
        elif self._deaths == _MOST_DEATHS:
            self._failure = WorkersDied(
                f"{_MOST_DEATHS} workers died while they executed this step: look at their logs, and whether "
                "they have enough memory"
            )
        else:
            self._begun, self._seen, self._waits = False, now, _WAITS
            self._results.append(self._send())

    def get(self) -> Any:  # noqa: ANN401 - Celery's
        """What it returned, once it has ended. Raises what it raised, WorkersDied, BrokerSilent."""
        if self._failure is not None:
            raise self._failure
        return next(result for result in self._results if result.ready()).get()

    def revoke(self) -> None:
        """Have it executed by nobody, unless somebody has begun. That one notices that the run has ended."""
        self._is_revoked = True
        with suppress(*SILENT):
            if self._lease.close():
                self._failure = TaskRevokedError("the run was ended before a worker began")
