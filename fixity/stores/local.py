"""A local directory as a bucket: each file below it is an object, its path below the directory the key.

Links are followed to files inside the directory only. Whatever is there but cannot be read as a
file (a link that leaves the directory, a link to a directory, a pipe, a name that is not UTF-8) is
listed all the same, and fails when it is read, so that nothing is left out in silence.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path

import pyarrow as pa

from fixity.stores.base import (
    CHANGED,
    DELETED,
    ListedObject,
    ObjectSkipped,
    ObjectUnreadable,
    Sink,
    StoreUnreachable,
)
from fixity.stores.pace import Pace
from fixity.tables import INVENTORY

_BATCH = 1000
_BUFFER = 1024 * 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LocalStore:
    """A directory.

    Arguments: `root`; `exclude`, shell patterns of keys to leave out; `pace` limits the reading.
    """

    def __init__(self, root: Path, exclude: tuple[str, ...], pace: Pace) -> None:
        self._root = root.absolute()
        self._real_root = os.path.realpath(self._root)
        self._exclude = exclude
        self._pace = pace

    def list_objects(self) -> Iterator[pa.RecordBatch]:
        """All files, in the binary order of their keys. Raises StoreUnreachable."""
        if not self._root.is_dir():
            raise StoreUnreachable(
                f"{self._root} is not a directory: correct the bucket's path, or mount the volume"
            )
        rows: list[tuple[object, ...]] = []
        for row in self._walk(os.fsencode(self._root), b""):
            rows.append(row)
            if len(rows) == _BATCH:
                yield _batch(rows)
                rows = []
        if rows:
            yield _batch(rows)

    def _walk(self, directory: bytes, prefix: bytes) -> Iterator[tuple[object, ...]]:
        try:
            with os.scandir(directory) as entries:
                # A directory sorts by its name and the '/' that follows it in the keys below it.
                found = sorted(
                    (entry.name + (b"/" if entry.is_dir(follow_symlinks=False) else b""), entry)
                    for entry in entries
                )
        except OSError as error:
            raise StoreUnreachable(
                f"{os.fsdecode(directory)} cannot be listed: {error.strerror}. "
                "An inventory without it would be incomplete, so none is kept"
            ) from error
        for name, entry in found:
            if name.endswith(b"/"):
                yield from self._walk(entry.path, prefix + name)
                continue
            key = (prefix + name).decode("utf-8", "backslashreplace")
            if any(fnmatchcase(key, pattern) for pattern in self._exclude):
                continue
            try:
                status = entry.stat()
            except OSError:  # a dangling link, or gone in this moment: reading will say which
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
            yield (key, None, True, status.st_size, None, _modified(status), None, None)

    def read(self, item: ListedObject, sink: Sink) -> None:
        """Give a file's bytes to `sink`. Raises ObjectUnreadable, ObjectSkipped."""
        path = Path(self._real_root, item.key)
        try:
            self._refuse_unless_file(path, item)
            buffer = memoryview(bytearray(min(_BUFFER, max(1, item.size))))
            with self._pace.slot(), path.open("rb", buffering=0) as file:
                before = os.fstat(file.fileno())
                _refuse_if_changed(before, item)
                while count := file.readinto(buffer):
                    sink.update(buffer[:count])
                    self._pace.spend(count)
                _refuse_if_changed(os.fstat(file.fileno()), item)
        except FileNotFoundError:
            raise ObjectSkipped(DELETED, "the file is gone since it was listed") from None
        except OSError as error:
            raise ObjectUnreadable(
                _CODES.get(type(error), "ReadError"), f"{error.strerror or error} ({path})"
            ) from error
        if sink.count != item.size:
            raise ObjectUnreadable(
                "SizeMismatch", f"{sink.count:,} bytes were read of a file of {item.size:,}"
            )

    def _refuse_unless_file(self, path: Path, item: ListedObject) -> None:
        if "\\x" in item.key and not os.path.lexists(path):
            raise ObjectUnreadable("KeyNotUtf8", "the file's name is not UTF-8 and makes no faithful key")
        real = os.path.realpath(path)
        if os.path.commonpath([real, self._real_root]) != self._real_root:
            raise ObjectUnreadable("LinkLeavesDirectory", f"a link to {real}, outside the bucket's directory")
        if path.is_symlink() and not path.exists():
            raise ObjectUnreadable("DanglingLink", f"a link to {real}, where nothing is")
        if not stat.S_ISREG(path.stat().st_mode):
            raise ObjectUnreadable("NotAFile", "a link to a directory, a pipe or a device, not a file")

    def close(self) -> None:
        """Nothing is held open between reads."""


_CODES: dict[type[OSError], str] = {PermissionError: "AccessDenied"}


def _modified(status: os.stat_result) -> datetime:
    return _EPOCH + timedelta(microseconds=status.st_mtime_ns // 1000)


def _refuse_if_changed(status: os.stat_result, item: ListedObject) -> None:
    if status.st_size != item.size or _modified(status) != item.last_modified:
        raise ObjectSkipped(CHANGED, "the file was written to since it was listed")


def _batch(rows: list[tuple[object, ...]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [
            pa.array(column, field.type)
            for column, field in zip(zip(*rows, strict=True), INVENTORY, strict=True)
        ],
        schema=INVENTORY,
    )
