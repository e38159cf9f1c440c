"""`python -m bench`: which parts it measures, and what it says of those that it cannot."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench import __main__ as bench
from bench.data import Collections
from bench.measure import Row
from devstack.seaweedfs import NotInstalled


def _without_rclone(collections: Collections, rounds: int, scratch: Path) -> list[Row]:
    raise NotInstalled("the program 'rclone' is not installed")


def _measured(collections: Collections, rounds: int, scratch: Path) -> list[Row]:
    return [Row("work of ours", 1, None, None, 2, "s")]


@pytest.fixture
def two_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "PARTS", {"reading": _without_rclone, "log": _measured})


@pytest.mark.usefixtures("two_parts")
def test_on_little_data_a_part_without_its_program_is_skipped_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "--quick"])
    assert bench.main() == 0
    said = capsys.readouterr()
    assert said.err == "reading was skipped: the program 'rclone' is not installed\n"
    assert "work of ours" in said.out


@pytest.mark.usefixtures("two_parts")
def test_what_is_to_be_measured_is_never_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "--only", "reading"])
    with pytest.raises(NotInstalled, match="rclone"):
        bench.main()
