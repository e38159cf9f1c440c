"""What tests of the parts share: a part run on little data, which it keeps in a folder of the tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import pytest

from bench import __main__ as bench
from bench import data


@pytest.fixture(scope="module")
def kept() -> Iterator[Path]:
    """Where the parts keep their data: made once for all tests of a file, and removed at its end."""
    with TemporaryDirectory() as folder, patch.object(data, "ROOT", Path(folder)):
        yield Path(folder)


@pytest.fixture
def run_part(
    kept: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], None]:
    """Runs a part as `make bench-quick` does; skips the test where a program or a right is absent."""

    def run(part: str) -> None:
        monkeypatch.setattr(sys, "argv", ["bench", "--quick", "--only", part])
        assert bench.main() == 0
        said = capsys.readouterr()
        if f"{part} was skipped" in said.err:
            pytest.skip(said.err.strip().splitlines()[-1])
        assert "reached" in said.out, "no row was measured"

    return run
