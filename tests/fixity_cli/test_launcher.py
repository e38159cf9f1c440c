"""How runs of the daemon are started, stopped, and noticed when they are gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from fixity_cli import run_server
from fixity_cli.launcher import WarmRunLauncher, arguments_of
from fixity_cli.run_process import PROCESS_TAG, executing, interrupt, is_executed, process_file

_EXECUTES = """
import sys, time
from pathlib import Path
from fixity_cli.run_process import PROCESS_TAG, executing
with executing(Path(sys.argv[1])):
    print(flush=True)
    time.sleep(60)
"""


def _status_of(file: Path, **tags: str) -> str:
    run = dg.DagsterRun("check_bucket", run_id=file.name, tags={PROCESS_TAG: str(file), **tags})
    return str(WarmRunLauncher().check_run_worker_health(run).status.value)


def test_a_run_whose_process_is_gone_is_noticed(tmp_path: Path) -> None:
    file = process_file(tmp_path, "a-run")
    with executing(file):
        assert _status_of(file) == "RUNNING"
    assert _status_of(file) == "NOT_FOUND"


def test_the_file_of_a_process_that_was_killed_says_that_it_is_gone(tmp_path: Path) -> None:
    file = process_file(tmp_path, "a-run")
    file.parent.mkdir()
    file.write_text(str(os.getpid()))  # not locked, as after the machine was switched off; the number is used
    assert not is_executed(file) and not interrupt(file)
    assert _status_of(file) == "NOT_FOUND"


def test_nothing_is_said_of_a_run_that_somebody_else_started() -> None:
    run = dg.DagsterRun("check_bucket", run_id="a-run")
    assert WarmRunLauncher().check_run_worker_health(run).status.value == "RUNNING"


def test_stopping_a_run_interrupts_its_process(tmp_path: Path) -> None:
    file = process_file(tmp_path, "a-run")
    with subprocess.Popen(
        [sys.executable, "-c", _EXECUTES, str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert interrupt(file)
        process.wait(timeout=20)
    assert not file.exists() and not interrupt(file)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # pytest has threads
def test_the_run_of_a_process_that_was_killed_is_called_failed(tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        run = instance.create_run_for_job(_job())
        arguments = json.loads(arguments_of(run.run_id, None, instance))

        def die() -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        copies = {run_server.copy(die): arguments}
        while copies:
            run_server.bury(copies, wait=True)
        os.wait()  # the copy that says so
        ended = instance.get_run_by_id(run.run_id)
        assert ended is not None and ended.status is dg.DagsterRunStatus.FAILURE
        assert "signal 9" in str([entry.message for entry in instance.all_logs(run.run_id)])


def _job() -> dg.JobDefinition:
    @dg.op
    def nothing() -> None: ...

    @dg.job
    def job() -> None:
        nothing()

    return job
