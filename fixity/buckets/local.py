"""A local directory as a bucket: each file below it is an object; its relative path is the key.

Links are followed only to files inside the directory. Other entries (a link that leaves the directory, a
link to a directory, a pipe, a name that is not UTF-8) are listed too, and reading them fails. So nothing is
silently left out. Hashing and rows do not belong here.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

import pyarrow as pa

from fixity.buckets.base import (
    CHANGED,
    DELETED,
    ListedObject,
    ObjectSkipped,
    ObjectUnreadable,
    Sink,
    key_text,
    refuse_unreadable,
)
from fixity.buckets.throttle import Throttle
from fixity.clock import EPOCH
from fixity.errors import BucketUnreachable
from fixity.tables import INVENTORY

# `os` and `open` list and read each file here: a Path takes three times as long.
_BATCH = 1000
_BUFFER = 256 * 1024


class LocalReader:
    """A directory.

    Arguments: `root`, the directory; `throttle` limits reading.
    """

    waits_in_turns = False

    def __init__(self, root: Path, throttle: Throttle) -> None:
        self._root = root.absolute()
        self._real_root = os.path.realpath(self._root)
        self._throttle = throttle
        self._thread = threading.local()

    def at_once(self) -> int:
        """See BucketReader."""
        return self._throttle.concurrency

    def list_objects(self) -> Iterator[pa.RecordBatch]:
        """All files, in the binary order of their keys. Raises BucketUnreachable."""
        files = self.files()
        while rows := list(islice(files, _BATCH)):
            yield _batch(rows)

    def files(self) -> Iterator[ListedObject]:
        """All files, in the order of `list_objects`. Raises BucketUnreachable."""
        if not self._root.is_dir():
            raise BucketUnreachable(
                f"{self._root} is not a directory: correct the bucket's path, or mount the volume"
            )
        root = os.fsencode(self._root) + b"/"
        # Without recursion: directories may be nested deeper than Python's stack.
        waiting = [iter(_entries(root))]
        while waiting:
            path = next(waiting[-1], None)
            if path is None:
                waiting.pop()
            elif path.endswith(b"/"):
                waiting.append(iter(_entries(path)))
            else:
                status = _status(path)
                if status is not None:
                    key = key_text(path.removeprefix(root))
                    yield ListedObject(key, None, True, status.st_size, None, _modified(status), None)

    def find(self, key: str, version_id: str | None = None) -> ListedObject | None:
        """See BucketReader."""
        if "\0" in key or any(part in ("", ".", "..") for part in key.split("/")):
            return None
        try:
            status = os.stat(f"{self._root}/{key}")  # noqa: PTH116 - once for each file: a Path costs more
        except OSError as error:
            if error.errno in _NOTHING_THERE:
                return None
            raise _incomplete(os.fsencode(f"{self._root}/{key}"), error) from error
        if not stat.S_ISREG(status.st_mode):
            return None
        return ListedObject(key, None, True, status.st_size, None, _modified(status), None)

    def read(self, item: ListedObject, sink: Sink) -> None:
        """Give a file's bytes to `sink`, beginning at the byte `sink.count`.

        Raises ObjectUnreadable, ObjectSkipped.
        """
        self._read(item, sink)

    def read_afresh(self, item: ListedObject, sink: Sink) -> None:
        """The same, from the disk: the system drops what it has in memory of the file, where it can."""
        self._read(item, sink, afresh=True)

    def _read(self, item: ListedObject, sink: Sink, afresh: bool = False) -> None:
        refuse_unreadable(item)
        path = f"{self._real_root}/{item.key}"
        try:
            before = self._status_of_file(path, item)
            _refuse_if_changed(before, item)
            buffer = self._buffer()
            with self._throttle.slot(), open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a Path costs more
                if afresh and hasattr(os, "posix_fadvise"):
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                if sink.count:
                    file.seek(sink.count)  # a large file continues where its digest stopped
                while sink.count < item.size and (count := file.readinto(buffer)):
                    sink.update(buffer[:count])
                    self._throttle.spend(count)
                after = os.fstat(file.fileno())
            if (after.st_size, after.st_mtime_ns // 1000) != (before.st_size, before.st_mtime_ns // 1000):
                raise ObjectSkipped(CHANGED, _CHANGED)
        except (FileNotFoundError, NotADirectoryError):
            raise ObjectSkipped(DELETED, "the file was deleted since it was listed") from None
        except OSError as error:
            raise ObjectUnreadable(
                _CODES.get(type(error), "ReadError"), f"{error.strerror or error} ({path})"
            ) from error
        if sink.count != item.size:
            raise ObjectUnreadable(
                "SizeMismatch", f"{sink.count:,} of {item.size:,} bytes of the file could be read"
            )

    def _buffer(self) -> memoryview:
        """The thread's buffer, reused: allocating a new one costs as much as reading."""
        if not hasattr(self._thread, "buffer"):
            self._thread.buffer = memoryview(bytearray(_BUFFER))
        found: memoryview = self._thread.buffer
        return found

    def _status_of_file(self, path: str, item: ListedObject) -> os.stat_result:
        """The status of a file in the directory. Raises ObjectUnreadable if it is not a file."""
        folder, _, name = item.key.rpartition("/")
        if name not in ("", ".", "..") and self._is_plain_folder(folder):
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode):
                return status
        real = os.path.realpath(path)
        if os.path.commonpath([real, self._real_root]) != self._real_root:
            raise ObjectUnreadable("LinkLeavesDirectory", f"a link to {real}, outside the bucket's directory")
        if Path(path).is_symlink() and not Path(path).exists():
            raise ObjectUnreadable("DanglingLink", f"a link to {real}, which does not exist")
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode):
            raise ObjectUnreadable("NotAFile", "a link to a directory, a pipe or a device, not a file")
        return status

    def _is_plain_folder(self, key: str) -> bool:
        """Whether no link is on the path to a folder. Then its files are inside the directory, and the slower
        checks, which cost as much as hashing a hundred thousand bytes, are not needed.

        The last folder of each thread is not looked at again: most files are in the same folder as the file
        before. If a link replaced the folder since, its files have another size or time than listed.
        """
        if not key or getattr(self._thread, "plain_folder", None) == key:
            return True
        path = self._real_root
        for part in key.split("/"):
            path = f"{path}/{part}"
            if part in ("", ".", "..") or stat.S_ISLNK(os.lstat(path).st_mode):
                return False
        self._thread.plain_folder = key
        return True

    def close(self) -> None:
        """Nothing is held open between reads."""


