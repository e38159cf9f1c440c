"""The engine: every object once, whatever happens, and no thread left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import cycle

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixity.buckets import BucketUnreachable, ListedObject, ObjectSkipped, ObjectUnreadable, Sink
from fixity.digests.algorithms import Digest
from fixity.engines.stream import engine
from fixity.engines.stream.engine import Check, check_object, check_objects
from fixity.in_turns import sleep
from tests.fixity.support import by_sha256, sha256

NOON = datetime(2024, 2, 29, 12, 0, tzinfo=UTC)


def item(number: int, size: int = 10) -> ListedObject:
    return ListedObject(f"k{number}", None, True, size, None, None, None)


def body(listed: ListedObject) -> bytes:
    return (listed.key.encode() * (listed.size + 1))[: listed.size]


def give_all(listed: ListedObject, sink: Sink) -> None:
    sink.update(memoryview(body(listed)))


class FakeStore:
    """Reads objects as a test says; counts who reads at once."""

    waits_in_turns = False

    def __init__(self, read: Callable[[ListedObject, Sink], None] = give_all) -> None:
        self._read = read
        self._lock = threading.Lock()
        self.read_keys: list[str] = []

    def list_objects(self) -> Iterator[pa.RecordBatch]:
        raise NotImplementedError

    def find(self, key: str, version_id: str | None = None) -> ListedObject | None:
        raise NotImplementedError

    def read(self, item: ListedObject, sink: Sink) -> None:
        with self._lock:
            self.read_keys.append(item.key)
        self._read(item, sink)

    def close(self) -> None:
        """Nothing is open."""


OF_OTHERS: set[threading.Thread] = set()  # what a test before these left behind


def hashing_threads() -> list[threading.Thread]:
    return [
        thread
        for thread in threading.enumerate()
        if thread.name.startswith("hash-") and thread not in OF_OTHERS
    ]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    OF_OTHERS.update(threading.enumerate())
    yield
    assert hashing_threads() == []


def items(count: int, size: int = 10) -> Iterator[tuple[int, ListedObject]]:
    return ((number, item(number, size)) for number in range(count))


@given(
    st.lists(st.integers(0, 3) | st.just(5 * 1024 * 1024), max_size=60),
    st.integers(1, 9),
    st.integers(0, 10**6),
)
def test_every_object_is_checked_once_whatever_the_number_of_threads(
    sizes: list[int], threads: int, first: int
) -> None:
    def read(listed: ListedObject, sink: Sink) -> None:
        if listed.size < 10:
            give_all(listed, sink)

    several = [(first + number, item(number, size)) for number, size in enumerate(sizes)]
    checks = sorted(check_objects(FakeStore(read), several, by_sha256, threads, lambda: NOON))
    assert checks == [
        Check(position, "succeeded", sha256(given), None, None, len(given), NOON)
        for position, each in several
        for given in [body(each) if each.size < 10 else b""]
    ]


@pytest.mark.parametrize(("size", "threads"), [(10, 1), (2 * 1024 * 1024, 3)])
def test_small_objects_share_a_thread_and_large_ones_are_read_in_one_for_each_processor(
    size: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[int] = set()

    def read(listed: ListedObject, sink: Sink) -> None:
        seen.add(threading.get_ident())
        sleep(0.001)

    store = FakeStore(read)
    store.waits_in_turns = True
    monkeypatch.setattr(engine, "processors", lambda: 3)
    monkeypatch.setattr(time, "thread_time", lambda: 0.0)
    positions = [check.position for check in check_objects(store, items(200, size), by_sha256, 9)]
    assert sorted(positions) == list(range(200))
    assert len(seen) == threads


def test_a_check_says_what_became_of_the_object() -> None:
    def unreadable(listed: ListedObject, sink: Sink) -> None:
        sink.update(memoryview(b"half"))
        raise ObjectUnreadable("ReadError", "the disk is broken")

    def skipped(listed: ListedObject, sink: Sink) -> None:
        raise ObjectSkipped("Archived", "it has to be restored")

    def check(read: Callable[[ListedObject, Sink], None]) -> Check:
        return check_object(FakeStore(read), item(1), Digest("SHA256"), 7, lambda: NOON)

    assert check(give_all) == (7, "succeeded", sha256(body(item(1))), None, None, 10, NOON, {}, 1, None)
    assert check(unreadable) == (7, "failed", None, "ReadError", "the disk is broken", 4, NOON, {}, 1, None)
    assert check(skipped) == (7, "skipped", None, "Archived", "it has to be restored", 0, NOON, {}, 1, None)


def test_one_unreadable_object_does_not_keep_the_others_from_being_read() -> None:
    def read(listed: ListedObject, sink: Sink) -> None:
        if listed.key.endswith("3"):
            raise ObjectUnreadable("AccessDenied", "no")
        give_all(listed, sink)

    checks = sorted(check_objects(FakeStore(read), items(40), by_sha256, 4))
    assert [check.position for check in checks if check.status == "failed"] == [3, 13, 23, 33]
    assert [check.status for check in checks].count("succeeded") == 36


def test_as_many_objects_are_read_at_once_as_there_are_threads() -> None:
    together = threading.Barrier(5)

    def read(listed: ListedObject, sink: Sink) -> None:
        together.wait(timeout=10)  # breaks unless five are read at once

    # Large ones: small ones are taken by the handful.
    list(check_objects(FakeStore(read), items(10, size=5 * 1024 * 1024), by_sha256, 5))
    assert not together.broken


def test_threads_come_and_go_with_the_number_that_is_said() -> None:
    wanted = 2
    checks = check_objects(FakeStore(), items(10**9), by_sha256, lambda: wanted)
    for wanted in (2, 5, 1, 3):
        for _ in range(100_000):
            next(checks)
            if len(hashing_threads()) == wanted:
                break
        assert len(hashing_threads()) == wanted
    checks.close()


@given(st.lists(st.integers(1, 6), min_size=1, max_size=8), st.integers(0, 300))
def test_every_object_is_checked_once_while_the_number_of_threads_changes(
    said: list[int], count: int
) -> None:
    numbers = cycle(said)
    checks = check_objects(FakeStore(), items(count), by_sha256, lambda: next(numbers))
    assert sorted(check.position for check in checks) == list(range(count))


@pytest.mark.parametrize("taken", [0, 1, 30])
def test_closing_the_iterator_early_ends_all_threads(taken: int) -> None:
    store = FakeStore()
    checks = check_objects(store, items(10**9), by_sha256, 4)
    for _ in range(taken):
        next(checks)
    if taken:
        assert hashing_threads() != []
    checks.close()
    assert hashing_threads() == []
    assert len(store.read_keys) < 1000


def test_closing_the_iterator_ends_the_reading_of_a_large_object_too() -> None:
    reading = threading.Event()

    def read(listed: ListedObject, sink: Sink) -> None:
        if listed.key == "k0":
            return
        while True:  # an object without end
            sink.update(memoryview(b"piece"))
            reading.set()

    checks = check_objects(FakeStore(read), items(2, size=5 * 1024 * 1024), by_sha256, 2)
    next(checks)
    assert reading.wait(timeout=10)
    checks.close()
    assert hashing_threads() == []


class _Odd(BaseException):
    """No Exception: as a KeyboardInterrupt or a SystemExit in a thread."""


@pytest.mark.parametrize(
    "error", [BucketUnreachable("gone"), ValueError("a bug"), _Odd(), SystemExit(3), KeyboardInterrupt()]
)
@pytest.mark.parametrize("threads", [1, 4])
def test_what_a_thread_raises_is_raised_here_and_never_waited_for(error: BaseException, threads: int) -> None:
    def read(listed: ListedObject, sink: Sink) -> None:
        if listed.key == "k50":
            raise error
        give_all(listed, sink)

    with pytest.raises(type(error)) as raised:
        list(check_objects(FakeStore(read), items(10**9), by_sha256, threads))
    assert raised.value is error


def test_errors_of_all_threads_at_once_raise_one_of_them() -> None:
    together = threading.Barrier(4)

    def read(listed: ListedObject, sink: Sink) -> None:
        together.wait(timeout=10)
        raise BucketUnreachable(listed.key)

    with pytest.raises(BucketUnreachable):
        list(check_objects(FakeStore(read), items(8, size=5 * 1024 * 1024), by_sha256, 4))


@pytest.mark.parametrize("error", [ValueError("a torn table"), _Odd()])
@pytest.mark.parametrize("after", [0, 100])
def test_what_the_items_raise_is_raised_here(error: BaseException, after: int) -> None:
    def failing() -> Iterator[tuple[int, ListedObject]]:
        yield from items(after)
        raise error

    with pytest.raises(type(error)) as raised:
        list(check_objects(FakeStore(), failing(), by_sha256, 4))
    assert raised.value is error


def test_reading_is_never_far_ahead_of_who_takes_the_checks() -> None:
    store = FakeStore()
    checks = check_objects(store, items(10**9), by_sha256, 2)
    # Eight hand-overs wait at most, and each thread and the taker have one in hand, of eight checks each.
    ahead = [len(store.read_keys) - taken for taken, _ in zip(range(1, 2000), checks, strict=False)]
    assert max(ahead) <= (8 + 2 + 1) * 8
    checks.close()


def test_no_objects_give_no_checks() -> None:
    assert list(check_objects(FakeStore(), [], by_sha256, 3)) == []
