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
import pytest

from devstack.seaweedfs import free_ports

REPOSITORY = Path(__file__).resolve().parents[2]


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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def output(folder: Path) -> str:
    """What a first demonstration prints."""
    done = subprocess.run(
        [sys.executable, "-m", "demo"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not _processes_of(folder)
    return done.stdout


def test_the_demo_finds_exactly_what_it_spoiled_repairs_it_and_leaves_no_process_behind(
    output: str, folder: Path
) -> None:
    for name in ("Mismatches", "Missing replica", "Missing source", "Failed source", "Failed replication"):
        assert _figure(output, name) == 1
    assert _figure(output, "Matches") == _figure(output, "Total objects") - 4
    begun, found, plan, repaired, incident, sealed, verified = output.split("\n$ fixity ")[1:]
    assert "\nmismatch: data/catalogue.sqlite: replica_damaged\n" in found
    assert "data/catalogue.sqlite: collection -> collection-repl, 144.0 KiB: would be repaired\n" in plan
    assert "collection: 3 to repair, 0 refused\n" in plan
    assert "collection: 3 repaired and right, 0 refused\nclosed: " in repaired
    assert "Incident " in incident and ": closed\n" in incident and "  closed by run " in incident
    assert begun.startswith("log init") and "\nseal 1 has 0 files as found: sha256 " in begun
    assert sealed.startswith("log seal") and "\nseal 2 has " in sealed
    assert "files in 2 seals" in verified and ": all as they were sealed\n" in verified
    breaking, verifying, *_ = (line.strip() for line in verified.splitlines() if line.startswith("  "))
    subprocess.run(["sh", "-c", breaking], cwd=folder, check=True)
    command = [sys.executable, "-m", "fixity_cli", *verifying.split()[1:]]
    named = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert named.returncode == 1 and breaking.split("/lake/")[1] in named.stderr
    assert "FIXITY_CATALOG=.demo/fixity.yaml" in output
    assert (folder / ".demo/lake/reports/0000-00-00-LATEST/checksums").is_dir()


def test_a_second_run_takes_one_s_own_files_however_few_and_shows_the_ui_until_ctrl_c(
    output: str, folder: Path
) -> None:
    mine = folder / "mine"
    for name in ("data/catalogue.sqlite", "sub/a note.txt"):  # of the first, an incident was closed
        (mine / name).parent.mkdir(parents=True)
        (mine / name).write_text("kept")
    shown = _stayed(folder, "--files", str(mine))
    assert _figure(shown, "Total objects") == 2
    assert (_figure(shown, "Mismatches"), _figure(shown, "Missing replica")) == (1, 1)
    assert "2 repaired and right, 0 refused\nclosed: " in shown
    assert (mine / "data/catalogue.sqlite").read_text() == "kept"  # only copies are spoiled
    assert "Warning" not in (folder / ".demo/dagster-dev.log").read_text()
    assert not _processes_of(folder)


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
