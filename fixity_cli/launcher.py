"""Starts the runs of the daemon: each is a copy of a process that has imported the definitions already.

Dagster's own launcher starts a new Python for each run, and to import Dagster and the definitions costs it
three seconds. The process that is copied is `run_server`. What a run does does not belong here.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, get_type_hints

import dagster as dg

from fixity_cli.run_process import PROCESS_TAG, interrupt, is_executed, process_file, process_of
from fixity_cli.storage import keep_open

if TYPE_CHECKING:
    from collections.abc import Mapping

Unnamed = Any
"""An object of a class that Dagster does not export."""

# Dagster's launchers name these two.
_Health = get_type_hints(dg.DefaultRunLauncher.check_run_worker_health)["return"]
_WorkerStatus = get_type_hints(_Health)["status"]


class _RunServer:
    """A `run_server`, seen from the process that started it."""

    def __init__(self) -> None:
        words = [sys.executable, "-P", "-m", "fixity_cli.run_server"]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._requests, self._answers = self._process.stdin, self._process.stdout

    def start(self, arguments: str, file: Path) -> None:
        """Start a run.

        Arguments: `arguments`, Dagster's own, serialized; `file`, of the run's process.
        Raises OSError if the server has ended.
        """
        self._requests.write(json.dumps([arguments, str(file)]) + "\n")
        if not self._answers.readline():
            raise BrokenPipeError(f"the process that starts runs ended with {self._process.wait()}")

    @property
    def has_ended(self) -> bool:
        """Whether it can start no more runs."""
        return self._process.poll() is not None

    def close(self) -> None:
        """Start no more runs. Those that were started go on."""
        self._requests.close()
        self._answers.close()


def arguments_of(run_id: str, origin: Unnamed, instance: dg.DagsterInstance) -> str:
    """What `dagster api execute_run` is told of a run, as JSON. Arguments: `origin`, of the job's code."""
    return json.dumps(
        {
            "__class__": "ExecuteRunArgs",
            "pipeline_origin": json.loads(dg.serialize_value(origin)),
            "pipeline_run_id": run_id,
            "instance_ref": json.loads(dg.serialize_value(instance.get_ref())),
            "set_exit_code_on_failure": None,
        }
    )


class WarmRunLauncher(dg.DefaultRunLauncher):
    """Hands runs to a `run_server` for each loading of the code location.

    So a run has the code that the code location was loaded with. Runs of a code location on
    another machine are started by Dagster's own launcher. It also notices runs whose process is gone, also
    after the machine was switched off; Dagster then calls them failed.
    """

    def __init__(self, inst_data: Unnamed = None) -> None:
        super().__init__(inst_data)
        self._servers: dict[str, _RunServer] = {}
        self._starting = threading.Lock()

    @classmethod
    def from_config_value(cls, inst_data: Unnamed, config_value: Mapping[str, Any]) -> Self:
        """See Dagster's ConfigurableClass."""
        return cls(inst_data)

    def register_instance(self, instance: dg.DagsterInstance) -> None:
        """See Dagster's RunLauncher. The daemon asks for runs and events all the time."""
        super().register_instance(instance)
        keep_open(instance)

    def launch_run(self, context: Unnamed) -> None:
        """See Dagster's RunLauncher."""
        run, origin = context.dagster_run, context.job_code_origin
        assert run.remote_job_origin is not None and context.workspace is not None
        name = run.remote_job_origin.repository_origin.code_location_origin.location_name
        location = context.workspace.get_code_location(name)
        if origin is None or location.client.socket is None:  # a socket is always of this machine
            super().launch_run(context)
            return
        file = process_file(self._instance.root_directory, run.run_id)
        self._instance.add_run_tags(run.run_id, {PROCESS_TAG: str(file)})
        with self._starting:
            self._start(location.server_id, arguments_of(run.run_id, origin, self._instance), file)

    def _start(self, loading: str, arguments: str, file: Path) -> None:
        """Start a run in the server of a loading of the code location; those of older loadings end."""
        for other in [name for name, server in self._servers.items() if name != loading or server.has_ended]:
            self._servers.pop(other).close()
        if loading not in self._servers:
            self._servers[loading] = _RunServer()
        self._servers[loading].start(arguments, file)

    def terminate(self, run_id: str) -> bool:
        """See Dagster's RunLauncher."""
        run = self._instance.get_run_by_id(run_id)
        file = process_of(run_id, run.tags) if run is not None else None
        if run is None or run.is_finished or file is None:
            return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]  # Dagster's has no types
        self._instance.report_run_canceling(run)
        return interrupt(file)

    @property
    def supports_check_run_worker_health(self) -> bool:
        """See Dagster's RunLauncher."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> Unnamed:
        """See Dagster's RunLauncher. Nothing is known of runs that somebody else started."""
        file = process_of(run.run_id, run.tags)
        if file is None or is_executed(file):
            return _Health(_WorkerStatus.RUNNING)
        return _Health(_WorkerStatus.NOT_FOUND, "the run's process is gone")

    def dispose(self) -> None:
        """See Dagster's RunLauncher. Runs that were started go on."""
        with self._starting:
            for server in self._servers.values():
                server.close()
            self._servers.clear()
