"""How many requests at once bring more is found, whatever the store: held against simulated ones."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixity.buckets import Throttle
from fixity.buckets.finder import Finder
from tests.fixity.support import Clock

_TICK = 0.02

Rate = Callable[[int, float], float]
"""Requests a second of a store, by how many are sent at once, and the time."""


@dataclass
class Simulated:
    """A store that answers requests of a finder. `sizes` are the numbers at once, and `good` those that were
    good, moment by moment. `limit`: how many at once it takes; `noise`: how much its rate differs from one
    half second to the next, as a share of it; `cost` of a request in seconds of the processor, if known;
    `soonest`, the seconds that each waits at least."""

    finder: Finder
    rate: Rate
    noise: float = 0.0
    limit: int = 10**6
    seed: int = 0
    cost: float | None = None
    soonest: float = 0.0

    def __post_init__(self) -> None:
        self.sizes: list[int] = []
        self.good: list[int] = []
        self.now = self.used = 0.0
        if self.cost is not None:
            self.finder = Finder(self.finder.start, self.finder.most, lambda: self.used)
        self._random = random.Random(self.seed)
        self._left_over = 0.0

    def run(self, seconds: float) -> Simulated:
        mood = 1.0
        for tick in range(int(seconds / _TICK)):
            if tick % 25 == 0:
                mood = self._random.uniform(1 - self.noise, 1 + self.noise)
            done = self.rate(self.finder.size, self.now) * mood * _TICK + self._left_over
            self._left_over = done % 1
            self.now += _TICK
            self.used += done // 1 * (self.cost or 0.0)
            self.finder.count(done // 1, self.finder.size, self.now, self.soonest)
            if self.finder.size > self.limit:
                self.finder.slow_down()
            self.sizes.append(self.finder.size)
            self.good.append(self.finder.good)
        return self

    def share_of_best(self) -> float:
        """What the number that was found brings, of what the best one would."""
        usable = range(1, min(self.finder.most, self.limit) + 1)
        return self.rate(self.finder.good, self.now) / max(self.rate(size, self.now) for size in usable)


def up_to(most: float, latency: float) -> Rate:
    """A store with this latency in seconds, and this many requests a second at most."""
    return lambda size, now: min(size / latency, most)


latencies = st.floats(0.001, 0.5)
capacities = st.floats(100, 5000)


costs = st.none() | st.floats(0.0, 0.002)


@given(latencies, capacities, costs, st.integers(0, 10**6))
def test_nine_tenths_of_the_best_are_found_and_the_cap_is_kept(
    latency: float, capacity: float, cost: float | None, seed: int
) -> None:
    done = Simulated(
        Finder(16, 256), up_to(capacity, latency), 0.02, seed=seed, cost=cost, soonest=latency
    ).run(300)
    assert done.share_of_best() >= 0.9
    assert max(done.sizes) <= 256
    assert min(done.sizes) >= 16


@given(latencies, capacities, costs)
def test_without_throttling_what_was_found_good_is_never_given_up(
    latency: float, capacity: float, cost: float | None
) -> None:
    done = Simulated(Finder(16, 256), up_to(capacity, latency), 0.5, cost=cost, soonest=latency).run(120)
    assert done.good == sorted(done.good)
    assert all(size >= good for size, good in zip(done.sizes, done.good, strict=True))


@given(st.floats(0.02, 0.06), st.integers(0, 10**6))
def test_a_store_far_away_gives_most_of_what_it_can_within_a_second(latency: float, seed: int) -> None:
    done = Simulated(Finder(16, 256), up_to(1900, latency), noise=0.02, seed=seed).run(1)
    assert done.share_of_best() >= 0.75


@given(st.floats(0.02, 0.06), st.integers(0, 10**6))
def test_where_the_processor_waits_the_useful_number_is_tried_at_once(latency: float, seed: int) -> None:
    store = up_to(1900, latency)
    done = Simulated(Finder(16, 256), store, 0.02, seed=seed, cost=0.0003, soonest=latency).run(0.8)
    assert done.share_of_best() >= 0.9
    assert next(size for size in done.sizes if size > 16) > 64


@given(st.floats(0.0003, 0.001), st.integers(0, 10**6))
def test_where_the_processor_is_busy_no_more_are_tried_than_twice_as_many(cost: float, seed: int) -> None:
    store = up_to(0.8 / cost, 0.001)
    done = Simulated(Finder(16, 256), store, 0.02, seed=seed, cost=cost, soonest=0.001).run(120)
    assert done.good[-1] == 16
    assert max(done.sizes) <= 32


@given(st.floats(0.02, 0.1), st.integers(0, 10**6))
def test_a_store_that_gives_more_from_one_moment_to_the_next_is_not_asked_by_more_for_that(
    wakes: float, seed: int
) -> None:
    def rate(size: int, now: float) -> float:
        return 4000 * min(1.0, (now + 0.01) / wakes)

    done = Simulated(Finder(16, 256), rate, seed=seed, cost=0.0002, soonest=0.001).run(0.6)
    assert max(done.good) == 16


@given(st.floats(200, 1900), st.integers(0, 10**6))
def test_a_store_that_cannot_give_what_was_reckoned_is_asked_by_three_times_what_it_needs_at_most(
    capacity: float, seed: int
) -> None:
    store = Simulated(Finder(16, 256), up_to(capacity, 0.05), 0.02, seed=seed, cost=0.0001, soonest=0.05)
    needed = capacity * 0.05
    assert store.run(0.6).good[-1] <= max(16, 3.3 * needed)


@given(st.integers(0, 10**6))
def test_noise_does_not_bring_it_down_to_where_it_began(seed: int) -> None:
    done = Simulated(Finder(16, 256), up_to(1900, 0.036), noise=0.15, seed=seed).run(120)
    assert done.share_of_best() >= 0.9


@given(st.integers(0, 10**6))
def test_a_store_that_gives_as_much_to_few_is_not_asked_by_many(seed: int) -> None:
    done = Simulated(Finder(16, 256), up_to(2500, 0.004), noise=0.02, seed=seed).run(120)
    assert done.good[-1] == 16
    assert sum(size > 16 for size in done.sizes) < len(done.sizes) / 5


@given(st.floats(0.05, 0.3), st.integers(0, 10**6))
def test_a_store_that_becomes_far_away_is_asked_by_more(latency: float, seed: int) -> None:
    def rate(size: int, now: float) -> float:
        return min(size / (0.002 if now < 60 else latency), 2500)

    done = Simulated(Finder(16, 256), rate, noise=0.02, seed=seed).run(60)
    assert done.good[-1] == 16
    assert done.run(60).share_of_best() >= 0.9


@given(st.integers(20, 200), costs, st.integers(0, 10**6))
def test_a_store_that_refuses_many_is_asked_by_nearly_as_many_as_it_takes(
    limit: int, cost: float | None, seed: int
) -> None:
    store = Simulated(Finder(16, 256), up_to(10**6, 0.03), 0.02, limit, seed=seed, cost=cost, soonest=0.03)
    done = store.run(120)
    assert max(done.good) <= limit
    assert done.share_of_best() >= 0.75
    assert sum(size > limit for size in done.sizes) == 0  # each refusal is obeyed at once


def test_a_store_that_refuses_what_it_took_before_is_asked_by_fewer_but_never_than_at_first() -> None:
    store = Simulated(Finder(16, 256), up_to(10**6, 0.03)).run(60)
    assert store.good[-1] == 256
    found = []
    for _ in range(12):
        store.finder.slow_down()
        found.append(store.finder.good)
    assert found[:3] == [192, 144, 108]
    assert found[-1] == 16


@pytest.mark.parametrize("most", [1, 7, 16])
def test_a_cap_below_the_beginning_is_kept_too(most: int) -> None:
    assert set(Simulated(Finder(16, most), up_to(10**6, 0.1)).run(20).sizes) == {most}


def test_requests_of_few_threads_say_nothing_of_the_store() -> None:
    finder = Finder(16, 256)
    for moment in range(10_000):
        finder.count(1, active=1, now=moment / 10)
    assert finder.size == 16


def test_what_a_large_object_brings_counts_before_it_ends() -> None:
    clock = Clock()
    throttle = Throttle(Finder(2, 8), clock=clock)
    found = set()
    with throttle.slot(), throttle.slot():
        for _ in range(1000):
            clock.now += 0.01 / throttle.concurrency
            throttle.spend(512 * 1024)
            found.add(throttle.concurrency)
    assert found == {2, 4}  # of 4 at once, two are missing: no more can be said


def test_a_throttle_follows_what_is_found_and_a_store_that_asks_for_fewer() -> None:
    clock = Clock()
    throttle = Throttle(Finder(4, 64), clock=clock)

    def work(rounds: int) -> None:
        for _ in range(rounds):
            clock.now += 0.05
            slots = [throttle.slot() for _ in range(throttle.allowed)]
            for slot in slots:
                slot.__enter__()
            for slot in slots:
                slot.__exit__(None, None, None)

    work(400)
    assert (throttle.allowed, throttle.concurrency) == (64, 64)
    throttle.slow_down()
    assert (throttle.allowed, throttle.concurrency) == (32, 48)
    work(17)
    assert (throttle.allowed, throttle.concurrency) == (48, 48)
