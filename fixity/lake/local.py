"""The lake in a directory. What both kinds of lake share does not belong here; it is in `base`."""

from __future__ import annotations

import filecmp
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from fixity.lake.base import Lake, LakeError, LakeFile, Seen, naming_what_is_full
from fixity.lake.paths import records_folder
from fixity.lake.temporary import TemporaryFolder


class LocalLake(Lake):
    """A directory. It is created when the first file is put into it, for its owner alone."""

    at_once = 1  # more threads would take turns, and twice the time of the processor

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._root = root

    def _make(self, folder: Path) -> None:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)

    def list(self, folder: str) -> list[LakeFile]:
        """See Lake."""

        def refuse(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):
                raise LakeError(f"{error.filename} cannot be listed: {error.strerror}") from error

        found, before_names = [], len(str(self._root / "-")) - 1
        for directory, _, names in os.walk(self._root / folder, onerror=refuse):
            for name in names:
                file = os.path.join(directory, name)  # noqa: PTH118 - a run lists much: a Path takes five times as long
                try:
                    status = os.stat(file)  # noqa: PTH116 - as above
                except FileNotFoundError:  # another run has just removed it
                    continue
                appeared = datetime.fromtimestamp(status.st_mtime, UTC)
                found.append(LakeFile(file[before_names:], status.st_size, appeared))
        return sorted(found, key=lambda file: file.name)

    def _fetch(self, name: str, workspace: Path) -> Path:
        """See Lake. Returns the path of the file itself."""
        file = self._root / name
        if not file.is_file():
            raise FileNotFoundError(f"{file} is not in the lake")
        return file

    def read_bytes(self, name: str) -> bytes:
        """See Lake."""
        with self._reading(name):
            return (self._root / name).read_bytes()

    def sha256(self, name: str) -> str:
        """See Lake."""
        with self._reading(name), open(f"{self._root}/{name}", "rb") as file:  # noqa: PTH123 - twice as fast
            return hashlib.file_digest(file, "sha256").hexdigest()

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise FileNotFoundError(f"{self._root / name} is not in the lake") from error
        except OSError as error:
            raise LakeError(f"{self._root / name} cannot be read: {error.strerror}") from error

    def tail(self, name: str, size: int) -> bytes:
        """See Lake."""
        with self._fetch(name, self._root).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - size))
            return file.read()

    def part(self, name: str, start: int, size: int) -> bytes:
        """See Lake."""
        with self._reading(name), (self._root / name).open("rb", buffering=0) as file:
            return os.pread(file.fileno(), size, start)

    def _put(self, name: str, file: Path, replace: bool, keep: bool) -> None:
        """See Lake. The file is moved within the file system after its bytes are on the disk.

        A file that is kept gets a second name instead.
        """
        target = self._root / name
        try:
            self._make(target.parent)
            with file.open("rb") as written:
                os.fsync(written.fileno())
            if not replace:
                # Unlike a rename, a link never replaces an existing file.
                os.link(file, target)
                if not keep:
                    file.unlink()
            elif keep:
                with self.workspace() as workspace:
                    os.link(file, workspace / "second-name")
                    (workspace / "second-name").replace(target)
            else:
                file.replace(target)
        except FileExistsError:
            if not (target.is_file() and filecmp.cmp(file, target, shallow=False)):
                raise
        except OSError as error:
            raise LakeError(f"{target} cannot be written: {error.strerror}") from error

    decides = True

    def see(self, name: str) -> Seen | None:
        """See Lake."""
        try:
            return _seen(self._root / name)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LakeError(f"{self._root / name} cannot be read: {error.strerror}") from error

    def put_if(self, name: str, text: str, seen: Seen | None) -> bool:
        """See Lake. A rename takes the file that is there, a link puts a new one: only one of several can.

        Between the two there is no file, and after a kill none stays.
        """
        target = self._root / name
        with self.workspace() as workspace:
            file, before = workspace / "text", workspace / "before"
            try:
                with file.open("w", encoding="utf-8") as written:
                    written.write(text)
                    written.flush()
                    os.fsync(written.fileno())
                self._make(target.parent)
                is_same = seen is None
                if seen is not None:
                    target.rename(before)
                    is_same = _seen(before) == seen
                os.link(file if is_same else before, target)
            except (FileExistsError, FileNotFoundError):  # another one has put, or taken it
                return False
            except OSError as error:
                raise LakeError(f"{target} cannot be written: {error.strerror}") from error
        return is_same

    def _exists(self, name: str) -> bool:
        return (self._root / name).is_file()

    def copy(self, name: str, to: str) -> None:
        """See Lake. Copies the bytes, because people may edit one of the two files."""
        target = self._root / to
        try:
            self._make(target.parent)
            with self.workspace() as workspace:
                _copy(self._fetch(name, workspace), workspace / "copy")
                (workspace / "copy").replace(target)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise LakeError(f"{target} cannot be written: {error.strerror}") from error

    def discard(self, name: str) -> None:
        """See Lake."""
        try:
            (self._root / name).unlink(missing_ok=True)
        except OSError as error:
            raise LakeError(f"{self._root / name} cannot be removed: {error.strerror}") from error

    def _remove(self, folder: str) -> None:
        """See Lake."""
        gone = self._root / folder
        shutil.rmtree(gone, ignore_errors=True)
        if gone.parent.parent in (self._root / "scratch", self._root / records_folder("scratch")):
            with suppress(OSError):  # another asset of the run has something in it
                gone.parent.rmdir()

    def location(self, name: str) -> str:
        """See Lake."""
        return str(self._root / name)

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        """See Lake. In the lake's own file system, so that `put` is a rename."""
        scratch = self._root / "scratch"
        try:
            self._make(scratch)
            directory = TemporaryFolder("work-", scratch)
        except OSError as error:
            raise LakeError(f"the lake {self._root} cannot be written: {error.strerror}") from error
        with directory as path, naming_what_is_full(path):
            yield Path(path)


def _seen(file: Path) -> Seen:
    content = file.read_bytes()
    return Seen(content.decode(errors="replace"), content.decode("latin-1"))


def _copy(file: Path, to: Path) -> None:
    """Copy a file's bytes to the disk. The kernel copies if it can; it may share blocks until a change."""
    with file.open("rb") as source, to.open("xb") as copy:
        with suppress(OSError, AttributeError):  # not supported on this system or these file systems
            while os.copy_file_range(source.fileno(), copy.fileno(), 1 << 30):
                pass
        # Both files are now at the offset where the kernel stopped.
        shutil.copyfileobj(source, copy, 1 << 20)
        copy.flush()
        os.fsync(copy.fileno())
