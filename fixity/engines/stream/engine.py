"""The engine: reads many objects at once and makes a check of each.

It takes objects in the inventory's order and gives checks in the order in which they end. Memory is
bounded by the threads' buffers. Which objects to read, and where checks are kept, does not belong here.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import NamedTuple, Protocol

from fixity.buckets import ListedObject, ObjectError, ObjectSkipped, ObjectUnreadable, Sink
from fixity.catalog import Algorithm
from fixity.clock import utc_now
from fixity.digests.algorithms import Digest
from fixity.humanize import printable
from fixity.in_order import processors
from fixity.in_turns import Turns, sleep
from fixity.tables import FAILED, SKIPPED, SUCCEEDED

_AT_ONCE = 1024 * 1024  # bytes; smaller objects are not interrupted: checking for it costs more
_BATCH = 8  # objects that a thread takes at a time, and checks that it gives back, at most
_TAKEN = 128  # objects that all threads take together: those that one has taken, no other can read
_NOT_TAKEN = 0.01  # seconds to wait where checks are not taken as fast as they are made
_ASK_AGAIN = 0.02  # seconds without a check, after which it is asked again how many objects to read at once


Threads = int | Callable[[], int]
"""How many objects to read at once: a number, or what says it, as `BucketReader.at_once`."""


class Reads(Protocol):
    """A bucket whose objects can be read, several at once.

    If it has `waits_in_turns`, see BucketReader, few threads read many objects; else each has a thread.
    """

    def read(self, item: ListedObject, sink: Sink) -> None:
        """See BucketReader."""


class Check(NamedTuple):
    """One attempt at one object: `position` in the input, and the columns of the ledger that it fills.

    `status` is succeeded (with `checksum`), failed or skipped (with `error_code` and
    `error_message`); `bytes_read` counts the hashed bytes; `checked_at` in UTC. `others`: checksums of the
    same bytes by other algorithms. `reads`: how often the bytes were read. `made_by`: the run that made
    it, if it is not this one.
    """

    position: int
    status: str
    checksum: str | None
    error_code: str | None
    error_message: str | None
    bytes_read: int
    checked_at: datetime
    others: dict[Algorithm, str] = {}  # noqa: RUF012 - a NamedTuple has no default factory; nobody writes to it
    reads: int = 1
    made_by: str | None = None

    def checksums(self, own: Algorithm) -> dict[Algorithm, str | None]:
        """All checksums of the bytes, by their algorithms. Arguments: `own`, the algorithm of `checksum`."""
        return {**self.others, own: self.checksum}


def check_object(
    store: Reads,
    item: ListedObject,
    digest: Digest,
    position: int = 0,
    now: Callable[[], datetime] = utc_now,
    sink: Sink | None = None,
) -> Check:
    """Read one object into `digest`, through `sink` if there is one. Raises only BucketUnreachable."""
    try:
        store.read(item, sink or digest)
    except ObjectUnreadable as error:
        return Check(position, FAILED, None, error.code, _told(error), digest.count, now())
    except ObjectSkipped as error:
        return Check(position, SKIPPED, None, error.code, _told(error), digest.count, now())
    checksum = digest.hexdigest()
    return Check(position, SUCCEEDED, checksum, None, None, digest.count, now(), digest.others())


def _told(error: ObjectError) -> str:
    """An error for the table: some of its words are the store's."""
    return printable(error.message)[:500]


class _Stopped(Exception):
    """Nobody needs the checks any more; raised only inside the threads."""


class _StoppableSink:
    """Passes bytes to a digest until the engine stops, so that a large object ends soon."""

    def __init__(self, digest: Digest, stop: threading.Event) -> None:
        self._digest = digest
        self._stop = stop

    @property
    def count(self) -> int:
        return self._digest.count

    def update(self, piece: memoryview) -> None:
        if self._stop.is_set():
            raise _Stopped
        self._digest.update(piece)

    def restart(self) -> None:
        self._digest.restart()


def check_objects(
    store: Reads,
    items: Iterable[tuple[int, ListedObject]],
    digest_of: Callable[[int, ListedObject], Digest],
    threads: Threads,
    now: Callable[[], datetime] = utc_now,
) -> Generator[Check]:
    """Check many objects, `threads` at once; yields each check as it ends.

    Arguments: `items`, positions and objects, consumed a little ahead of the reading; `digest_of`
    makes the digest of the object at a position, in the thread that reads it; `threads`, a number, or what
    says it and is asked again and again.
    Raises BucketUnreachable (the first one) and any error of `items`, after the checks that were done until
    then. After an error, and when the iterator is closed, the threads end after the piece, or the small
    object, that they are reading.
    """
    source = iter(items)
    at_once = threads if callable(threads) else partial(int, threads)
    taking = threading.Lock()
    reading = 0  # threads that read, or will
    spent = threading.Event()  # all objects are taken
    stop = threading.Event()  # nothing more is read
    closed = threading.Event()  # and nobody takes checks
    done: queue.SimpleQueue[list[Check] | BaseException | None] = queue.SimpleQueue()
    most_waiting = at_once() * 4

    def take() -> list[tuple[int, ListedObject]]:
        # Large objects one by one, small ones in batches. Nothing, if there are too many threads.
        nonlocal reading
        with taking:
            taken: list[tuple[int, ListedObject]] = []
            volume = 0
            if reading > at_once():
                reading -= 1
                return taken
            most = min(_BATCH, _TAKEN // reading)
            for position, item in source:
                taken.append((position, item))
                volume += item.size
                if len(taken) >= most or volume > 4 * 1024 * 1024:
                    return taken
            spent.set()
            return taken

    def give(result: list[Check] | BaseException | None) -> None:
        while done.qsize() >= most_waiting and not closed.is_set():
            sleep(_NOT_TAKEN)
        if closed.is_set():
            raise _Stopped
        done.put(result)

    def work() -> None:
        checks: list[Check] = []
        failure: BaseException | None = None
        try:
            while not stop.is_set() and (batch := take()):
                if batch[0][1].size > _AT_ONCE:
                    workers.expect_much()
                for position, item in batch:
                    if stop.is_set():
                        raise _Stopped
                    digest = digest_of(position, item)
                    sink = _StoppableSink(digest, stop) if item.size > _AT_ONCE else digest
                    checks.append(check_object(store, item, digest, position, now, sink))
                give(checks)
                checks = []
                if workers.moves(work):
                    return
        except _Stopped:
            pass
        except BaseException as error:
            failure = error
        with suppress(_Stopped):
            if checks:
                give(checks)
            give(failure)

    workers = Turns(processors() if getattr(store, "waits_in_turns", False) else None)
    started = 0

    def start(more: int) -> int:
        nonlocal reading, started
        if more <= 0 or spent.is_set() or stop.is_set():
            return 0
        with taking:
            reading += more
        for _ in range(more):
            workers.start(work, name=f"hash-{started}")
            started += 1
        return more

    failure: BaseException | None = None
    running = 0
    try:
        while True:
            running += start(at_once() - running)
            if not running:
                break
            try:
                result = done.get(timeout=_ASK_AGAIN)
            except queue.Empty:
                continue
            if isinstance(result, list):
                yield from result
                continue
            running -= 1
            if result is not None:
                failure = failure or result
                stop.set()
        if failure is not None:
            raise failure
    finally:
        stop.set()
        closed.set()
        workers.join()
