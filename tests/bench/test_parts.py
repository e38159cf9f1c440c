"""Every part of the benchmarks runs, on little data: `make bench-quick`. `many` has a file of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from bench import __main__ as bench
from bench import data
from devstack.seaweedfs import SeaweedFS


@pytest.fixture(scope="module")
def server(kept: Path) -> Iterator[SeaweedFS]:
    """One server for all parts, each of which would else wait some seconds for its own."""
    with SeaweedFS(kept / "seaweedfs") as started:
        yield started


@pytest.mark.parametrize("part", sorted(bench.PARTS.keys() - bench.LARGE - {"many"}))
def test_each_part_runs_on_little_data(
    part: str, run_part: Callable[[str], None], server: SeaweedFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "SeaweedFS", lambda directory: nullcontext(server))
    run_part(part)
