"""Runs many pieces of work in few threads: while one waits for the network, others of its thread go on.

A thread for each request costs as much as reading a small object: it is woken a dozen times an object, and
takes the interpreter from another each time. A piece of work is written as if it had a thread of its own, and
waits by the functions of this module; called outside of a turn, they wait as usual. While it waits, it must
hold no lock of another kind that others of its thread take. What the work is does not belong here.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Generic, TypeAlias, TypeVar, cast

from greenlet import getcurrent, greenlet

ValueT = TypeVar("ValueT")
_Kept: TypeAlias = "dict[OfTurn[Any], Any]"

READABLE, WRITABLE = select.POLLIN, select.POLLOUT
_poller = getattr(select, "epoll", select.poll)  # the first costs less where many wait
_WINDOW = 0.03  # seconds after which a thread looks how much of a processor it has used
_BUSY = 0.7  # of a processor: a thread that uses more is busy
_A_SECOND = 1 if hasattr(select, "epoll") else 1000


class _Turn(greenlet):
    """One piece of work in a thread that has others."""

    def __init__(self, work: Callable[[], None], thread: _Thread, kept: _Kept) -> None:
        super().__init__(work)
        self.thread = thread
        self.kept = kept
        self.came = False  # what it waited for, before its time was over


def _turn() -> _Turn | None:
    current = getcurrent()
    return current if isinstance(current, _Turn) else None


class Turns:
    """Threads whose pieces of work take turns: as few as suffice, as each takes the interpreter from others.

    Arguments: `most` threads; None for one for each piece.
    """

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._threads: list[_Thread] = []
        self._lock = threading.Lock()

    def start(self, work: Callable[[], None], name: str) -> None:
        """Start a piece of work, in a thread that has few.

        Arguments: `work`, which handles its errors; `name` of its thread, if a new one is started.
        """
        self._start(work, name, {})

    def _start(self, work: Callable[[], None], name: str, kept: _Kept) -> None:
        with self._lock:
            self._threads = [each for each in self._threads if each.is_alive()]
            while self._are_enough():
                fewest = min(self._threads, key=lambda each: each.turns)
                if fewest.take(work, kept):
                    return
                self._threads.remove(fewest)  # it has just ended
            thread = _Thread(work, name, kept)
            thread.start()
            self._threads.append(thread)

    def _are_enough(self) -> bool:
        if self._most is None or not self._threads:
            return False
        return len(self._threads) == self._most or not all(each.is_busy for each in self._threads)

    def moves(self, work: Callable[[], None]) -> bool:
        """Start a piece of work anew where the current turn's thread is busy and another would have more time
        for it, with all that is of this turn; returns whether that was so: the turn then has to end."""
        turn, threads = _turn(), list(self._threads)
        if turn is None or not turn.thread.is_busy or turn.thread.turns == 1:
            return False
        fewest = min((each.turns for each in threads), default=0)
        if turn.thread.turns <= fewest + 1 and (
            len(threads) == self._most or not all(each.is_busy for each in threads)
        ):
            return False
        try:
            self._start(work, turn.thread.name, turn.kept)
        except RuntimeError:  # no thread can be started now
            return False
        turn.kept = {}
        return True

    def expect_much(self) -> None:
        """What this turn does next will keep its thread busy: that need not be measured first."""
        turn = _turn()
        if turn is not None:
            turn.thread.is_busy = True

    def join(self) -> None:
        """Wait until all work has ended."""
        while threads := [each for each in self._threads if each.is_alive()]:
            threads[0].join()  # before it ends, it may start another


class _Thread(threading.Thread):
    """A thread with turns, which ends with the last of them."""

    def __init__(self, work: Callable[[], None], name: str, kept: _Kept) -> None:
        super().__init__(name=name, daemon=True)
        self.turns = 1
        self.is_busy = False
        self._lock = threading.Lock()
        self._new = [(work, kept)]
        self._has_ended = False
        self._ready = deque[_Turn]()
        self._waiting: dict[_Turn, tuple[float, int | None]] = {}  # until when, and for which file
        self._turn_of: dict[int, _Turn] = {}
        self._first = float("inf")  # none of those waiting is over before
        self._poller = _poller()
        self._bell, self._woken = socket.socketpair()
        self._bell.setblocking(False)
        self._poller.register(self._woken.fileno(), READABLE)

    def take(self, work: Callable[[], None], kept: _Kept) -> bool:
        """One more piece of work; returns whether the thread still takes it."""
        with self._lock:
            if self._has_ended:
                return False
            self._new.append((work, kept))
            self.turns += 1
            self._ring()
        return True

    def _ring(self) -> None:
        """Wake the thread, from another one."""
        with suppress(OSError):  # it was rung often enough, or has ended since
            self._bell.send(b".")

    def resume(self, turn: _Turn) -> None:
        """Let a turn go on; called from any thread."""
        self._ready.append(turn)
        if threading.get_ident() != self.ident:
            self._ring()

    def run(self) -> None:
        """The turns, one after the other."""
        self._measured = time.monotonic(), time.thread_time()
        try:
            while self._has_turns():
                while self._ready:
                    turn = self._ready.popleft()
                    turn.switch()
                    if turn.dead:
                        with self._lock:
                            self.turns -= 1
                self._look()
        finally:
            self._bell.close()
            self._woken.close()

    def _has_turns(self) -> bool:
        with self._lock:
            self._ready.extend(_Turn(work, self, kept) for work, kept in self._new)
            self._new.clear()
            self._has_ended = not self.turns
            return not self._has_ended

    def _look(self) -> None:
        """Wait until a turn can go on, and let all go on that can."""
        now = time.monotonic()
        seconds = 0.0 if self._ready or self._new or not self.turns else max(0.0, self._first - now)
        for file, _ in self._poller.poll(min(seconds, 3600.0) * _A_SECOND):
            if file == self._woken.fileno():
                self._woken.recv(4096)
            else:
                self._go_on(self._turn_of[file], came=True)
        now = time.monotonic()
        if now - self._measured[0] > _WINDOW:
            self._measure(now)
        if now < self._first:
            return
        for turn in [each for each, (until, _) in self._waiting.items() if until <= now]:
            self._go_on(turn, came=False)
        self._first = min((until for until, _ in self._waiting.values()), default=float("inf"))

    def _measure(self, now: float) -> None:
        (before, used_before), used = self._measured, time.thread_time()
        self.is_busy = used - used_before > _BUSY * (now - before)
        self._measured = now, used

    def _go_on(self, turn: _Turn, came: bool) -> None:
        _, file = self._waiting.pop(turn)
        if file is not None:
            self._poller.unregister(file)
            del self._turn_of[file]
        turn.came = came
        self._ready.append(turn)

    def wait(self, turn: _Turn, file: int | None, event: int, seconds: float) -> bool:
        """Called in a turn: wait for an event of a file, or only for a time; returns whether it came."""
        until = time.monotonic() + seconds
        if file is not None:
            self._poller.register(file, event)
            self._turn_of[file] = turn
        self._waiting[turn] = until, file
        self._first = min(self._first, until)
        self.others(turn)
        return turn.came

    def others(self, turn: _Turn) -> None:
        """Called in a turn: let others go on until it is resumed."""
        assert turn.parent is not None
        turn.parent.switch()


def wait_for(file: int, event: int, seconds: float) -> bool:
    """Wait for a socket; returns whether it is ready, False if the time is over.

    Arguments: `file`, its descriptor; `event`, READABLE or WRITABLE.
    """
    turn = _turn()
    if turn is not None:
        return turn.thread.wait(turn, file, event, seconds)
    poller = select.poll()
    poller.register(file, event)
    return bool(poller.poll(seconds * 1000))


def sleep(seconds: float) -> None:
    """Let time pass."""
    turn = _turn()
    if turn is None:
        time.sleep(seconds)
    else:
        turn.thread.wait(turn, None, 0, seconds)


class Signal:
    """Whoever made it waits, until it is set once, by any thread."""

    def __init__(self) -> None:
        self._turn = _turn()
        self._lock = threading.Lock()
        self._is_set = self._is_awaited = False
        self._event = threading.Event() if self._turn is None else None

    def wait(self) -> None:
        """Wait until it is set."""
        if self._event is not None:
            self._event.wait()
            return
        assert self._turn is not None
        with self._lock:
            if self._is_set:
                return
            self._is_awaited = True
        self._turn.thread.others(self._turn)

    def set(self) -> None:
        """Let the waiting one go on."""
        if self._event is not None:
            self._event.set()
            return
        assert self._turn is not None
        with self._lock:
            self._is_set = True
            if self._is_awaited:
                self._turn.thread.resume(self._turn)


class Places:
    """So many at once may be inside; others wait, and come in in their order. A lock has one place.

    Arguments: `places`, a number, or what says how many there are now.
    """

    def __init__(self, places: Callable[[], int] = lambda: 1) -> None:
        self._places = places
        self._lock = threading.Lock()
        self.taken = 0
        self._queue = deque[Signal]()

    def __enter__(self) -> None:
        with self._lock:
            if not self._queue and self.taken < self._places():
                self.taken += 1
                return
            mine = Signal()
            self._queue.append(mine)
        try:
            mine.wait()
        except BaseException:
            with self._lock:
                if mine in self._queue:
                    self._queue.remove(mine)
                    raise
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.taken -= 1
            while self._queue and self.taken < self._places():
                self.taken += 1
                self._queue.popleft().set()


def in_thread(work: Callable[[], ValueT]) -> ValueT:
    """The result of what can only wait with a whole thread; in a turn, in a thread of its own."""
    if _turn() is None:
        return work()
    result, ended = Future[ValueT](), Signal()

    def run() -> None:
        try:
            result.set_result(work())
        except BaseException as error:
            result.set_exception(error)
        ended.set()

    threading.Thread(target=run, name="aside", daemon=True).start()
    ended.wait()
    return result.result()


class OfTurn(Generic[ValueT]):
    """A value that each turn, and each thread without turns, has for itself, and that goes when it ends.

    Arguments: `make` makes it, where it is asked for.
    """

    def __init__(self, make: Callable[[], ValueT]) -> None:
        self._make = make
        self._of_thread = threading.local()

    def get(self) -> ValueT:
        """The value of the current turn, or thread."""
        turn = _turn()
        kept = self._of_thread.__dict__ if turn is None else turn.kept
        key: Any = "value" if turn is None else self
        if key not in kept:
            kept[key] = self._make()
        return cast(ValueT, kept[key])
