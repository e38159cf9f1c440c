"""A server of one of Debian's packages, as one process on loopback that can be stopped, killed and started.

What each server is told is in its own module.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from devstack.seaweedfs import NotInstalled, ServerDidNotStart, free_ports

LOOPBACK = "127.0.0.1"
_TIMEOUT = 30.0  # seconds until a server answers, or has stopped


class ServerProcess(ABC):
    """A server for the length of a `with` block, on one port and in a folder that are its own.

    The folder is removed at the end. Arguments: `package`, of Debian; `program`, its path, None if it is not
    installed; `host`, the address where it listens; `user` whose process it is, None for our own.
    Raises NotInstalled.
    """

    gentle, at_once = signal.SIGTERM, signal.SIGKILL
    """How the server is asked to stop, and how it is ended without being asked."""

    def __init__(self, package: str, program: str | None, host: str, user: str | None = None) -> None:
        if program is None:
            raise NotInstalled(f"Debian's package '{package}' is not installed: apt-get install {package}")
        self.program = program
        self.host = host
        self.user = user
        (self.port,) = free_ports(1)
        self.folder = Path(tempfile.mkdtemp(prefix=f"fixity-{package}-"))
        if user is not None:
            shutil.chown(self.folder, user)
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> Sequence[str]:
        """The words that start it."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it answers."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.remove()

    def start(self) -> None:
        """Start it, with the data that it had, and wait until it answers. Raises ServerDidNotStart."""
        log = self.folder / "log"
        with log.open("ab") as written:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=written,
                cwd=self.folder,
                user=self.user,
                start_new_session=True,  # Ctrl-C is for whoever started it
            )
        process = self._process
        if not wait_until(lambda: process.poll() is not None or self.answers(), _TIMEOUT) or process.poll():
            self.kill()
            raise ServerDidNotStart(f"{self.program}:\n{log.read_text(errors='replace')[-3000:]}")

    def stop(self) -> None:
        """Ask it to stop, and wait for it. Does nothing if it is not running."""
        self._end(self.gentle)

    def kill(self) -> None:
        """End it without asking."""
        self._end(self.at_once)

    def _end(self, by: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(by)
        try:
            process.wait(_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def remove(self) -> None:
        """Remove its folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def wait_until(is_so: Callable[[], bool], timeout: float, pause: float = 0.05) -> bool:
    """Wait until something is so; whether it is, after `timeout` seconds at most."""
    deadline = time.monotonic() + timeout
    while not (so := is_so()) and time.monotonic() < deadline:
        time.sleep(pause)
    return so
