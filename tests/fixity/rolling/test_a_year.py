"""A year of rolling fixity: nothing beyond its term, nothing twice, all damage found and none invented."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq

from fixity.clock import EPOCH
from fixity.ledger import Settings
from tests.fixity.rolling.support import BEGIN, Rolling

TERM = timedelta(days=90)
STEP = timedelta(days=10)  # between two runs
STOP = range(19, 20)  # a run that does not happen: between the two beside it are more than two weeks
STEPS = 37
OBJECTS, FIRST_BATCHES, BATCH = 240, 40, 74  # the first round is spread, and there is room to catch up


def test_a_year_with_growth_changes_failures_damage_and_a_stop_of_two_weeks(tmp_path: Path) -> None:
    chance = random.Random(4)
    bucket = Rolling(tmp_path, TERM)
    bucket.put(*(f"old/{number:04d}" for number in range(OBJECTS)))
    written: dict[str, list[datetime]] = {key: [BEGIN] for key, _ in bucket.store.objects}
    injected: dict[str, datetime] = {}
    for step in range(STEPS):
        bucket.time = BEGIN + step * STEP
        if step in STOP:
            continue
        if step % 2 == 0:
            key = f"new/{step:04d}"
            bucket.put(key)
            written[key] = [bucket.time]
            changed = chance.choice(sorted(set(written) - set(injected)))
            bucket.store.rewrite(changed, b"version of step %d" % step, bucket.time)
            written[changed].append(bucket.time)
            bucket.take_inventory()
        if step in (12, 21, 27):
            damaged = chance.choice(sorted(written.keys() - injected.keys() - _young(written, bucket.time)))
            bucket.store.damage(damaged)
            injected[damaged] = bucket.time
        bucket.store.unreadable = set(chance.sample(sorted(written), 3))
        items = FIRST_BATCHES if step < 9 else BATCH
        assert bucket.roll(items).objects <= items

    history = _history(bucket)
    _none_twice_within_its_term_without_cause(history)
    late = _latest_beyond_term(history, written, bucket.time)
    # What is due waits for the next run, and once more where that one cannot read it; and for the stop.
    assert late <= (len(STOP) + 2) * STEP
    assert _latest_beyond_term(history, written, BEGIN + (STOP.start - 1) * STEP) <= 2 * STEP
    found = {each.key: each for each in bucket.damaged()}
    assert set(found) == set(injected)
    for key, each in found.items():
        assert each.good_at is not None and each.good_at <= injected[key] <= each.damaged_at
        assert each.expected != each.actual


def _young(written: dict[str, list[datetime]], now: datetime) -> set[str]:
    """Keys whose newest state may not have been read yet."""
    return {key for key, times in written.items() if now - times[-1] < timedelta(days=40)}


def _history(bucket: Rolling) -> dict[tuple[str, str], list[tuple[datetime, str]]]:
    """All checks of each state of each object, by time."""
    found: dict[tuple[str, str], list[tuple[datetime, str]]] = defaultdict(list)
    for file in (bucket.folder / "checksums/b").glob("*.parquet"):
        for row in pq.read_table(file).to_pylist():
            found[row["key"], row["etag"]].append((row["checked_at"], row["status"]))
    return {state: sorted(checks) for state, checks in found.items()}


def _none_twice_within_its_term_without_cause(
    history: dict[tuple[str, str], list[tuple[datetime, str]]],
) -> None:
    for state, checks in history.items():
        for (before, status), (after, _) in pairwise(checks):
            assert status != "succeeded" or after - before >= TERM, (state, before, after)


def _latest_beyond_term(
    history: dict[tuple[str, str], list[tuple[datetime, str]]],
    written: dict[str, list[datetime]],
    until: datetime,
) -> timedelta:
    """How long beyond its term any object went unread, from when it was written, or replaced, or read."""
    reads: dict[str, list[datetime]] = defaultdict(list)
    for (key, _), checks in history.items():
        reads[key] += [at for at, status in checks if status == "succeeded"]
    latest = timedelta(0)
    for key, times in written.items():
        moments = sorted(at for at in {*times, *reads[key], until} if at <= until)
        latest = max([latest, *(after - before - TERM for before, after in pairwise(moments))])
    return latest


def test_a_sample_reads_its_share_in_between_and_each_object_in_its_term(tmp_path: Path) -> None:
    bucket = Rolling(tmp_path, TERM)
    bucket.settings = Settings(TERM, "SHA256", sample=0.005, seed="b")
    bucket.put(*(f"{number:03d}" for number in range(100)))
    bucket.take_inventory()
    step = timedelta(days=18)
    for number in range(16):
        bucket.time = BEGIN + number * step
        bucket.roll()

    reads = {key: [at for at, _ in checks] for (key, _), checks in _history(bucket).items()}
    assert len(reads) == 100 and all(
        after - before <= TERM + step for times in reads.values() for before, after in pairwise(times)
    )
    early = [
        (key, (at - EPOCH) // TERM)
        for key, times in reads.items()
        for before, at in pairwise(times)
        if at - before < TERM
    ]
    # 0.5 % a day, of 100 objects in 270 days. A draw at the end of a term is read by the run after it, in the
    # next term, in which there may be another.
    assert 90 <= len(early) <= 180 and max(Counter(early).values()) <= 2


def test_a_bucket_that_others_read_has_only_its_sample_read(tmp_path: Path) -> None:
    bucket = Rolling(tmp_path, TERM)
    bucket.settings = Settings(TERM, "SHA256", is_rolled=False)
    bucket.put(*(f"{number:03d}" for number in range(100)))
    bucket.take_inventory()
    bucket.time = BEGIN + TERM
    assert bucket.due() == []
    bucket.settings = Settings(TERM, "SHA256", sample=0.005, seed="b", is_rolled=False)
    of_a_term = set(bucket.due())
    assert 25 <= len(of_a_term) <= 65  # 0.5 % a day for 90 days
    assert set(bucket.rolled()) == of_a_term and not bucket.due()
