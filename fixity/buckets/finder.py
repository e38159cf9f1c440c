"""Finds how many requests at once bring more from a store.

A pure calculation: whoever counts the requests says when they ended. By how long the soonest waited, and
what a request costs, it reckons how many at once would keep the processor busy, and tries that first. It
raises the number in short windows, then to twice as many at most, while that clearly brings more; then, in
long ones, it tries a little more or many more now and then. What brings nothing more is taken back, never
below the last number that did. Counting and limiting requests does not belong here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

START = 16
"""How many requests are sent at once, to begin with."""
MOST = 256
"""How many requests are sent at once, at most, unless the catalog says more."""

_CLEAR_GAIN, _GAIN = 1.25, 1.05  # of a try in a short window, which says less, and in a long one
_ROUNDS = 2  # each of the requests at once takes its turn so many times, or a window says little
_FIRST_QUICK, _QUICK, _WINDOW = 0.03, 0.1, 1.0  # seconds: to begin with; a try brought more; one was in vain
_REMEMBERED = 4  # windows that a try is held against: the best of them, so that noise is no gain
_CHANGED = 0.7  # a rate so much below what was, or above it, is of another store, or of other objects
_STEP = 64  # more at most: to open many connections at once costs time
_SPARE = 3  # times as many as what came needs, if no request waits for another
_NEARLY = 0.8  # of as many times more as are at once
_IDLE = 0.5  # the share of the time that the processor is busy; if it is less, many more are tried at once
_LONGEST_PAUSE = 64  # windows between two tries


class Finder:
    """How many requests to send at once.

    Arguments: `start` and `most` of them; `busy`, the seconds that this process has used of a processor, None
    if that is not known. `size`: how many now.
    """

    def __init__(self, start: int = START, most: int = MOST, busy: Callable[[], float] | None = None) -> None:
        self.start = min(start, most)
        self.most = most
        self._busy = busy
        self.size = self.good = self.start
        self._rates: deque[float] = deque(maxlen=_REMEMBERED)
        self._in_vain = 0  # tries since the last one that brought more
        self._is_waking = True  # until the store gives as much as the moment before, or more were tried
        self._left = 2  # windows before the next try
        self._settling = True
        self._before = 0  # so many were under way when something was done before
        self._begun: float | None = None

    def count(self, work: float, active: int, now: float, soonest: float = 0.0) -> None:
        """Count what was done.

        Arguments: `work`, in requests, or in what takes as long; `active`, the requests that are under way;
        `now` in seconds; `soonest`, the seconds that one waits for the store at least, 0 if not known.
        """
        one_by_one = active == self._before == 1 < self.size  # which says nothing of many at once
        self._before = active
        if self._begun is None or one_by_one:
            self._begin(now)
            return
        self._work += work
        self._moments += 1
        self._active += active
        if self._settling:  # connections are opened, requests of before end
            if self._work >= self.size:
                self._settling = False
                self._begin(now)
            return
        seconds = now - self._begun
        least, rounds = (_QUICK if self._is_quick else _WINDOW), _ROUNDS
        if self._is_waking:
            least, rounds = _FIRST_QUICK, 1
        if seconds < least or self._work < rounds * self.size:
            return
        rate, was_full = self._work / seconds, 2 * self._active > self.size * self._moments
        enough = self._enough(seconds, soonest) if self._is_waking else 0
        self._begin(now)
        if was_full:  # else not the store, but what was asked of it, says how much came
            self._judge(rate, enough)

    def slow_down(self) -> None:
        """The store asked for fewer requests."""
        if self.size == self.good:
            self.good = max(self.start, self.good * 3 // 4)
            self._rates.clear()
        self._take_back()

    @property
    def _is_quick(self) -> bool:
        return self._in_vain == 0

    def _begin(self, now: float) -> None:
        self._begun = now
        self._used = self._busy() if self._busy else 0.0
        self._work = 0.0
        self._active = self._moments = 0

    def _enough(self, seconds: float, soonest: float) -> int:
        """How many at once would keep the processor busy, by what was done in `seconds`; 0 if few more."""
        used = self._busy() - self._used if self._busy else 0.0
        if not used:
            return 0
        # A store that was asked for nothing is slow at first: the soonest answer says how far away it is.
        waited = min(soonest / used * self._work, seconds / used * self.size)
        # Twice as many, as if all took equally long, which they do not.
        return int(min(self.most, 2 * waited)) if _IDLE * waited > self.size else 0

    def _judge(self, rate: float, enough: int) -> None:
        """Arguments: `rate` of work a second; `enough` at once to keep a processor busy, or 0."""
        if self.size != self.good:
            gain = rate / max(self._rates)
            if gain <= (_CLEAR_GAIN if self._is_quick else _GAIN):
                self._take_back()
                return
            reckoned, times = self.size > 2 * self.good, self.size / self.good
            # Without waiting for each other, `gain` times as many would do; a few times that are enough.
            self.good = min(self.size, int(_SPARE * gain * self.good))
            self._rates.clear()
            # Many at once that brought less than as many times more are enough for now.
            self._in_vain = int(reckoned and gain < _NEARLY * times)
            self._left = 2 * self._in_vain
        elif self._rates and not _CHANGED < rate / max(self._rates) < 1 / _CHANGED:
            self._rates.clear()
            self._left = 2 if self._is_waking else 1
        else:
            self._is_waking &= not self._rates
        self._rates.append(rate)
        self._left -= 1
        if self._left <= 0 or enough:
            more = min(_STEP, self.good) if self._in_vain % 2 == 0 else max(1, self.good // 4)
            self._set(min(self.most, max(self.good + more, enough)))

    def _take_back(self) -> None:
        self._in_vain += 1
        self._left = min(_LONGEST_PAUSE, 2**self._in_vain // 2)
        self._set(self.good)

    def _set(self, size: int) -> None:
        self._is_waking &= size == self.size  # later the waiting is also for one another
        self._settling = size != self.size
        self.size = size
        self._begun = None
