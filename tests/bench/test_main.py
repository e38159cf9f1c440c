"""`python -m bench`: which parts it measures, and what it says of those that it cannot."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bench import __main__ as bench
from bench import processors, results, thousand_million
from bench.data import Collections
from bench.measure import Row
from devstack.machines import NotAllowed
from devstack.seaweedfs import NotInstalled


def _without_rclone(collections: Collections, rounds: int, scratch: Path) -> list[Row]:
    raise NotInstalled("the program 'rclone' is not installed")


def _without_rights(collections: Collections, rounds: int, scratch: Path) -> list[Row]:
    raise NotAllowed("root is needed")


def _measured(collections: Collections, rounds: int, scratch: Path) -> list[Row]:
    return [Row("work of ours", 1, None, None, 2, "s")]


@pytest.fixture
def three_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        bench, "PARTS", {"reading": _without_rclone, "workers": _without_rights, "log": _measured}
    )


@pytest.mark.usefixtures("three_parts")
def test_on_little_data_a_part_without_its_program_or_its_rights_is_skipped_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "--quick"])
    assert bench.main() == 0
    said = capsys.readouterr()
    assert said.err == (
        "reading was skipped: the program 'rclone' is not installed\nworkers was skipped: root is needed\n"
    )
    assert "work of ours" in said.out


@pytest.mark.usefixtures("three_parts")
def test_little_data_leaves_the_results_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*arguments: object) -> None:
        raise AssertionError("figures of little data were to be kept")

    for module, name in (
        (results, "keep"),
        (results, "write_document"),
        (thousand_million, "write"),
    ):
        monkeypatch.setattr(module, name, write)
    monkeypatch.setattr(sys, "argv", ["bench", "--quick"])
    assert bench.main() == 0


@pytest.mark.usefixtures("three_parts")
def test_what_is_to_be_measured_is_never_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "--only", "reading"])
    with pytest.raises(NotInstalled, match="rclone"):
        bench.main()


def test_without_control_groups_a_worker_has_no_part_of_a_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processors, "_GROUPS", tmp_path / "absent")
    with (
        pytest.raises(NotAllowed, match="needs root and control groups"),
        processors.own_processor(os.getpid(), 0.5),
    ):
        pass
