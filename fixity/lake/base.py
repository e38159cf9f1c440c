"""The interface of the lake, which is a directory or a prefix of an S3 bucket.

Names of files do not belong here; they are in `paths`.
"""

from __future__ import annotations

import builtins
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fixity.errors import FixityError, is_full


class LakeError(FixityError):
    """The lake cannot be read or written. The message says which file, and what to do."""

    final = False


@dataclass(frozen=True)
class LakeFile:
    """A file of the lake: its name, size in bytes, and when it appeared (UTC)."""

    name: str
    size: int
    appeared: datetime


class Lake(ABC):
    """A place for files that appear whole or not at all, and never change.

    The exceptions are the reports of a day and of LATEST, which are replaced as a whole. There are no
    locks, so runs never wait for each other.
    """

    @abstractmethod
    def list(self, folder: str) -> builtins.list[LakeFile]:
        """The files of a folder (its name ends in '/') and below it, sorted by name; [] if there are none.

        Raises LakeError.
        """

    @abstractmethod
    def fetch(self, name: str, workspace: Path) -> Path:
        """A local path of a file, for reading only. A remote lake downloads it into `workspace`.

        Raises FileNotFoundError, LakeError.
        """

    @abstractmethod
    def tail(self, name: str, size: int) -> bytes:
        """The last `size` bytes of a file, or the whole file if it is smaller.

        Raises FileNotFoundError, LakeError.
        """

    @abstractmethod
    def put(self, name: str, file: Path, replace: bool = False, keep: bool = False) -> None:
        """Put a local file into the lake, whole. The local file may be moved away, unless `keep`.

        With `keep` it stays for reading only: the lake may hold the same bytes on the disk.

        An equal file in the lake is no error, because a repeated step puts the same file again.
        Raises LakeError; FileExistsError if there is a different file, unless `replace`.
        """

    @abstractmethod
    def copy(self, name: str, to: str) -> None:
        """Copy a file to a second name, replacing a file there as a whole.

        Raises FileNotFoundError, LakeError.
        """

    @abstractmethod
    def remove(self, folder: str) -> None:
        """Remove a folder and everything below it. A missing folder is no error."""

    @abstractmethod
    def location(self, name: str) -> str:
        """Where a file is, for people: an absolute path or an s3:// URL."""

    @abstractmethod
    def workspace(self) -> AbstractContextManager[Path]:
        """A local directory for the length of a `with` block; `put` is cheap from there."""

    def put_text(self, name: str, text: str, replace: bool = False) -> None:
        """Put a small text into the lake, as UTF-8. Raises like `put`."""
        with self.workspace() as workspace:
            file = workspace / "text"
            file.write_text(text, encoding="utf-8")
            self.put(name, file, replace)

    def read_text(self, name: str) -> str:
        """Read a small text. Raises FileNotFoundError, LakeError."""
        with self.workspace() as workspace:
            return self.fetch(name, workspace).read_text(encoding="utf-8")


@contextmanager
def naming_what_is_full(folder: str) -> Iterator[None]:
    """Names the folder in errors of a full disk that name no file, as those of Arrow."""
    try:
        yield
    except OSError as error:
        if is_full(error) and error.filename is None:
            error.filename = folder
        raise
