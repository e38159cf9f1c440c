"""The commands of the tutorial, run as they are written, print what the tutorial says."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devstack.seaweedfs import SeaweedFS

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
    steps = _steps()
    script = "".join(f"{commands}printf '\\0'\n" for commands, _ in steps)  # one shell for all
    done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    printed = done.stdout.split("\0")
    assert len(printed) == len(steps) + 1 > 6, done.stderr
    for (commands, shown), output in zip(steps, printed, strict=False):
        anything = "(?s:.*?)".join(map(re.escape, shown.split("…")))
        assert re.fullmatch(anything, output), f"{commands}printed:\n{output}\n{done.stderr}"
