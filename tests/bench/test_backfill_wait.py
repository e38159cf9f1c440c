"""A backfill that hangs ends the part `many` soon; one that goes on does not, however long it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.many import wait_for_reports
from devstack.dagster_dev import DagsterDev
from tests.fixity.support import Clock


class Made(DagsterDev):
    """A Dagster that makes one thing in `every` seconds, as long as there are some left."""

    def __init__(self, folder: Path, clock: Clock, every: float, most: int) -> None:
        (folder / "log").write_text("the end of the log")
        super().__init__("", folder / "log", 0, clock, clock.sleep)
        self._clock, self._begun, self._every, self._most = clock, clock.now, every, most

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        made = min(self._most, int((self._clock.now - self._begun) / self._every))
        of_asset = {"inventory": range(0, 20), "checksums": range(20, 40), "fixity_report": range(40, 50)}
        here = [number for number in of_asset[variables["asset"]["path"][0]] if number < made]
        events = [{"partition": str(number), "timestamp": "0"} for number in here]
        return {"assetOrError": {"assetMaterializations": events}}


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_backfill_that_goes_on_is_waited_for_though_it_takes_long(tmp_path: Path, clock: Clock) -> None:
    begun = clock.now
    wait_for_reports(Made(tmp_path, clock, every=140, most=50), 10)
    assert clock.now - begun > 3600


def test_a_backfill_that_hangs_is_given_up_three_minutes_after_its_last_event(
    tmp_path: Path, clock: Clock
) -> None:
    begun = clock.now
    with pytest.raises(AssertionError, match=r"no report .* 'fixity_report': 2}:\nthe end of the log"):
        wait_for_reports(Made(tmp_path, clock, every=10, most=42), 10)
    assert 180 <= clock.now - begun - 420 <= 180 + 31  # progress is asked for every 30 s
