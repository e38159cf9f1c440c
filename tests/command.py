"""The `fixity` command as a process of its own that starts at once.

Each is forked from a server that has imported everything, and done a first run (`tests.warmed`). That the
installed script itself starts, and what signals do to it, is shown where these are tested.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from multiprocessing import forkserver, get_context
from pathlib import Path
from unittest.mock import patch

import dagster as dg

_FORKS = get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.warmed"])
_REPOSITORY = Path(__file__).resolve().parents[1]
_MINUTES = 5


class Command:
    """`fixity WORDS`, running in a folder, with this environment and no other; it answers as a Popen does.

    It is in a process group of its own, as a terminal makes it.
    """

    def __init__(
        self, words: Sequence[str], folder: Path, environment: Mapping[str, str], stdin: str = ""
    ) -> None:
        self._files = tempfile.TemporaryDirectory()
        Path(self._files.name, "0").write_text(stdin)
        arguments = (list(words), folder, dict(environment), self._files.name)
        _start_server()
        self._process = _FORKS.Process(target=_be_the_command, args=arguments)
        self._process.start()

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def communicate(self, timeout: float) -> tuple[str, str]:
        """What it printed by its end. It is killed if it goes on for longer than `timeout` seconds."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        with self._files as files:
            return Path(files, "1").read_bytes().decode(), Path(files, "2").read_bytes().decode()


def run_command(
    words: Sequence[str], folder: Path, environment: Mapping[str, str], stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `fixity WORDS` in a folder, with this environment and no other."""
    command = Command(words, folder, environment, stdin)
    output, errors = command.communicate(60 * _MINUTES)
    return subprocess.CompletedProcess(["fixity", *words], command.returncode or 0, output, errors)


@contextmanager
def instance_of(home: Path) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance that the command made in a folder."""
    with (
        patch.dict(os.environ, {"DAGSTER_HOME": str(home)}),
        dg.DagsterInstance.from_config(str(home)) as instance,
    ):
        yield instance


@cache
def _start_server() -> None:
    """Start what the commands are forked from, whatever the folder and the settings of the first test are."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("FIXITY_", "DAGSTER_"))}
    with patch.dict(os.environ, {**ours, "PYTHONPATH": str(_REPOSITORY)}, clear=True):
        forkserver.ensure_running()


def _be_the_command(words: list[str], folder: Path, environment: dict[str, str], files: str) -> None:
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number in range(3):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT
        os.dup2(os.open(f"{files}/{number}", flags), number)
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115 - as long as the process
        for number, mode in enumerate("rww")
    )
    sys.argv = ["fixity", *words]
    from fixity_cli.main import main

    main()
