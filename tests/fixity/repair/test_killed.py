"""A repair that is killed at any step: no half object, no bad bytes lost, and the next one goes on."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable
from pkgutil import resolve_name
from typing import Any

import pytest

from fixity.catalog.exclude import QUARANTINE
from fixity.incidents.state import incidents_now
from fixity.rolling.lease import Lease
from tests.fixity.repair.conftest import MakePlaces
from tests.fixity.repair.places import GOOD


class Killed(BaseException):
    """Stands for the end of the process."""


STEPS = [
    ("fixity.repair.run.append", "after"),  # asked
    ("fixity.repair.copy.proved", "after"),
    ("fixity.repair.copy._keep_bad_bytes", "after"),
    ("fixity.repair.run.repair_object", "after"),
    ("fixity.repair.run._Told.repaired", "after"),
    ("fixity.repair.run.check_repaired", "after"),
    ("fixity.repair.run.close_right", "after"),
]
OF_WRITES = [STEPS[2], STEPS[3]]


def killing(step: Callable[..., Any], when: str) -> Callable[..., Any]:
    def instead(*given: object, **more: object) -> object:
        if when == "after":
            step(*given, **more)
        raise Killed

    return instead


@pytest.mark.parametrize(
    ("source", "replica", "steps"),
    [("directory", "directory", STEPS), ("s3", "elsewhere", OF_WRITES)],
)
def test_a_repair_that_is_killed_at_any_step_loses_nothing_and_goes_on(
    places: MakePlaces,
    source: str,
    replica: str,
    steps: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pair = places(source, replica)
    keys = ["k0", "k1"]
    pair.both(*keys)
    bad = {key: pair.corrupt("b", key) for key in keys}
    pair.check("b")
    monkeypatch.setattr(Lease, "is_alive", lambda lease, now: False)  # a killed run has no heartbeat
    for name, when in steps:
        with monkeypatch.context() as patch:
            patch.setattr(name, killing(resolve_name(name), when))
            patch.setattr(Lease, "end", lambda lease, lake: None)
            with pytest.raises(Killed):
                pair.repair()
        for key in keys:
            now = pair.get("b", key)
            assert now in (GOOD, bad[key]), f"a half object after {name} ({when})"
            if now == GOOD:
                kept = [pair.get("b", each) for each in pair.keys("b") if each.endswith(f"/{key}")]
                assert bad[key] in kept, f"bad bytes are lost after {name} ({when})"
    repaired = pair.repair()
    assert all(map(repaired.is_right, repaired.done))
    assert {pair.get("b", key) for key in keys} == {GOOD}
    assert {each.state for each in incidents_now(pair.lake)} == {"closed"}


_SCRIPT = """
import sys
from contextlib import ExitStack
from pathlib import Path
from fixity.catalog import load_catalog
from fixity.lake import open_lake
from fixity.repair import Order, RepairRun, repair
from fixity.repair.sides import open_side

catalog = load_catalog(Path(sys.argv[1]))
with ExitStack() as opened:
    sides = {name: opened.enter_context(open_side(catalog, catalog.buckets[name], 2)) for name in ("a", "b")}
    print("begin", flush=True)
    repair(Order(catalog.pairs["p"]), RepairRun(open_lake(catalog), sys.argv[2], sides))
"""


def test_a_process_that_is_killed_leaves_no_half_file(
    places: MakePlaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = places("directory", "directory")
    drawn = random.Random(20261129)
    body = drawn.randbytes(12 * 1024**2)
    keys = [f"k{number}" for number in range(4)]
    pair.both(*keys, body=body)
    bad = {key: pair.corrupt("b", key) for key in keys}
    pair.check("b")
    _ = pair.catalog  # writes the file
    monkeypatch.setattr(Lease, "is_alive", lambda lease, now: False)
    for number in range(2):
        arguments = [sys.executable, "-c", _SCRIPT, str(pair.folder / "fixity.yaml"), f"killed-{number}"]
        # The leases of those killed before must not stop this one.
        pair.lake.remove("scratch/rolling/")
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            until = time.monotonic() + drawn.uniform(0.05, 0.9)
            while time.monotonic() < until and process.poll() is None:
                pass
            process.kill()
        for key in keys:
            now = pair.get("b", key)
            assert now in (body, bad[key])
            if now == body:
                kept = [
                    each
                    for each in pair.keys("b")
                    if each.startswith(QUARANTINE) and each.endswith(f"/{key}")
                ]
                assert bad[key] in [pair.get("b", each) for each in kept]
    repaired = pair.repair()
    assert all(map(repaired.is_right, repaired.done))
    assert {key: pair.get("b", key) == body for key in keys} == dict.fromkeys(keys, True)
    assert not [each for each in pair.keys("b") if "unfinished" in each]
