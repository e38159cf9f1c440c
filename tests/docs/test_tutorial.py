"""The commands of the tutorial, run as they are written, print what the tutorial says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devstack.seaweedfs import SeaweedFS
from tests.command import run_command

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TUTORIAL = Path(__file__).resolve().parents[2] / "docs/tutorial/first-bucket.md"
_BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _steps() -> list[tuple[str, str]]:
    """The blocks of commands, each with the output that the tutorial shows below it, if any."""
    found: list[tuple[str, str]] = []
    for kind, text in _BLOCK.findall(TUTORIAL.read_text(encoding="utf-8")):
        if kind == "sh":
            found.append((text, ""))
        else:
            found[-1] = (found[-1][0], text)
    return found


class _Shell:
    """A shell whose variables and folder stay from one block of commands to the next."""

    def __init__(self, folder: Path) -> None:
        self._variables = {**os.environ, "PWD": str(folder)}
        self._variables.pop("DAGSTER_HOME", None)
        self._kept = folder / "variables"

    def run(self, commands: str) -> tuple[str, str]:
        """What a block prints on stdout and stderr. If its last line is `fixity`, that starts at once."""
        *lines, last = commands.splitlines()
        words = shlex.split(last)
        if words[0] != "fixity":
            lines.append(last)
        script = "\n".join([*lines, f"env -0 > {shlex.quote(str(self._kept))}"])
        done = subprocess.run(
            ["bash", "-ec", script],
            cwd=self._variables["PWD"],
            env=self._variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        self._variables = dict(each.split("=", 1) for each in self._kept.read_text().split("\0") if each)
        if words[0] != "fixity":
            return done.stdout, done.stderr
        ran = run_command(words[1:], Path(self._variables["PWD"]), self._variables)
        return done.stdout + ran.stdout, done.stderr + ran.stderr


@pytest.fixture
def folder(tmp_path: Path, seaweedfs: SeaweedFS, s3: S3Client) -> Iterator[Path]:
    """A folder with what `make setup` and `make demo` leave in the repository's."""
    (tmp_path / ".demo").mkdir()
    (tmp_path / ".demo/server.env").write_text(seaweedfs.shell_environment)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    yield tmp_path
    for bucket in ("letters", "letters-copy"):
        s3.delete_bucket(Bucket=bucket)


def test_the_tutorial_s_commands_print_what_it_says(folder: Path) -> None:
    shell = _Shell(folder)
    steps = _steps()
    assert len(steps) > 5
    for commands, shown in steps:
        printed, on_stderr = shell.run(commands)
        anything = "(?s:.*?)".join(map(re.escape, shown.split("…")))
        assert re.fullmatch(anything, printed), f"{commands}printed:\n{printed}\n{on_stderr}"
