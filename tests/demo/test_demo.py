"""`make demo`: it finds exactly what it spoiled, repairs it, ends by itself, and can be run again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil

REPOSITORY = Path(__file__).resolve().parents[2]


def run_demo(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the demonstration in a folder of its own."""
    return subprocess.run(
        [sys.executable, "-m", "demo", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )


def _figure(output: str, name: str) -> int:
    (line,) = [line for line in output.splitlines() if line.strip().startswith(f"{name}:")]
    return int(line.split(":")[1])


def _processes_of(folder: Path) -> list[str]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = " ".join(process.info["cmdline"] or [])
        if str(folder) in words:
            found.append(words)
    return found


def test_the_demo_finds_exactly_what_it_spoiled_repairs_it_and_leaves_no_process_behind(
    tmp_path: Path,
) -> None:
    done = run_demo(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("Mismatches", "Missing replica", "Missing source", "Failed source", "Failed replication"):
        assert _figure(done.stdout, name) == 1
    assert _figure(done.stdout, "Matches") == _figure(done.stdout, "Total objects") - 4
    found, plan, repaired, incident = done.stdout.split("\n$ fixity ")[1:]
    assert "\nmismatch: data/catalogue.sqlite: replica_damaged\n" in found
    assert "data/catalogue.sqlite: collection -> collection-repl, 144.0 KiB: would be repaired\n" in plan
    assert "collection: 3 to repair, 0 refused\n" in plan
    assert "collection: 3 repaired and right, 0 refused\nclosed: " in repaired
    assert "Incident " in incident and ": closed\n" in incident and "  closed by run " in incident
    assert "FIXITY_CATALOG=.demo/fixity.yaml" in done.stdout
    assert (tmp_path / ".demo/lake/reports/0000-00-00-LATEST/checksums").is_dir()
    assert not _processes_of(tmp_path)


def test_a_second_run_takes_one_s_own_files_however_few(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    (mine / "sub").mkdir(parents=True)
    (mine / "sub" / "a note.txt").write_text("kept")
    (mine / "b.txt").write_text("kept too")
    for _ in range(2):
        done = run_demo(tmp_path, "--files", str(mine))
        assert done.returncode == 0, done.stdout + done.stderr
        assert _figure(done.stdout, "Total objects") == 2
        assert (_figure(done.stdout, "Mismatches"), _figure(done.stdout, "Missing replica")) == (1, 1)
        assert "2 repaired and right, 0 refused\nclosed: " in done.stdout
    assert (mine / "b.txt").read_text() == "kept too"  # only copies are spoiled
