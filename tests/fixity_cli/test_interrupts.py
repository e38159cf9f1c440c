"""Ctrl-C and SIGTERM while the command works: it ends in time, says what is kept, and cancels its run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from devstack import faults
from devstack.faulty_proxy import FaultyProxy
from fixity.buckets import Throttle
from fixity.buckets.local import LocalReader
from fixity.catalog import load_catalog
from fixity.lake import LocalLake
from fixity.ledger.bucket_run import BucketRun
from fixity.ledger.inventory import take_inventory
from tests.command import Command, instance_of
from tests.fixity_cli.test_fixity_command import FIXITY
from tests.platform import PAIR, Platform

IN_TIME = 2.0  # seconds from the signal to the end, on a machine that is not busy with other things
_SLOW_REPORT = """
import sys
mark = sys.argv.pop()
from fixity.reports import pair
from fixity_cli.main import main
from fixity.lake.database import open_database
def compare(source, replica, match, csv, *rest, **more):
    with open_database(csv.parent) as database:
        open(mark, "w").close()
        database.sql("SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b").fetchall()
pair.compare = compare
main()
"""
_CLEANS_UP = """
import signal, sys, weakref
from fixity_cli.interrupts import interrupts
interrupts.listen(lambda: print("interrupted", file=sys.stderr))
class Thing: ...
thing = Thing()
kept = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT))
del thing
while True:
    signal.pause()
