"""The throttle: never more at once than allowed, never faster than allowed, slower when asked."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixity.buckets import Throttle
from fixity.buckets.throttle import Pace, TooSlow
from tests.fixity.support import Clock


def go(throttle: Throttle, times: int = 1) -> None:
    """Requests that go well, one after the other."""
    for _ in range(times):
        with throttle.slot():
            pass


def test_there_are_never_more_requests_at_once_than_allowed_and_as_many_as_that() -> None:
    throttle = Throttle(3)
    together = threading.Barrier(3)
    counting = threading.Lock()
    active = most = 0

    def work() -> None:
        nonlocal active, most
        for turn in range(5):
            with throttle.slot():
                with counting:
                    active += 1
                    most = max(most, active)
                if turn == 0:
                    together.wait(timeout=10)  # breaks unless three are in here at once
                with counting:
                    active -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, active, together.broken) == (3, 0, False)


def test_asking_us_to_slow_down_halves_the_pace_once_for_the_answers_of_one_second() -> None:
    clock = Clock()
    throttle = Throttle(16, clock=clock)
    for _ in range(5):
        throttle.slow_down()
    assert throttle.allowed == 8
    clock.now += 0.99
    throttle.slow_down()
    assert throttle.allowed == 8
    for expected in (4, 2, 1, 1):
        clock.now += 1.0
        throttle.slow_down()
        assert throttle.allowed == expected


def test_the_pace_grows_by_one_for_each_round_that_went_well_up_to_the_limit() -> None:
    clock = Clock()
    throttle = Throttle(6, clock=clock)
    for _ in range(3):
        clock.now += 1
        throttle.slow_down()
    grown = []
    for _ in range(8):
        go(throttle, throttle.allowed)
        grown.append(throttle.allowed)
    assert grown == sorted(grown)
    assert max(b - a for a, b in pairwise([1, *grown])) == 1
    assert grown[-1] == 6


def test_requests_that_fail_do_not_quicken_the_pace() -> None:
    throttle = Throttle(8)
    throttle.slow_down()
    for _ in range(100):
        with pytest.raises(OSError, match="throttled"), throttle.slot():
            raise OSError("throttled")
    assert throttle.allowed == 4


def test_all_who_may_go_are_woken_when_the_pace_has_grown() -> None:
    clock = Clock()
    throttle = Throttle(2, clock=clock)
    throttle.slow_down()
    both = threading.Barrier(2)

    def work() -> None:
        with throttle.slot():
            both.wait(timeout=10)  # breaks unless the second was let in beside the first

    with throttle.slot():
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        while len(throttle._places._queue) < 2:
            threading.Event().wait(0.001)
    for thread in threads:
        thread.join()
    assert not both.broken


def test_a_slowed_pace_lets_fewer_in() -> None:
    throttle = Throttle(2)
    throttle.slow_down()
    let_in = threading.Event()

    def work() -> None:
        with throttle.slot():
            let_in.set()

    with throttle.slot():
        thread = threading.Thread(target=work)
        thread.start()
        while not throttle._places._queue:
            threading.Event().wait(0.001)
        assert not let_in.is_set()
    thread.join()
    assert let_in.is_set()


@given(st.lists(st.integers(1, 300_000), min_size=1, max_size=50), st.integers(1000, 1_000_000))
def test_bytes_never_come_faster_than_the_bandwidth(counts: list[int], bandwidth: int) -> None:
    clock = Clock()
    throttle = Throttle(4, bandwidth, clock=clock, sleep=clock.sleep)
    for count in counts:
        throttle.spend(count)
    assert clock.now - 1000.0 == pytest.approx(sum(counts) / bandwidth)


def test_a_pause_is_not_followed_by_a_burst() -> None:
    clock = Clock()
    throttle = Throttle(4, 1000, clock=clock, sleep=clock.sleep)
    clock.now += 3600
    throttle.spend(1100)  # a tenth of a second is saved up, no more
    assert clock.naps == pytest.approx([1.0])


def test_without_a_bandwidth_nobody_waits() -> None:
    clock = Clock()
    Throttle(4, None, clock=clock, sleep=clock.sleep).spend(10**12)
    assert clock.naps == []


@given(st.integers(1, 60), st.floats(0, 60))
def test_waiting_before_a_retry_grows_within_bounds_and_obeys_the_store(
    attempt: int, at_least: float
) -> None:
    clock = Clock()
    Throttle(4, sleep=clock.sleep).back_off(attempt, 0.1, at_least)
    assert at_least <= clock.naps[0] <= max(at_least, min(30.0, 0.1 * 2**attempt))


def test_a_minute_of_too_few_bytes_is_too_slow_and_the_time_between_reads_does_not_count() -> None:
    clock = Clock()
    pace = Pace(100, clock)
    pace.begin()
    for _ in range(5):
        clock.now += 3600  # whatever we do with the bytes
        pace.check()
        pace.add(waited=11.9, count=1190)
    pace.add(waited=1.0, count=99)
    with pytest.raises(TooSlow, match=r"5\.9 KiB came in 60 s, but min_bandwidth is 100 B a second"):
        pace.check()
    pace.check()  # a new minute
    assert pace.is_too_slow(6000)
    pace.begin()
    assert not pace.is_too_slow(0)


def test_without_a_floor_nothing_is_too_slow() -> None:
    pace = Pace(0)
    pace.add(waited=1e9, count=0)
    pace.check()
    assert not pace.is_too_slow(1)
