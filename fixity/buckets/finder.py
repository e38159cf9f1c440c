"""Finds how many requests at once bring more from a store.

A pure calculation: whoever counts the requests says when they ended. It doubles the number while that brings
more, then tries a little more or twice as many now and then. What brings nothing more is taken back, never
below the last number that did. Where this machine has no time left, no more are tried: each thread would
only cost. Counting and limiting requests does not belong here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

START = 16
"""How many requests are sent at once, to begin with."""
MOST = 256
"""How many requests are sent at once, at most, unless the catalog says more."""

_GAIN = 1.05
_ROUNDS = 3  # each of the requests at once takes its turn so many times, or a window says little
_QUICK, _WINDOW = 0.25, 1.0  # seconds: nothing was tried in vain yet; something was
_REMEMBERED = 4  # windows that a try is held against: the best of them, so that noise is no gain
_CHANGED = 0.7  # a rate so much below what was, or above it, is of another store, or of other objects
_LONGEST_PAUSE = 64  # windows between two tries
_BUSY = 0.9


def has_time() -> bool:
    """Whether the processors of this machine were idle for a tenth of the time since this was last asked."""
    import psutil  # not needed for directories, nor where the catalog says how many requests

    return psutil.cpu_percent() < 100 * _BUSY


class Finder:
    """How many requests to send at once.

    Arguments: `start` and `most` of them; `has_time`, whether the machine could do more than it did since it
    was last asked. `size`: how many now.
    """

    def __init__(
        self, start: int = START, most: int = MOST, has_time: Callable[[], bool] = lambda: True
    ) -> None:
        self.start = min(start, most)
        self.most = most
        self._has_time = has_time
        has_time()  # what is asked later begins now
        self.size = self.good = self.start
        self._rates: deque[float] = deque(maxlen=_REMEMBERED)
        self._quick = True
        self._twice = True
        self._pause = 1
        self._left = 3  # windows before the first try: while connections open, anything seems to bring more
        self._settling = True
        self._begun: float | None = None

    def count(self, work: float, active: int, now: float) -> None:
        """Count what was done.

        Arguments: `work`, in requests, or in what takes as long; `active`, the requests that are under way;
        `now` in seconds.
        """
        if self._begun is None:
            self._begin(now)
        else:
            self._work += work
            self._moments += 1
            self._active += active
            if self._settling:  # connections are opened, requests of before end
                if self._work >= self.size:
                    self._settling = False
                    self._begin(now)
                return
            seconds = now - self._begun
            if seconds < (_QUICK if self._quick else _WINDOW) or self._work < _ROUNDS * self.size:
                return
            rate, was_full = self._work / seconds, 2 * self._active > self.size * self._moments
            self._begin(now)
            if was_full:  # else not the store, but what was asked of it, says how much came
                self._judge(rate)

    def slow_down(self) -> None:
        """The store asked for fewer requests."""
        if self.size == self.good:
            self.good = max(self.start, self.good * 3 // 4)
            self._rates.clear()
        self._take_back()

    def _begin(self, now: float) -> None:
        self._begun = now
        self._work = 0.0
        self._active = self._moments = 0

    def _judge(self, rate: float) -> None:
        if self.size != self.good:
            if rate > _GAIN * max(self._rates):
                self.good = self.size
                self._rates.clear()
                self._rates.append(rate)
                self._pause = self._left = 1
                self._try_more()
            else:
                self._take_back()
            return
        if self._rates and not _CHANGED < rate / max(self._rates) < 1 / _CHANGED:
            self._rates.clear()
            self._pause = self._left = 1
        self._rates.append(rate)
        self._left -= 1
        if self._left <= 0:
            self._try_more()

    def _try_more(self) -> None:
        if not self._has_time():
            return
        more = self.good if self._twice else max(1, self.good // 4)
        self._set(min(self.most, self.good + more))

    def _take_back(self) -> None:
        self._quick = False
        self._twice = not self._twice
        self._left = self._pause
        self._pause = min(_LONGEST_PAUSE, self._pause * 2)
        self._set(self.good)

    def _set(self, size: int) -> None:
        self._settling = size != self.size
        self.size = size
        self._begun = None
