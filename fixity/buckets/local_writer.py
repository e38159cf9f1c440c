"""Writes files of a local directory: whole, on the disk, and only in the place of what is expected there.

A file is written below QUARANTINE, then renamed: no half file has a real name. Listing and reading are in
`local`.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from fixity.buckets.base import ListedObject
from fixity.buckets.writing import NotAsExpected, NotWritten, Upload
from fixity.catalog.exclude import QUARANTINE
from fixity.clock import EPOCH

_PARTS = f"{QUARANTINE}unfinished/"


class LocalWriter:
    """The files of a directory. Arguments: `root`, the directory."""

    def __init__(self, root: Path) -> None:
        self._root = Path(os.path.realpath(root))

    def upload(self, key: str, replaces: ListedObject | None) -> Upload:
        """Begin to write a file in the place of another one; None: there must be none. Raises NotWritten."""
        return _FileUpload(self._root, self._path(key), replaces)

    def set_aside(self, item: ListedObject, name: str) -> str:
        """Keep a file below QUARANTINE, in a folder of this name; returns where, for people.

        It gets a second name, so it is never missing. Raises NotAsExpected, NotWritten.
        """
        path = self._path(item.key)
        aside = self._root / QUARANTINE / name / item.key
        with _errors(path):
            _refuse_unless_as_expected(path, item)
            aside.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, aside)
            except FileExistsError:
                if not path.samefile(aside):
                    raise
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EXDEV):
                    raise
                _copy(path, aside)
                _refuse_unless_as_expected(path, item)
            _sync_folders(aside.parent, self._root)
        return str(aside)

    def remove(self, item: ListedObject) -> None:
        """Delete a file, if it is as listed. Raises NotAsExpected, NotWritten."""
        path = self._path(item.key)
        with _errors(path):
            _refuse_unless_as_expected(path, item)
            path.unlink()

    def remove_unfinished(self) -> None:
        """Remove the files that a killed repair did not finish. No other repair of the directory may be
        running.
        """
        shutil.rmtree(self._root / _PARTS, ignore_errors=True)

    def _path(self, key: str) -> Path:
        """The path of a key. Raises NotWritten if it is, or may become, a place outside the directory."""
        path = self._root / key
        if "\0" in key or any(part in ("", ".", "..") for part in key.split("/")):
            raise NotWritten("KeyNotAFile", "the key is not the name of a file")
        if Path(os.path.realpath(path.parent)) != path.parent or path.is_symlink():
            raise NotWritten("LinkInPath", f"a link is in its path: repair {os.path.realpath(path)} by hand")
        return path


class _FileUpload:
    """A file that is written beside, and renamed when it is whole."""

    def __init__(self, root: Path, path: Path, replaces: ListedObject | None) -> None:
        self._root = root
        self._path = path
        self._replaces = replaces
        self._part = root / _PARTS / uuid4().hex
        self.count = 0
        with _errors(path):
            self._part.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("xb", buffering=0)

    def update(self, piece: memoryview) -> None:
        """Take the next bytes."""
        with _errors(self._path):
            written = 0
            while written < len(piece):
                written += self._file.write(piece[written:])
            self.count += written

    def restart(self) -> None:
        """Forget all bytes taken."""
        with _errors(self._path):
            self._file.seek(0)
            self._file.truncate()
            self.count = 0

    def finish(self) -> None:
        """See Upload."""
        with _errors(self._path):
            os.fsync(self._file.fileno())
            self._file.close()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._replaces is None:
                os.link(self._part, self._path)  # unlike a rename, a link never replaces a file
                self._part.unlink()
            else:
                self._part.chmod(stat.S_IMODE(_refuse_unless_as_expected(self._path, self._replaces).st_mode))
                self._part.replace(self._path)
            _sync_folders(self._path.parent, self._root)

    def abandon(self) -> None:
        """See Upload."""
        with suppress(OSError):
            self._file.close()
            self._part.unlink(missing_ok=True)


def _refuse_unless_as_expected(path: Path, item: ListedObject) -> os.stat_result:
    """The status of a file. Raises NotAsExpected if it is not the one that was listed."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        raise NotAsExpected("the file is gone") from None
    modified = EPOCH + timedelta(microseconds=status.st_mtime_ns // 1000)
    if not stat.S_ISREG(status.st_mode) or (status.st_size, modified) != (item.size, item.last_modified):
        raise NotAsExpected("the file has changed")
    return status


def _copy(file: Path, to: Path) -> None:
    """Copy a file to the disk, whole or not at all."""
    part = to.with_name(f"{to.name[:100]}.{uuid4().hex}")
    try:
        with file.open("rb") as source, part.open("xb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
            copy.flush()
            os.fsync(copy.fileno())
        part.replace(to)
    finally:
        part.unlink(missing_ok=True)


def _sync_folders(folder: Path, root: Path) -> None:
    """Put the entries of a folder, and of those above it up to the root, on the disk."""
    while True:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if folder == root:
            return
        folder = folder.parent


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise NotAsExpected("a file is there now") from None
    except OSError as error:
        raise NotWritten(type(error).__name__, f"{path}: {error.strerror or error}") from error
