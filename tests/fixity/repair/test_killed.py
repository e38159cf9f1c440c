"""A repair that is killed at any point: no half object, no bad bytes lost, and the next one goes on."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixity.catalog.exclude import QUARANTINE
from fixity.incidents.events import REPAIR_ASKED
from fixity.incidents.state import incidents_now
from tests.fixity.repair import killed_repairs
from tests.fixity.repair.conftest import MakePlaces
from tests.fixity.repair.places import GOOD, Places

Repair = Callable[[Places, str, int], int]
"""Repairs in a process that kills itself before an effect; gives the number of effects, -1 if killed."""


@pytest.fixture(scope="module")
def repair() -> Iterator[Repair]:
    command = [sys.executable, "-m", killed_repairs.__name__]
    root = Path(__file__).resolve().parents[3]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
    ) as process:
        assert process.stdin is not None and process.stdout is not None

        def run(pair: Places, run_id: str, point: int) -> int:
            assert pair.catalog.pairs and process.stdin is not None and process.stdout is not None
            process.stdin.write(f"{pair.folder / 'fixity.yaml'} {run_id} {point}\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield run
        process.stdin.close()


def nothing_is_lost(pair: Places, bad: dict[str, bytes]) -> None:
    """No half object, the bad bytes kept where they were replaced, and incidents that tell of it."""
    for key, was in bad.items():
        now = pair.get("b", key)
        assert now in (GOOD, was), f"half of {key}"
        (found,) = [each for one in incidents_now(pair.lake) for each in one.objects if each.key == key]
        assert found.state == "open" or now == GOOD
        if now == was:
            continue
        kept = [each for each in pair.keys("b") if each.startswith(QUARANTINE) and each.endswith(f"/{key}")]
        assert was in [pair.get("b", each) for each in kept], f"the bad bytes of {key} are lost"
        events = [event for one in incidents_now(pair.lake) for event in one.events if event.key == key]
        assert REPAIR_ASKED in [event.event for event in events]


def all_is_right(pair: Places, bad: dict[str, bytes]) -> None:
    assert {pair.get("b", key) for key in bad} == {GOOD}
    assert {each.state for each in incidents_now(pair.lake)} == {"closed"}
    assert not [each for each in pair.keys("b") if "unfinished" in each]


def test_a_process_that_is_killed_at_any_effect_on_files_loses_nothing_and_the_next_goes_on(
    places: MakePlaces, repair: Repair
) -> None:
    pair = places("directory", "directory")
    pair.both("k0", "k1")
    bad = {key: pair.corrupt("b", key) for key in ("k0", "k1")}
    pair.check("b")
    before = pair.folder.with_name("before")
    shutil.copytree(pair.folder, before)
    effects = repair(pair, "whole", 0)
    all_is_right(pair, bad)
    drawn = random.Random(20261129)
    assert effects > 20
    for part in range(6):  # a point in each sixth of all effects
        point = drawn.randint(1 + part * effects // 6, (part + 1) * effects // 6)
        shutil.rmtree(pair.folder)
        shutil.copytree(before, pair.folder)
        assert repair(pair, f"first{part}", point) == -1, f"not killed before effect {point}"
        nothing_is_lost(pair, bad)
        if part % 2:
            assert repair(pair, f"last{part}", 0) > 0, f"after a kill before effect {point}"
            all_is_right(pair, bad)


def test_a_process_that_is_killed_before_or_after_any_write_to_a_store_loses_nothing_and_the_next_goes_on(
    places: MakePlaces, repair: Repair
) -> None:
    pair = places("s3", "s3")
    drawn = random.Random(20261129)
    bad: dict[str, bytes] = {}
    effects = 0
    for number in range(3):
        key = f"k{number}"
        pair.both(key)
        bad[key] = pair.corrupt("b", key)
        pair.check("b")
        point = drawn.randint(1, effects) if effects else 0
        found = repair(pair, f"first{number}", point)
        nothing_is_lost(pair, bad)
        effects = effects or found
        assert repair(pair, f"last{number}", 0) > 0, f"after a kill before effect {point} of {effects}"
        all_is_right(pair, bad)
