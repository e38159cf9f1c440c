"""`make demo`: it finds exactly what it spoiled, repairs it, shows the UI or ends, and can be run again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from itertools import takewhile
from pathlib import Path

import psutil

from devstack.seaweedfs import free_ports

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


def test_a_second_run_takes_one_s_own_files_however_few_and_shows_the_ui_until_ctrl_c(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    (mine / "sub").mkdir(parents=True)
    (mine / "sub" / "a note.txt").write_text("kept")
    (mine / "b.txt").write_text("kept too")
    done = run_demo(tmp_path, "--files", str(mine))
    assert done.returncode == 0, done.stdout + done.stderr
    for output in (done.stdout, _stayed(tmp_path, "--files", str(mine))):
        assert _figure(output, "Total objects") == 2
        assert (_figure(output, "Mismatches"), _figure(output, "Missing replica")) == (1, 1)
        assert "2 repaired and right, 0 refused\nclosed: " in output
    assert (mine / "b.txt").read_text() == "kept too"  # only copies are spoiled
    assert "Warning" not in (tmp_path / ".demo/dagster-dev.log").read_text()
    assert not _processes_of(tmp_path)


def _stayed(folder: Path, *words: str) -> str:
    """What the demonstration prints that shows the UI, until Ctrl-C."""
    (port,) = free_ports(1)
    with subprocess.Popen(
        [sys.executable, "-m", "demo", *words, "--stay", "--port", str(port)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        text=True,
    ) as demo:
        assert demo.stdout is not None
        shown = list(takewhile(lambda line: not line.startswith("The UI: "), demo.stdout))
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=30) as answer:
            assert answer.status == 200
        demo.send_signal(signal.SIGINT)
        assert "make clean removes it" in demo.communicate()[0] and demo.returncode == 0
    return "".join(shown)
