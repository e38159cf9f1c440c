"""Lists a bucket in ranges of keys, several at once, and joins them in the order of the store.

A range lists what comes after its first key, up to and with its last one, and a little beyond: the first key
beyond must be the one that the next range begins with. Then nothing lies between them, and nothing is in
both, whatever the order in which the store goes on after a key. Where it is another one (the store does not
begin after a key, its order is not that of the keys, an object came or went just there), the range before
lists on in the place of the next one. Asking for pages does not belong here.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence

import pyarrow as pa

from fixity import compute as pc

MOST_AT_ONCE = 64
_MOST_HELD = 128
"""Pages that wait in memory for the ranges before theirs, or for whoever takes their rows, at most, beside
one for each range under way."""

_CODEC = pa.Codec("zstd", 1)

Lists = Callable[[str | None], Iterator[pa.RecordBatch]]
"""Lists all that comes after a key; all of the bucket after None."""


class _Packed:
    """Rows that wait, in less than half their room, for a fifth of the time that it takes to parse them."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        whole = batch.serialize()
        self._schema, self._size = batch.schema, whole.size
        self._stored = _CODEC.compress(whole, asbytes=True)

    def rows(self) -> pa.RecordBatch:
        return pa.ipc.read_record_batch(_CODEC.decompress(self._stored, self._size), self._schema)


class _Range:
    """What comes after the key `start`, up to and with `end`; None: the beginning, the end of the bucket."""

    def __init__(self, start: str | None, end: str | None) -> None:
        self.start = start
        self.end = end
        self.pages: Iterator[pa.RecordBatch] | None = None
        self.ready: deque[_Packed] = deque()
        self.rest: _Packed | None = None  # what was listed beyond the end
        self.first: str | None = None
        self.done = False
        self.dropped = False
        self.error: BaseException | None = None

    def add(self, batch: pa.RecordBatch) -> None:
        """Take the next rows of the listing, which has some."""
        keys = batch.column("key")
        if self.first is None:
            self.first = keys[0].as_py()
            if not self.begins_after_start:
                self.done = True
                return
        beyond = -1 if self.end is None else pc.index(pc.greater(keys, self.end), True).as_py()
        if beyond >= 0:
            self.rest = _Packed(batch.slice(beyond))
            self.done = True
            batch = batch.slice(0, beyond)
        if batch.num_rows:
            self.ready.append(_Packed(batch))

    @property
    def begins_after_start(self) -> bool:
        """Whether the store obeyed."""
        return self.start is None or self.first is None or self.first.encode() > self.start.encode()

    def is_followed_by(self, after: _Range) -> bool:
        """Whether the next range begins where this one ended. Both must have come so far."""
        beyond = None if self.rest is None else self.rest.rows().column("key")[0].as_py()
        return after.error is None and after.begins_after_start and beyond == after.first

    def go_on(self, after: _Range) -> None:
        """List on, in the place of the next range."""
        self.end, self.done = after.end, False
        if self.rest is not None:
            rest, self.rest = self.rest, None
            self.add(rest.rows())
        else:
            self.done = True  # the bucket ended before the next range


class Ranges:
    """One listing of a bucket, in ranges that are cut at `cuts`, keys in order.

    Arguments: `lists`, called by several threads; `at_once` says how many ranges to list at once, now.
    """

    def __init__(self, lists: Lists, cuts: Sequence[str], at_once: Callable[[], int]) -> None:
        self._lists = lists
        self._at_once = at_once
        self._ranges = deque(map(_Range, (None, *cuts), (*cuts, None)))
        self._waiting = deque(self._ranges)
        self._head = self._ranges[0]
        self._changed = threading.Condition()
        self._held = 0
        self._closed = False
        self._threads: list[threading.Thread] = []

    def batches(self) -> Generator[pa.RecordBatch]:
        """The rows in the store's order. Raises what `lists` raises."""
        try:
            while self._ranges:
                head = self._ranges.popleft()
                yield from self._all_of(head)
                while self._ranges and not self._joined(head, self._ranges[0]):
                    after = self._ranges.popleft()
                    self._drop(after)
                    head.go_on(after)
                    yield from self._all_of(head, goes_on=True)
        finally:
            with self._changed:
                self._closed = True  # a thread that waits for an answer ends when that comes
                self._changed.notify_all()

    def _all_of(self, head: _Range, goes_on: bool = False) -> Iterator[pa.RecordBatch]:
        """The rows of the first range that is left, as they come."""
        while True:
            with self._changed:
                if not goes_on:
                    self._head = head
                    self._start_threads()
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: head.ready or head.done or head.error)
                # All of one moment: the range may fail while its rows are taken.
                ready, done, error = list(head.ready), head.done, head.error
                head.ready.clear()
                self._held -= len(ready) if not goes_on else 0
            yield from (each.rows() for each in ready)
            if error is not None:
                raise error
            if done:
                return
            if goes_on:
                self._list_on(head)

    def _list_on(self, head: _Range) -> None:
        assert head.pages is not None
        batch = next(head.pages, None)
        if batch is None:
            head.done = True
        elif batch.num_rows:
            head.add(batch)

    def _joined(self, head: _Range, after: _Range) -> bool:
        with self._changed:
            self._head = after
            self._start_threads()
            self._changed.notify_all()
            self._changed.wait_for(lambda: after.first is not None or after.done or after.error)
            return head.is_followed_by(after)

    def _drop(self, after: _Range) -> None:
        with self._changed:
            after.dropped = True
            self._held -= len(after.ready)
            after.ready.clear()
            self._changed.notify_all()

    # --- the threads -------------------------------------------------------------------------

    def _start_threads(self) -> None:
        more = min(self._at_once(), MOST_AT_ONCE, len(self._waiting)) - len(self._threads)
        for _ in range(more):
            thread = threading.Thread(target=self._work, name=f"list-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        while True:
            with self._changed:
                if self._closed or not self._waiting:
                    return
                each = self._waiting.popleft()
            if not each.dropped:
                self._list(each)

    def _may_list(self, each: _Range) -> bool:
        """Whether there is room for a page; always for one of the first range, where none of its waits."""
        return self._held < _MOST_HELD or (each is self._head and not each.ready)

    def _list(self, each: _Range) -> None:
        try:
            each.pages = self._lists(each.start)
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._closed or each.dropped or self._may_list(each))
                    if self._closed or each.dropped:
                        return
                batch = next(each.pages, None)
                with self._changed:
                    if each.dropped:
                        return
                    before = len(each.ready)
                    if batch is None:
                        each.done = True
                    elif batch.num_rows:
                        each.add(batch)
                    self._held += len(each.ready) - before
                    self._changed.notify_all()
                    if each.done:  # outside the lock, `go_on` may have begun it anew
                        return
        except BaseException as error:
            with self._changed:
                each.error = error
                each.done = True
                self._changed.notify_all()
