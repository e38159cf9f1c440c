"""A process that has imported the definitions, and copies itself for each run that it is handed.

`python -m fixity_cli.run_server` reads a request from each line of stdin: what `dagster api execute_run` is
told of a run, and the file of its process. It answers each with the copy's process id on stdout. It ends when
stdin does and all copies have ended. It has no threads, because a copy would lack them. When runs start does
not belong here.
"""

from __future__ import annotations

import json
import os
import runpy
import select
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NoReturn

import dagster as dg

from fixity_cli.launcher import Unnamed
from fixity_cli.run_process import executing
from fixity_cli.storage import keep_all_open

Arguments = Mapping[str, Any]
"""What `dagster api execute_run` is told of a run, read from JSON; see `fixity_cli.launcher.arguments_of`."""

_LOOK = 1.0  # seconds between two looks for copies that have ended


def main() -> None:
    """Serve until stdin ends and all copies have ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the runs and for who started this
    answers = os.dup(1)
    os.dup2(2, 1)  # what a run prints is no answer
    copies: dict[int, Arguments] = {}
    loaded = False
    while True:
        bury(copies)
        if not select.select([0], [], [], _LOOK if copies else None)[0]:
            continue
        line = sys.stdin.readline()  # the next one comes after the answer, so nothing is left in the buffer
        if not line:
            break
        text, file = json.loads(line)
        arguments = json.loads(text)
        loaded = loaded or _load(arguments)
        pid = copy(partial(_execute, text, Path(file), answers))
        copies[pid] = arguments
        os.write(answers, f"{pid}\n".encode())
    while copies:
        bury(copies, wait=True)


def _load(arguments: Arguments) -> bool:
    """Import the definitions. Returns whether they can be; the run says why not."""
    with suppress(Exception):
        target = _value(arguments["pipeline_origin"]).repository_origin.code_pointer.load_target()
        if callable(target):
            target().get_repository_def().get_all_jobs()
        (dagster,) = entry_points(group="console_scripts", name="dagster")
        dagster.load()
        import_module("fixity_assets.loaded")
        return True
    return False


def _value(said: object) -> Unnamed:
    return dg.deserialize_value(json.dumps(said))


def bury(copies: dict[int, Arguments], wait: bool = False) -> None:
    """Forget the copies that have ended. The run of one that did not end in order is called failed."""
    while copies:
        pid, status = os.waitpid(-1, 0 if wait else os.WNOHANG)
        if not pid:
            break
        arguments = copies.pop(pid, None)
        if arguments is not None and status:
            copy(partial(_fail, arguments, os.waitstatus_to_exitcode(status)))


def copy(work: Callable[[], None]) -> int:
    """Do something in a copy of this process. Returns its process id."""
    pid = os.fork()
    return pid or _in_copy(work)


def _in_copy(work: Callable[[], None]) -> NoReturn:
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        work()
        status = 0
    except SystemExit as ended:
        status = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # the way out of the one that was copied is not ours


def _execute(arguments: str, file: Path, answers: int) -> None:
    os.close(answers)  # whoever waits for an answer must see that nobody is left to give it
    keep_all_open()
    with executing(file):
        sys.argv = ["dagster", "api", "execute_run", arguments]
        runpy.run_module("dagster", run_name="__main__")


def _fail(arguments: Arguments, status: int) -> None:
    with dg.DagsterInstance.from_ref(_value(arguments["instance_ref"])) as instance:
        run = instance.get_run_by_id(arguments["pipeline_run_id"])
        if run is not None and not run.is_finished:
            how = f"signal {-status}" if status < 0 else f"status {status}"
            instance.report_run_failed(run, f"The run's process ended before the run did ({how}).")


if __name__ == "__main__":
    main()
