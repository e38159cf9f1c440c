"""The lease of a step: a key of Redis that the worker which executes it keeps alive.

Whoever takes it may execute the step. A key that is gone means that its worker died, lost the network, or has
not begun. What is done then does not belong here.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal

from redis.exceptions import RedisError

from fixity_assets.workers.broker import SILENT, patiently

if TYPE_CHECKING:
    from redis import Redis

_DONE = "done"
_KEPT = 7 * 24 * 60 * 60  # seconds for which it is known that a step is done
_HOLD = """
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""

State = Literal["free", "taken", "done"]


def _end_this_process() -> None:
    """Without a word: an error would count as the step's, which goes on elsewhere."""
    os.kill(os.getpid(), signal.SIGKILL)


class Lease:
    """The lease of one sending of a step.

    Arguments: `sending`, its id; `seconds` of silence after which its worker counts as dead; `lost` is called
    in another thread when somebody else has taken it.
    """

    def __init__(
        self, redis: Redis, sending: str, seconds: float, lost: Callable[[], Any] = _end_this_process
    ) -> None:
        self._redis = redis
        self._key = f"fixity:step:{sending}"
        self._seconds = seconds
        self._lost = lost
        self._owner = str(uuid.uuid4())
        self._until = 0.0  # by our clock: until then nobody else can have it

    def state(self) -> State:
        """Who has it. Raises RedisError."""
        value = self._value()
        return "free" if value is None else "done" if value == _DONE else "taken"

    def left(self) -> float:
        """For how many seconds it stays taken if nobody keeps it. Raises RedisError."""
        left: Any = self._redis.pttl(self._key)
        return float(left) / 1000

    def take(self) -> bool:
        """Take it, or keep it; False if somebody else has it, or the step is done. Raises RedisError."""
        asked = time.monotonic()
        if is_ours := self._hold(self._owner, self._seconds):
            self._until = asked + self._seconds
        return is_ours

    def wait_while_in_doubt(self) -> None:
        """Wait while somebody else may have taken it. Only for a lease that is kept: if somebody has, `lost`
        is called meanwhile."""
        while time.monotonic() >= self._until:
            time.sleep(self._seconds / 40)

    def close(self) -> bool:
        """Have nobody begin the step any more; whether nobody had. Raises RedisError."""
        return bool(self._redis.set(self._key, _DONE, nx=True, ex=_KEPT))

    def forget(self) -> None:
        """Have the step executed again. Raises RedisError."""
        self._redis.delete(self._key)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep a lease that was taken for the length of a `with` block. Then the step is done.

        Where somebody else has taken it, `lost` is called in place of that: the step has no result here.
        """
        ended = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(ended,), name="lease", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            ended.set()
            keeper.join()
            with suppress(RedisError):  # then the run, too, has given up
                if not patiently(lambda: self._hold(_DONE, _KEPT)):
                    self._lost()

    def _keep(self, ended: threading.Event) -> None:
        pause = self._seconds / 4
        while not ended.wait(pause):
            try:
                is_ours = self.take()  # also if Redis forgot it
            except (RedisError, *SILENT):  # meanwhile nobody can take the lease, but as soon as it is back
                pause = self._seconds / 40
                continue
            pause = self._seconds / 4
            if not is_ours:
                self._lost()
                return

    def _hold(self, value: str, seconds: float) -> bool:
        """Write a value unless somebody else has the lease; whether it was written. Raises RedisError."""
        return bool(self._redis.eval(_HOLD, 1, self._key, self._owner, value, int(seconds * 1000)))

    def _value(self) -> str | None:
        value: Any = self._redis.get(self._key)
        return value.decode() if value is not None else None
