"""Finds how many requests at once bring more from a store.

A pure calculation: whoever counts the requests says when they ended. It raises the number in short windows,
to twice as many at most, while that clearly brings more; then, in long ones, it tries a little more or many
more now and then. What brings nothing more is taken back, never below the last number that did. Counting and
limiting requests does not belong here.
"""

from __future__ import annotations

from collections import deque

START = 16
"""How many requests are sent at once, to begin with."""
MOST = 256
"""How many requests are sent at once, at most, unless the catalog says more."""

_CLEAR_GAIN, _GAIN = 1.25, 1.05  # of a try in a short window, which says less, and in a long one
_ROUNDS = 2  # each of the requests at once takes its turn so many times, or a window says little
_QUICK, _WINDOW = 0.1, 1.0  # seconds: what was tried brought more; something was tried in vain
_REMEMBERED = 4  # windows that a try is held against: the best of them, so that noise is no gain
_CHANGED = 0.7  # a rate so much below what was, or above it, is of another store, or of other objects
_STEP = 64  # more at most: to open many connections at once costs time
_LONGEST_PAUSE = 64  # windows between two tries


class Finder:
    """How many requests to send at once.

    Arguments: `start` and `most` of them. `size`: how many now.
    """

    def __init__(self, start: int = START, most: int = MOST) -> None:
        self.start = min(start, most)
        self.most = most
        self.size = self.good = self.start
        self._rates: deque[float] = deque(maxlen=_REMEMBERED)
        self._in_vain = 0  # tries since the last one that brought more
        self._left = 1  # windows before the next try
        self._settling = True
        self._begun: float | None = None

    def count(self, work: float, active: int, now: float) -> None:
        """Count what was done.

        Arguments: `work`, in requests, or in what takes as long; `active`, the requests that are under way;
        `now` in seconds.
        """
        if self._begun is None:
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
        if seconds < (_QUICK if self._is_quick else _WINDOW) or self._work < _ROUNDS * self.size:
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

    @property
    def _is_quick(self) -> bool:
        return self._in_vain == 0

    def _begin(self, now: float) -> None:
        self._begun = now
        self._work = 0.0
        self._active = self._moments = 0

    def _judge(self, rate: float) -> None:
        if self.size != self.good:
            if rate <= (_CLEAR_GAIN if self._is_quick else _GAIN) * max(self._rates):
                self._take_back()
                return
            self.good = self.size
            self._rates.clear()
            self._in_vain = self._left = 0
        elif self._rates and not _CHANGED < rate / max(self._rates) < 1 / _CHANGED:
            self._rates.clear()
            self._left = 1
        self._rates.append(rate)
        self._left -= 1
        if self._left <= 0:
            self._try_more()

    def _try_more(self) -> None:
        more = min(_STEP, self.good) if self._in_vain % 2 == 0 else max(1, self.good // 4)
        self._set(min(self.most, self.good + more))

    def _take_back(self) -> None:
        self._in_vain += 1
        self._left = min(_LONGEST_PAUSE, 2**self._in_vain // 2)
        self._set(self.good)

    def _set(self, size: int) -> None:
        self._settling = size != self.size
        self.size = size
        self._begun = None
