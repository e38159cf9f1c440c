"""Temporary folders: a process that is killed leaves none for ever, and nobody removes those of others."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fixity.lake import temporary
from fixity.lake.temporary import TemporaryFolder

HOLDS_ONE = """
import sys
from pathlib import Path
from fixity.lake.temporary import TemporaryFolder
with TemporaryFolder("fixity-", Path(sys.argv[1])) as folder:
    (Path(folder) / "table").write_text("rows")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def a_new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if nothing was looked at in this process yet."""
    monkeypatch.setattr(temporary, "_swept", set())


def _holder(parent: Path) -> tuple[subprocess.Popen[str], Path]:
    words = [sys.executable, "-c", HOLDS_ONE, str(parent)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_what_a_killed_process_left_is_removed_by_the_next_one_and_what_a_living_one_has_stays(
    tmp_path: Path,
) -> None:
    killed, left = _holder(tmp_path)
    living, used = _holder(tmp_path)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert (left / "table").exists()
    with TemporaryFolder("fixity-", tmp_path) as mine:
        assert {each.name for each in tmp_path.iterdir()} == {used.name, Path(mine).name}
        assert (used / "table").read_text() == "rows"
    living.communicate("")
    assert list(tmp_path.iterdir()) == []


def test_a_child_that_was_forked_keeps_the_folder_of_its_parent(tmp_path: Path) -> None:
    with TemporaryFolder("fixity-", tmp_path) as folder:
        (Path(folder) / "table").write_text("rows")
        temporary._swept.clear()
        child = os.fork()
        if not child:
            with TemporaryFolder("fixity-", tmp_path):
                temporary.remove_all()  # as where it is interrupted
                os._exit(0 if (Path(folder) / "table").exists() else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert (Path(folder) / "table").exists()


@pytest.mark.parametrize(
    "whose", ["another version", "another machine", "another mount", "another user", "a link"]
)
def test_what_may_be_of_somebody_else_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    parent = tmp_path / "parent"
    parent.mkdir()
    marked = f"fixity-{temporary._knows_locks(str(parent))}-"
    names = {
        "another version": "fixity-x",
        "another machine": "fixity-0f0f-1-x",
        "another mount": f"fixity-{temporary._kernel()}-{parent.stat().st_dev + 1:x}-x",
    }
    left = parent / names.get(whose, f"{marked}x")
    if whose == "a link":
        (tmp_path / "elsewhere").mkdir()
        left.symlink_to(tmp_path / "elsewhere")
    else:
        left.mkdir()
    if whose == "another user":
        uid = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    with TemporaryFolder("fixity-", left.parent):
        pass
    assert left.is_dir() and (tmp_path / "elsewhere").is_dir() == (whose == "a link")


def test_a_folder_that_was_taken_before_it_was_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = temporary._locked
    taken: list[Path] = []

    def late(path: str, wait: bool) -> int | None:
        lock = locked(path, wait)
        if not taken:
            taken.append(Path(path))
            taken[0].rmdir()  # as another process does that holds the lock first
        return lock

    monkeypatch.setattr(temporary, "_locked", late)
    with TemporaryFolder("fixity-", tmp_path) as folder:
        assert Path(folder).is_dir() and Path(folder) != taken[0]


def test_where_there_are_no_locks_nobody_takes_a_folder_for_one_that_was_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(file: int, how: int) -> None:
        raise OSError(9, "Bad file descriptor")

    with monkeypatch.context() as without:
        without.setattr(fcntl, "flock", refused)
        folder = TemporaryFolder("fixity-", tmp_path)
    temporary._swept.clear()
    with TemporaryFolder("fixity-", tmp_path):
        assert Path(folder.name).is_dir()
    with folder:
        pass
    assert list(tmp_path.iterdir()) == []
