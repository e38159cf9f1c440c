"""Scratch is swept when nobody will take it up again, and not before."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fixity.lake import LocalLake
from fixity.lake.proof import proof_file
from fixity.lake.sweep import SCRATCH_DAYS, sweep


def _left(root: Path) -> set[str]:
    return {folder.name for folder in (root / "scratch").iterdir()}


def test_what_was_left_is_removed_after_its_term_and_nothing_else(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path)
    now = datetime.now(UTC)
    days = {
        "scratch/left/plan.json": SCRATCH_DAYS + 1,
        "scratch/left/parts/0": SCRATCH_DAYS + 0.1,
        "scratch/work-killed/inventory.parquet": 400,
        "scratch/goes-on/plan.json": 400,
        "scratch/goes-on/parts/0": SCRATCH_DAYS - 0.1,
        "scratch/waits/plan.json": 400,
        "reports/2001-01-01/checksums/p.csv": 9000,
        "checksums/b/r.parquet": 9000,
    }
    for name, age in days.items():
        lake.put_text(name, "x")
        appeared = (now - timedelta(days=age)).timestamp()
        os.utime(tmp_path / name, (appeared, appeared))
    assert sweep(lake, {"waits"}, now) == ["left", "work-killed"]
    assert _left(tmp_path) == {"goes-on", "waits"}
    kept = {file.name for file in lake.list("")}
    stays = {name for name in days if "left" not in name and "killed" not in name}
    assert kept == stays | {proof_file("checksums/b/r.parquet")}


def test_a_lake_without_scratch_has_nothing_to_sweep(tmp_path: Path) -> None:
    assert sweep(LocalLake(tmp_path), set(), datetime.now(UTC)) == []
