"""What the platform needs of its lake, be it a directory or a prefix of an S3 bucket."""

from __future__ import annotations

import builtins
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fixity.errors import FixityError


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
    """A place for files that appear whole or not at all and are never changed.

    The exceptions are the reports of a day and of LATEST, which are replaced as a whole. Nobody
    holds a lock, so runs never wait for each other.
    """

    @abstractmethod
    def list(self, folder: str) -> builtins.list[LakeFile]:
        """The files of a folder (its name ends in '/') and below, by name; [] when there is none.

        Raises LakeError.
        """

    @abstractmethod
    def fetch(self, name: str, workspace: Path) -> Path:
        """A local path of a file, to read only; downloaded into `workspace` where the lake is remote.

        Raises FileNotFoundError, LakeError.
        """

    @abstractmethod
    def tail(self, name: str, size: int) -> bytes:
        """The last bytes of a file, `size` of them; all of a smaller one.

        Raises FileNotFoundError, LakeError.
        """

    @abstractmethod
    def put(self, name: str, file: Path, replace: bool = False) -> None:
        """Give a local file to the lake, whole. The local file may be gone afterwards.

        A file with the same bytes is fine: a step that is tried again puts what it has put before.
        Raises LakeError; FileExistsError when there is another file, unless `replace`.
        """

    @abstractmethod
    def copy(self, name: str, to: str) -> None:
        """Keep a file under a second name as well, replacing as a whole what was there.

        Raises FileNotFoundError, LakeError.
        """

    @abstractmethod
    def remove(self, folder: str) -> None:
        """Remove a folder with all below it; one that is not there is fine."""

    @abstractmethod
    def location(self, name: str) -> str:
        """Where a file stands, for people: an absolute path or an s3:// URL."""

    @abstractmethod
    def workspace(self) -> AbstractContextManager[Path]:
        """A local directory for the length of a `with` block, from where `put` is cheap."""

    def put_text(self, name: str, text: str, replace: bool = False) -> None:
        """Keep a small text, as UTF-8."""
        with self.workspace() as workspace:
            file = workspace / "text"
            file.write_text(text, encoding="utf-8")
            self.put(name, file, replace)

    def read_text(self, name: str) -> str:
        """A small text. Raises FileNotFoundError, LakeError."""
        with self.workspace() as workspace:
            return self.fetch(name, workspace).read_text(encoding="utf-8")
