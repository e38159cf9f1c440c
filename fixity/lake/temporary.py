"""Temporary folders of this process, which can be removed also where it ends without unwinding.

A process that is killed at once leaves its folders. So each one is locked as long as its process lives: the
kernel releases the lock, however the process ends. The next process that makes a folder beside them removes
those that nobody has locked. What is in them does not belong here.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import tempfile
import weakref
from contextlib import suppress
from functools import cache
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_open: dict[str, int] = {}  # by which process each was made: one that it forked inherits this
_swept: set[tuple[int, str]] = set()  # a process that was forked looks anew


class TemporaryFolder:
    """A new folder, removed at the end of a `with` block, or at the latest with its process. Raises OSError.

    Arguments: `prefix` of its name; `parent`, the folder that it is made in, by default the system's for
    temporary files.
    """

    def __init__(self, prefix: str, parent: Path | None = None) -> None:
        place = str(parent) if parent else tempfile.gettempdir()
        marked = f"{prefix}{_knows_locks(place)}-"
        if (os.getpid(), place) not in _swept:
            _swept.add((os.getpid(), place))
            _remove_left(place, marked)
        self.name, self._lock = _made(place, prefix, marked)
        _open[self.name] = os.getpid()
        self._finalizer = weakref.finalize(self, _remove, self.name, self._lock)

    def __enter__(self) -> str:
        return self.name

    def __exit__(self, *_: object) -> None:
        self._finalizer()


def remove_all() -> None:
    """Remove all that are open, because the process ends now."""
    for path, made_by in tuple(_open.items()):
        if made_by == os.getpid():
            shutil.rmtree(path, ignore_errors=True)


def _remove(path: str, lock: int | None) -> None:
    if _open.pop(path, os.getpid()) == os.getpid():
        shutil.rmtree(path, ignore_errors=True)
    if lock is not None:
        os.close(lock)


def _knows_locks(place: str) -> str:
    """Names those who know each other's locks in a folder: processes of one kernel, by one mount of it.

    Where containers of one machine each mount a network's file system, none may know the locks of another.
    """
    return f"{_kernel()}-{Path(place).stat().st_dev:x}"


@cache
def _kernel() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip().replace("-", "")
    except OSError:
        return socket.gethostname()


def _made(place: str, prefix: str, marked: str) -> tuple[str, int | None]:
    """A new folder, and the descriptor that holds its lock.

    Where there are no locks, it has another name, so that nobody takes it for one that was left.
    """
    while True:
        path = tempfile.mkdtemp(prefix=marked, dir=place)
        lock = _locked(path, wait=True)
        if lock is None:
            with suppress(OSError):
                Path(path).rmdir()
            return tempfile.mkdtemp(prefix=prefix, dir=place), None
        # Before it was locked, another process may have taken it for one that was left.
        if Path(path).is_dir():
            return path, lock
        os.close(lock)


def _remove_left(place: str, marked: str) -> None:
    """Remove the folders that begin with this mark, are of this user, and that no living process has."""
    with suppress(OSError), os.scandir(place) as entries:
        for path in [entry.path for entry in entries if entry.name.startswith(marked)]:
            lock = _locked(path, wait=False)
            if lock is not None:
                _remove(path, lock)


def _locked(path: str, wait: bool) -> int | None:
    """A descriptor that holds the lock of a folder; None if it is another user's, or cannot be locked."""
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        if os.fstat(folder).st_uid == os.geteuid():
            fcntl.flock(folder, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            return folder
    except OSError:
        pass
    os.close(folder)
    return None
