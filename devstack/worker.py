"""A worker as one has it on another machine: `fixity worker`, with a log, and killed as a machine dies."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from devstack.machines import Machine
from devstack.seaweedfs import ServerDidNotStart
from devstack.server_process import wait_until

_READY = re.compile(r" (fixity-\d+@\S+) ready\.")  # what Celery says when it takes steps
_TIMEOUT = 120.0  # seconds; a busy machine is no fault


class Worker:
    """A worker of one step at a time, for the length of a `with` block.

    Arguments: `name`, of its log in `folder`; `machine` where it runs, None for this one. Its environment is
    ours, with FIXITY_CATALOG and FIXITY_BROKER.
    """

    def __init__(self, folder: Path, name: str, machine: Machine | None = None) -> None:
        self.log = folder / f"{name}.log"
        self.machine = machine
        self.host = ""  # its name, as Dagster's events have it
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        self.wait_until_ready()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def session(self) -> int:
        """The id of the session of its processes."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        """Start it. It takes some seconds until it takes steps."""
        command = [sys.executable, "-P", "-m", "fixity_cli", "worker"]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command if self.machine is None else self.machine.within(*command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Wait until it takes steps. Raises ServerDidNotStart."""
        process = self._process
        assert process is not None
        wait_until(lambda: process.poll() is not None or _READY.search(self.text()) is not None, _TIMEOUT)
        said = _READY.search(self.text())
        if said is None or process.poll() is not None:
            self.kill()
            raise ServerDidNotStart(f"a worker:\n{self.text()[-3000:]}")
        self.host = said[1]

    def text(self) -> str:
        """Its log."""
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        """Kill it with all its processes (-9), as when its machine is gone, if it is running."""
        process, self._process = self._process, None
        if process is not None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
