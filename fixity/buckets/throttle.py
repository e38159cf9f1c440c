"""Limits reading from a store: requests at once, and bytes a second, at most and at least.

When a store asks us to slow down, all who read obey: the number of requests allowed at once is halved, then
grows by one for each round that succeeds (additive increase, multiplicative decrease, as in TCP). How many
are worth sending is found by `Finder`. Deciding to retry a request does not belong here.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from fixity.buckets.finder import Finder
from fixity.humanize import bytes_text
from fixity.in_turns import Places, sleep

_MINUTE = 60.0
_AS_A_REQUEST = 256 * 1024
"""So many bytes count as much as a request, where it is found how many at once bring more."""


class TooSlow(TimeoutError):
    """Bytes came more slowly than the floor allows, for a minute."""


class Pace:
    """How fast bytes arrive on one connection. Only the time spent waiting for them counts.

    So neither hashing nor a limit of our own is ever taken for a slow store.
    Arguments: `floor` in bytes a second, 0 for none; `clock` in seconds; `tell` gets the seconds that each
    request waited for its first bytes.
    """

    def __init__(
        self,
        floor: int = 0,
        clock: Callable[[], float] = time.monotonic,
        tell: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self.clock = clock
        self._floor = floor
        self._tell = tell
        self.begin()

    def begin(self) -> None:
        """A new request is sent."""
        self._waited_before = self._waited = 0.0
        self._bytes = 0

    def add(self, waited: float, count: int) -> None:
        """`count` bytes came, after `waited` seconds."""
        if not self._bytes:
            self._tell(waited)
        self._waited += waited
        self._bytes += count

    def check(self) -> None:
        """Call it before waiting again. Raises TooSlow."""
        if self._waited < _MINUTE:
            return
        waited, count = self._waited, self._bytes
        self._waited_before += waited
        self._waited, self._bytes = 0.0, 0
        if count < self._floor * waited:
            raise TooSlow(
                f"{bytes_text(count)} came in {waited:.0f} s, "
                f"but min_bandwidth is {bytes_text(self._floor)} a second"
            )

    def is_too_slow(self, gained: int) -> bool:
        """Whether `gained` bytes are too few for the time that the whole request waited."""
        return gained < self._floor * self.waited

    @property
    def waited(self) -> float:
        """Seconds that the whole request waited."""
        return self._waited_before + self._waited


class _Slot(AbstractContextManager[None]):
    # Not a generator: this runs for each object, and a generator costs as much as opening a file.
    def __init__(self, throttle: Throttle) -> None:
        self._throttle = throttle

    def __enter__(self) -> None:
        self._throttle._places.__enter__()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._throttle._give_back(went_well=kind is None)


class Throttle:
    """Shared by all who read one bucket.

    Arguments: `concurrency` requests at once, or what finds how many; `bandwidth` bytes a second, None for no
    limit; `floor`, bytes a second that a connection must give at least; `clock` and `sleep` in seconds,
    replaced in tests.
    """

    def __init__(
        self,
        concurrency: int | Finder,
        bandwidth: int | None = None,
        floor: int = 0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = sleep,
    ) -> None:
        self._finder = concurrency if isinstance(concurrency, Finder) else None
        self._concurrency = concurrency.size if isinstance(concurrency, Finder) else concurrency
        self.bandwidth = bandwidth
        self._floor = floor
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._allowed = float(self._concurrency)
        self._places = Places(lambda: self.allowed)
        self._soonest = 0.0  # seconds; not known
        self._slowed_at = float("-inf")
        self._paid_until = clock()
        self._slot = _Slot(self)

    @property
    def concurrency(self) -> int:
        """How many requests are allowed at once if the store does not ask for fewer."""
        return self._concurrency

    @property
    def allowed(self) -> int:
        """How many requests are allowed at once now."""
        return max(1, int(self._allowed))

    def slot(self) -> AbstractContextManager[None]:
        """Wait for one of the requests allowed at once."""
        return self._slot

    def _give_back(self, went_well: bool) -> None:
        with self._lock:
            if went_well and self._finder is not None:
                self._count(self._finder, 1.0)
            if went_well and self._allowed < self._concurrency:
                self._allowed = min(self._concurrency, self._allowed + 1 / self._allowed)
        self._places.__exit__()

    def _count(self, finder: Finder, work: float) -> None:
        """Count what was done, which may change how many are allowed at once."""
        finder.count(work, self._places.taken, self._clock(), self._soonest)
        if finder.size != self._concurrency:
            slowed = self._allowed < self._concurrency
            self._concurrency = finder.size
            self._allowed = min(self._allowed, self._concurrency) if slowed else float(self._concurrency)

    def pace(self) -> Pace:
        """The pace of a new connection."""
        return Pace(self._floor, self._clock, self._came_after)

    def _came_after(self, seconds: float) -> None:
        self._soonest = min(self._soonest or seconds, seconds)

    def slow_down(self) -> None:
        """The store asked for fewer requests: halve the number allowed, at most once a second."""
        with self._lock:
            now = self._clock()
            if now - self._slowed_at >= 1.0:
                self._slowed_at = now
                self._allowed = max(1.0, self._allowed / 2)
                if self._finder is not None:
                    self._finder.slow_down()
                    self._concurrency = self._finder.size
                    self._allowed = min(self._allowed, self._concurrency)

    def spend(self, count: int) -> None:
        """Count `count` bytes just read, and wait until the bandwidth allows more."""
        if self._finder is not None:
            with self._lock:
                self._count(self._finder, count / _AS_A_REQUEST)
        if self.bandwidth is None:
            return
        with self._lock:
            now = self._clock()
            # Unused bandwidth is saved for a tenth of a second at most, to avoid a burst after a pause.
            self._paid_until = max(self._paid_until, now - 0.1) + count / self.bandwidth
            wait = self._paid_until - now
        if wait > 0:
            self._sleep(wait)

    def back_off(self, attempt: int, base: float, at_least: float = 0.0, cap: float = 30.0) -> None:
        """Wait before attempt number `attempt` (1, 2, …): full jitter below base * 2**attempt seconds."""
        self._sleep(max(at_least, random.uniform(0, min(cap, base * 2**attempt))))