_NOTHING_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)
_CHANGED = "the file was changed since it was listed"
_CODES: dict[type[OSError], str] = {PermissionError: "AccessDenied"}


def _entries(directory: bytes) -> list[bytes]:
    """The paths in a directory, in the order of keys; those of directories end in '/'."""
    try:
        with os.scandir(directory) as entries:
            # With the '/', because it follows the directory's name in the keys below it.
            return sorted(
                entry.path + (b"/" if entry.is_dir(follow_symlinks=False) else b"") for entry in entries
            )
    except OSError as error:
        raise _incomplete(directory, error) from error


def _status(path: bytes) -> os.stat_result | None:
    """The status of a file, or of a link's target; None if it was deleted just now."""
    try:
        return os.stat(path)  # noqa: PTH116 - once for each file: a Path costs more
    except OSError:
        try:
            return os.lstat(path)  # a dangling link: reading it will fail
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _incomplete(path, error) from error


def _incomplete(path: bytes, error: OSError) -> BucketUnreachable:
    return BucketUnreachable(
        f"{os.fsdecode(path)} cannot be listed: {error.strerror}. "
        "An inventory without it would be incomplete, so none is kept"
    )


def _modified(status: os.stat_result) -> datetime | None:
    try:
        return EPOCH + timedelta(microseconds=status.st_mtime_ns // 1000)
    except OverflowError:  # a file system can hold a year beyond 9999
        return None


def _refuse_if_changed(status: os.stat_result, item: ListedObject) -> None:
    if status.st_size != item.size or _modified(status) != item.last_modified:
        raise ObjectSkipped(CHANGED, _CHANGED)


def _batch(files: list[ListedObject]) -> pa.RecordBatch:
    columns = {name: [getattr(file, name) for file in files] for name in ListedObject.__slots__}
    unknown = [None] * len(files)
    return pa.RecordBatch.from_arrays(
        [pa.array(columns.get(field.name, unknown), field.type) for field in INVENTORY], schema=INVENTORY
    )
