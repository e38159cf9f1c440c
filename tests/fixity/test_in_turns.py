"""Many pieces of work in few threads: others go on while one waits, whichever way it waits."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from fixity import in_turns
from fixity.in_turns import READABLE, WRITABLE, OfTurn, Places, Signal, Turns, in_thread, sleep, wait_for


def run(*work: Callable[[], object], most: int | None = 1) -> None:
    """Run pieces of work, in one thread unless more are allowed; raises what one of them raised."""
    raised: list[BaseException] = []

    def kept(each: Callable[[], object]) -> Callable[[], None]:
        def one() -> None:
            try:
                each()
            except BaseException as error:
                raised.append(error)

        return one

    turns = Turns(most)
    for each in work:
        turns.start(kept(each), "turns")
    turns.join()
    for error in raised:
        raise error


@pytest.fixture
def pair() -> object:
    with ExitStack() as opened:
        one, other = (opened.enter_context(each) for each in socket.socketpair())
        one.setblocking(False)
        yield one, other


def test_while_one_waits_for_a_socket_another_of_its_thread_sends_what_it_waits_for(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    one, other = pair
    seen: list[object] = []

    def waits() -> None:
        seen.append(wait_for(one.fileno(), READABLE, 60))
        seen.append(one.recv(9))
        seen.append(threading.get_ident())

    def sends() -> None:
        other.send(b"came")
        seen.append(threading.get_ident())

    run(waits, sends)
    assert seen[1:3] == [True, b"came"]
    assert seen[0] == seen[3]


def test_who_waits_in_vain_is_told_after_the_time_and_others_went_on(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    seen: list[str] = []

    def waits() -> None:
        assert wait_for(pair[0].fileno(), READABLE, 0.05) is False
        seen.append("in vain")

    def goes_on() -> None:
        seen.append("went on")

    run(waits, goes_on)
    assert seen == ["went on", "in vain"]


def test_the_same_file_is_waited_for_again_and_again(pair: tuple[socket.socket, socket.socket]) -> None:
    def waits() -> None:
        for _ in range(3):
            assert wait_for(pair[0].fileno(), WRITABLE, 60)
            assert not wait_for(pair[0].fileno(), READABLE, 0.001)

    run(waits)


@pytest.mark.parametrize("in_turn", [True, False])
def test_waiting_is_the_same_in_a_turn_and_outside_of_one(
    pair: tuple[socket.socket, socket.socket], in_turn: bool
) -> None:
    def waits() -> None:
        file = pair[0].fileno()
        assert wait_for(file, WRITABLE, 60)
        assert not wait_for(file, READABLE, 0.01)
        began = time.monotonic()
        sleep(0.02)
        assert time.monotonic() - began >= 0.02
        assert in_thread(threading.get_ident) == threading.get_ident() or in_turn

    run(waits) if in_turn else waits()


def test_those_who_sleep_go_on_in_the_order_of_their_time() -> None:
    seen: list[float] = []

    def sleeps(seconds: float) -> Callable[[], None]:
        def one() -> None:
            sleep(seconds)
            seen.append(seconds)

        return one

    run(*map(sleeps, (0.09, 0.01, 0.05)))
    assert seen == [0.01, 0.05, 0.09]


def test_work_that_is_started_later_joins_a_thread_that_waits(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    turns, threads = Turns(1), list[int]()
    waits = threading.Event()

    def first() -> None:
        waits.set()
        wait_for(pair[0].fileno(), READABLE, 60)
        threads.append(threading.get_ident())

    def second() -> None:
        pair[1].send(b".")
        threads.append(threading.get_ident())

    turns.start(first, "turns")
    assert waits.wait(60)
    turns.start(second, "turns")
    turns.join()
    assert len(threads) == 2
    assert len(set(threads)) == 1


def test_work_is_started_while_threads_end(pair: tuple[socket.socket, socket.socket]) -> None:
    turns, done = Turns(2), list[int]()
    for number in range(2000):
        turns.start(lambda number=number: done.append(number), "turns")  # type: ignore[misc]
    turns.join()
    assert sorted(done) == list(range(2000))


def threads_of(turns: Turns, work: Callable[[], object]) -> set[int]:
    """The threads of eight pieces of work, each of which is started when the one before waits."""
    seen: set[int] = set()
    waits, all_wait = [threading.Event() for _ in range(8)], threading.Event()

    def one(number: int) -> None:
        seen.add(threading.get_ident())
        work()
        waits[number].set()
        in_thread(all_wait.wait)

    for number in range(8):
        turns.start(lambda number=number: one(number), "turns")  # type: ignore[misc]
        assert waits[number].wait(30)
    all_wait.set()
    turns.join()
    return seen


@pytest.mark.parametrize(("most", "threads"), [(1, 1), (3, 1), (None, 8)])
def test_work_that_waits_is_in_one_thread_unless_each_has_its_own(most: int | None, threads: int) -> None:
    assert len(threads_of(Turns(most), lambda: sleep(0.001))) == threads


@pytest.mark.parametrize("most", [1, 3])
def test_work_that_keeps_its_thread_busy_is_in_as_many_as_are_allowed(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_turns, "_WINDOW", float("inf"))  # nothing is measured
    turns = Turns(most)
    assert len(threads_of(turns, turns.expect_much)) == most


@pytest.mark.parametrize(("used", "threads"), [(0.0, 1), (0.5, 1), (0.9, 3)])
def test_a_thread_is_busy_that_uses_most_of_a_processor(
    used: float, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_turns, "_WINDOW", 0.0)
    monkeypatch.setattr(time, "thread_time", lambda: used * time.monotonic())
    assert len(threads_of(Turns(3), lambda: sleep(0.001))) == threads


def test_work_goes_on_in_another_thread_with_what_it_keeps_where_its_own_is_busy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(in_turns, "_WINDOW", float("inf"))
    turns, of_turn, all_are_there = Turns(2), OfTurn(object), threading.Event()
    before, after, moved = list[tuple[int, object]](), list[tuple[int, object]](), list[bool]()

    def begins() -> None:
        in_thread(all_are_there.wait)
        before.append((threading.get_ident(), of_turn.get()))
        moved.append(turns.moves(goes_on))  # nothing is known of the thread yet, of the first
        turns.expect_much()
        moved.append(turns.moves(goes_on))

    def goes_on() -> None:
        after.append((threading.get_ident(), of_turn.get()))

    for _ in range(3):
        turns.start(begins, "turns")
    all_are_there.set()
    turns.join()
    assert moved[:2] == [False, True]
    assert after[0][0] != before[0][0]
    assert after[0][1] is before[0][1]


def test_work_that_is_alone_in_its_thread_stays_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_turns, "_WINDOW", float("inf"))
    turns, moved = Turns(2), list[bool]()

    def begins() -> None:
        turns.expect_much()
        moved.append(turns.moves(begins))

    turns.start(begins, "turns")
    turns.join()
    assert moved == [False]


@pytest.mark.parametrize("places", [1, 3])
@pytest.mark.parametrize("most", [1, 3, None])
def test_no_more_are_inside_than_there_are_places_and_all_come_in_by_and_by(
    places: int, most: int | None
) -> None:
    inside = Places(lambda: places)
    counting = threading.Lock()
    active, highest, came = 0, 0, 0

    def enters() -> None:
        nonlocal active, highest, came
        for _ in range(4):
            with inside:
                with counting:
                    active += 1
                    highest = max(highest, active)
                sleep(0.002)
                with counting:
                    active -= 1
                    came += 1

    run(*[enters] * 6, most=most)
    assert (active, highest, came, inside.taken) == (0, places, 24, 0)


def test_turns_and_threads_share_places() -> None:
    inside, order = Places(), list[str]()
    held = threading.Event()

    def thread() -> None:
        with inside:
            held.set()
            until = time.monotonic() + 60
            while not inside._queue:  # the turn waits for its place
                assert time.monotonic() < until, "the turn does not wait"
                time.sleep(0.001)
            order.append("thread")

    def turn() -> None:
        with inside:
            order.append("turn")

    other = threading.Thread(target=thread)
    other.start()
    assert held.wait(60)
    run(turn)
    other.join()
    assert order == ["thread", "turn"]


def test_who_leaves_the_queue_by_an_error_takes_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: Signal) -> None:
        raise KeyboardInterrupt

    inside = Places()
    with inside:
        monkeypatch.setattr(Signal, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt), inside:
            pass
        assert inside.taken == 1
    assert inside.taken == 0
    with inside:
        assert inside.taken == 1


def test_a_signal_is_seen_whether_it_is_set_before_or_after() -> None:
    seen: list[str] = []

    def work() -> None:
        early = Signal()
        early.set()
        early.wait()
        seen.append("early")
        late = Signal()
        threading.Timer(0.02, late.set).start()
        late.wait()
        seen.append("late")
        sleep(0.01)  # nothing else lets it go on
        seen.append("slept")

    run(work)
    assert seen == ["early", "late", "slept"]


def test_what_needs_a_thread_has_one_of_its_own_and_others_go_on() -> None:
    began, seen = threading.Event(), list[object]()

    def blocks() -> int:
        assert began.wait(60)
        return 7

    def fails() -> None:
        raise ValueError("said by the other thread")

    def waits() -> None:
        seen.append(in_thread(blocks))
        with pytest.raises(ValueError, match="said by the other thread"):
            in_thread(fails)

    run(waits, began.set)
    assert seen == [7]


def test_each_turn_and_each_thread_has_a_value_of_its_own_that_goes_with_it() -> None:
    gone: list[int] = []

    class Value:
        def __del__(self) -> None:
            gone.append(1)

    value, seen = OfTurn(Value), list[int]()

    def work() -> None:
        first = id(value.get())
        sleep(0.01)
        assert id(value.get()) == first
        seen.append(first)

    run(*[work] * 3)
    assert len(set(seen)) == 3
    assert len(gone) == 3
    outside = value.get()
    assert outside is value.get()
    other = threading.Thread(target=lambda: seen.append(id(value.get())))
    other.start()
    other.join()
    assert len(gone) == 4