"""


class Running:
    """The command, running in a folder: a copy of a process that has imported all, or a program's."""

    def __init__(self, folder: Path, *words: str, program: tuple[str, ...] = ()) -> None:
        self.folder = folder
        environment = {**os.environ, "DAGSTER_HOME": str(folder / "home"), "TMPDIR": str(folder)}
        self._process = (
            subprocess.Popen(
                [*program, *words],
                cwd=folder,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            if program
            else Command(words, folder, environment)
        )

    def wait_until(self, ready: Callable[[], object]) -> None:
        """Wait until the command has come so far."""
        until = time.monotonic() + 60
        while not ready():
            assert self._process.poll() is None, self._process.communicate(timeout=20)
            assert time.monotonic() < until, "the command does not come so far"
            time.sleep(0.01)

    def interrupt(self, *signals: signal.Signals) -> tuple[str, str]:
        """Send signals; the command must end in time, with status 130. Returns its output."""
        began = time.monotonic()
        for each in signals:
            os.killpg(self._process.pid, each)
        output, errors = self._process.communicate(timeout=20)
        took = time.monotonic() - began
        assert took < IN_TIME * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)), (took, errors)
        assert self._process.returncode == 130, errors
        assert "Traceback" not in errors
        return output, errors

    def statuses(self) -> list[dg.DagsterRunStatus]:
        """The statuses of its runs, the newest first."""
        with instance_of(self.folder / "home") as instance:
            return [run.status for run in instance.get_runs()]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A folder with a catalog of two local buckets that are read slowly."""
    for side in ("a", "b"):
        (tmp_path / side).mkdir()
    (tmp_path / "fixity.yaml").write_text(
        "lake: lake\nbuckets: {a: {path: a, max_bandwidth: 1KiB, fixity_every: 90d}, b: {path: b}}\n"
        "pairs: {a: {replica: b, replication_lag: 0s}}\n"
    )
    return tmp_path


def scratch(folder: Path, pattern: str) -> list[Path]:
    """What a run has in work."""
    return list((folder / "lake/scratch").glob(pattern))


def test_while_it_hashes_small_objects_it_ends_and_both_runs_are_canceled(archive: Path) -> None:
    for name in range(100):
        (archive / f"a/{name}").write_bytes(bytes(1024))
    command = Running(archive, "verify", "a")
    command.wait_until(lambda: scratch(archive, "*/checksums/plan.json"))
    output, errors = command.interrupt(signal.SIGINT)
    (line,) = [line for line in errors.splitlines() if line.startswith("interrupted: ")]
    assert "of a" in line and "is kept" in line and output == ""  # both buckets are read at once
    assert command.statuses() == [dg.DagsterRunStatus.CANCELED] * 2
    assert not scratch(archive, "work-*")


def test_of_several_pairs_all_runs_are_canceled(archive: Path) -> None:
    buckets = ("a", "b", "c", "d")
    for bucket in buckets:
        (archive / bucket).mkdir(exist_ok=True)
        for name in range(100):
            (archive / bucket / str(name)).write_bytes(bytes(1024))
    slow = ", ".join(f"{bucket}: {{path: {bucket}, max_bandwidth: 1KiB}}" for bucket in buckets)
    (archive / "fixity.yaml").write_text(
        f"lake: lake\nbuckets: {{{slow}}}\npairs: {{a: {{replica: b}}, c: {{replica: d}}}}\n"
    )
    command = Running(archive, "verify", "a", "c")
    command.wait_until(lambda: len(scratch(archive, "*/checksums/plan.json")) == len(buckets))
    _, errors = command.interrupt(signal.SIGINT)
    assert "interrupted: what was finished of a, b, c, d is kept; to go on, type the command again" in errors
    assert command.statuses() == [dg.DagsterRunStatus.CANCELED] * len(buckets)
    assert not scratch(archive, "work-*")


def test_sigterm_does_the_same_while_it_hashes_a_large_object_and_json_stays_a_document(
    archive: Path,
) -> None:
    (archive / "a/large").write_bytes(bytes(4 * 1024 * 1024))
    command = Running(archive, "checksums", "a", "--json", program=(str(FIXITY),))
    command.wait_until(lambda: scratch(archive, "*/checksums/plan.json"))
    output, errors = command.interrupt(signal.SIGTERM)
    said = json.loads(output)
    assert said["status"] == 130 and said["verb"] == "checksums"
    assert said["errors"] == [errors.splitlines()[-1]]
    assert command.statuses() == [dg.DagsterRunStatus.CANCELED]


def test_a_rolling_run_keeps_its_checks(archive: Path) -> None:
    for name in range(40):
        (archive / f"a/{name:02}").write_bytes(bytes(100))
    lake = LocalLake(archive / "lake")
    bucket = load_catalog(archive / "fixity.yaml").buckets["a"]
    take_inventory(LocalReader(archive / "a", Throttle(1)), BucketRun(lake, bucket, "i"))
    command = Running(archive, "roll", "a")
    command.wait_until(lambda: scratch(archive, "rolling/a/*/checks/*"))
    _, errors = command.interrupt(signal.SIGINT)
    assert "interrupted: the checks that were made of a are kept; to go on, type the command again" in errors
    # If it is cut off before they are in the ledger, the next run finds them.
    assert lake.list("checksums/a/") or scratch(archive, "rolling/a/*/checks/*")
    assert command.statuses()[0] == dg.DagsterRunStatus.CANCELED


def test_a_signal_that_strikes_while_python_cleans_up_ends_it_without_a_trace() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _CLEANS_UP], capture_output=True, text=True, timeout=20, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "interrupted\n")


def test_while_a_query_makes_the_report_it_ends(archive: Path) -> None:
    for bucket in ("a", "b"):
        (archive / bucket / "x").write_text("x")
    mark = archive / "reporting"
    command = Running(archive, "verify", "a", str(mark), program=(sys.executable, "-c", _SLOW_REPORT))
    command.wait_until(mark.exists)
    _, errors = command.interrupt(signal.SIGINT)
    assert (
        "interrupted: the checks of both buckets are as they were; to compare them, type fixity report a"
        in errors
    )
    assert [status.value for status in command.statuses()] == ["CANCELED", "SUCCESS", "SUCCESS"]
    assert not scratch(archive, "work-*")


@pytest.mark.parametrize("listing", [True, False])
def test_while_a_store_does_not_answer_it_ends(
    platform: Platform, faulty_proxy: FaultyProxy, listing: bool
) -> None:
    for number in range(20):
        platform.put(f"k{number}")
    platform.endpoint_url = faulty_proxy.endpoint_url
    stall = faults.Stall(times=None)
    faulty_proxy.fault(stall, listing=listing)
    assert platform.file.exists()
    command = Running(platform.folder, "checksums", PAIR)
    command.wait_until(stall.reached.is_set)
    _, errors = command.interrupt(signal.SIGINT)
    assert "interrupted: " in errors
    assert command.statuses() == [dg.DagsterRunStatus.CANCELED]
    assert not scratch(platform.folder, "work-*")


def test_a_second_signal_ends_it_at_once(platform: Platform, faulty_proxy: FaultyProxy) -> None:
    platform.put("k")
    platform.endpoint_url = faulty_proxy.endpoint_url
    stall = faults.Stall(times=None)
    faulty_proxy.fault(stall)
    assert platform.file.exists()
    command = Running(platform.folder, "checksums", PAIR)
    command.wait_until(stall.reached.is_set)
    _, errors = command.interrupt(signal.SIGINT, signal.SIGTERM)
    assert "interrupted" not in errors  # it ended before it could say so
