"""The interface of the lake, which is a directory or a prefix of an S3 bucket.

Here every table and report gets its proof before it is put, and is compared with it when it is fetched. Names
of files do not belong here; they are in `paths`.
"""

from __future__ import annotations

import builtins
import dataclasses
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from fixity.errors import FixityError, is_full
from fixity.lake.paths import records_folder
from fixity.lake.proof import (
    BEING_PUT,
    NoProof,
    Proof,
    accepted_file,
    check_unproved,
    has_proof,
    is_evidence,
    is_recorded,
    proof_file,
)

RENEWED_EVERY = BEING_PUT.total_seconds() / 5
"""Seconds after which the proof of a file that is still being put is put again."""


class LakeError(FixityError):
    """The lake cannot be read or written. The message says which file, and what to do."""

    final = False


@dataclass(frozen=True)
class Seen:
    """A small text as it was read, and what the store calls this state of it, for `put_if`."""

    text: str
    state: str


@dataclass(frozen=True)
class LakeFile:
    """A file of the lake: its name, size in bytes, and when it appeared (UTC)."""

    name: str
    size: int
    appeared: datetime


class Keeper(Protocol):
    """Who keeps evidence: a run, or a command. What it keeps is noted outside of the lake."""

    @property
    def run_id(self) -> str:
        """The run's id."""

    def note(self, proof: Proof) -> None:
        """Note a file that is going to be put."""


class Lake(ABC):
    """A place for files that appear whole or not at all, and never change.

    The exceptions are the copies of reports under the names of a day and of LATEST, which are replaced as a
    whole. There are no locks, so runs never wait for each other; where one of several may go on, `put_if`
    decides.
    """

    at_once: int
    """How many files are worth reading at a time."""
    keeper: Keeper | None = None
    """Who keeps evidence here, where the lake has a log."""

    def __init__(self) -> None:
        self._proved: set[tuple[Path, int, int]] = set()
        self._fetched: dict[str, str] = {}  # for the keeper: SHA-256 of proved files, by name

    @abstractmethod
    def list(self, folder: str) -> builtins.list[LakeFile]:
        """The files of a folder (its name ends in '/') and below it, sorted by name; [] if there are none.

        Raises LakeError.
        """

    def fetch(self, name: str, workspace: Path) -> Path:
        """A local path of a file, for reading only. A remote lake downloads it into `workspace`.

        A table is compared with its proof, once for each local copy.
        Raises FileNotFoundError, LakeError; TableUnreadable if a table's proof refutes it, or is lost.
        """
        file = self._fetch(name, workspace)
        if has_proof(name) and not self.is_proved(file):
            try:
                proof = self.proof(name)
                if proof is None:
                    check_unproved(name, file)
                else:
                    sha256 = proof.check(file)
                    self._proved.add(_state(file))
                    if self.keeper and not name.startswith("scratch/"):
                        self._fetched[name] = sha256
            except NoProof as error:
                from fixity.tables import TableUnreadable  # with Arrow: not all who read the lake read tables

                raise TableUnreadable(self.location(name), error) from error
        return file

    @abstractmethod
    def _fetch(self, name: str, workspace: Path) -> Path:
        """As `fetch`, without proof."""

    def is_proved(self, file: Path) -> bool:
        """Whether a fetched file was compared with its proof. Files of earlier versions have none."""
        return _state(file) in self._proved

    def proof(self, name: str) -> Proof | None:
        """What is known of a table apart from it; None without a proof. Raises NoProof, LakeError."""
        try:
            return Proof.read(name, self.read_text(proof_file(name)))
        except FileNotFoundError:
            return None
        except UnicodeDecodeError as error:
            raise NoProof(f"its record {proof_file(name)} is damaged") from error

    @abstractmethod
    def tail(self, name: str, size: int) -> bytes:
        """The last `size` bytes of a file, or the whole file if it is smaller. They are not proved.

        Raises FileNotFoundError, LakeError.
        """

    @abstractmethod
    def part(self, name: str, start: int, size: int) -> bytes:
        """`size` bytes of a file from byte `start` on, or fewer where it ends. They are not proved.

        Raises FileNotFoundError, LakeError.
        """

    def put(self, name: str, file: Path, replace: bool = False, keep: bool = False) -> None:
        """Put a local file into the lake, whole. The local file may be moved away, unless `keep`.

        With `keep` it stays for reading only: the lake may hold the same bytes on the disk.

        An equal file in the lake is no error, because a repeated step puts the same file again. A table never
        stands without its proof, and if a run is killed while it replaces one, the proof is of both.
        Raises LakeError; FileExistsError if there is a different file, unless `replace`.
        """
        if not has_proof(name):
            self._put(name, file, replace, keep)
            return
        keeper = self.keeper if is_evidence(name) else None
        proof = Proof.of(name, file, keeper.run_id if keeper else None)
        there = self._exists(name)
        if there and not replace:
            self._put(name, file, replace, keep)  # raises unless it is equal
        if keeper:
            proof = dataclasses.replace(proof, fetched=dict(self._fetched))
            keeper.note(proof)
        before = self._proof_before(name) if there and replace else None
        if before is not None and before.sha256 != proof.sha256:
            with self._noted(dataclasses.replace(proof, replaces=(before.size, before.sha256))):
                self._put(name, file, replace, keep)
            self._put_proof(proof)
            return
        if there and not replace:
            self._put_proof(proof)
            return
        with self._noted(proof):
            self._put(name, file, replace, keep)

    @contextmanager
    def _noted(self, proof: Proof) -> Iterator[None]:
        """A `with` block that puts a file, after its proof.

        While that takes long, the proof is put again and again: an old one without its file is that of a file
        that is gone.
        """
        self._put_proof(proof)
        is_put = threading.Event()

        def renew() -> None:
            while not is_put.wait(RENEWED_EVERY):
                # Where the lake cannot be written, or the disk is full, the file tells that.
                with suppress(LakeError, OSError, NoProof):
                    if self.proof(proof.name) == proof:  # or it is another writer's: a step that was repeated
                        self._put_proof(proof)

        thread = threading.Thread(target=renew, name="proof", daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_put.set()
            thread.join()

    def accept(self, name: str, workspace: Path, now: datetime) -> bool:
        """Write the lost proof of a table anew, from the table as it is now, with a note that says so.

        Returns whether it was lost or damaged. A table that has a proof is left as it is.
        Raises TableUnreadable if the table is not whole, LakeError.
        """
        from fixity.tables import read_through

        if self._proof_before(name) is not None:
            return False
        file = self._fetch(name, workspace)
        if not is_recorded(file):
            return False
        read_through(file)
        text = f"accepted on {now.isoformat()} as it was: its record was lost, and nothing proves it before\n"
        self.put_text(accepted_file(name, now.date()), text, replace=True)
        self._put_proof(dataclasses.replace(Proof.of(name, file), accepted_at=now.isoformat()))
        return True

    def take_in(self, name: str, workspace: Path, now: datetime) -> bool:
        """Write the record of a file of a version that wrote none, from the file as it is now. It says so.

        Returns whether it was written: the record of a file that was written with one is lost.
        Raises FileNotFoundError, LakeError.
        """
        file = self._fetch(name, workspace)
        if is_recorded(file):
            return False
        self._put_proof(dataclasses.replace(Proof.of(name, file), accepted_at=now.isoformat()))
        return True

    def _proof_before(self, name: str) -> Proof | None:
        try:
            return self.proof(name)
        except NoProof:  # damaged: it proves nothing
            return None

    def _put_proof(self, proof: Proof) -> None:
        self.put_text(proof_file(proof.name), proof.text(), replace=True)

    @abstractmethod
    def _put(self, name: str, file: Path, replace: bool, keep: bool) -> None:
        """As `put`, without proof."""

    @abstractmethod
    def _exists(self, name: str) -> bool:
        """Whether there is a file of this name. Raises LakeError."""

    @abstractmethod
    def copy(self, name: str, to: str) -> None:
        """Copy a file to a second name, replacing a file there as a whole.

        Raises FileNotFoundError, LakeError.
        """

    @abstractmethod
    def discard(self, name: str) -> None:
        """Remove one file. Its proof stays. A missing file is no error. Raises LakeError."""

    def remove(self, folder: str) -> None:
        """Remove a folder and everything below it, with its proofs. A missing folder is no error."""
        self._remove(folder)
        self._remove(records_folder(folder))

    @abstractmethod
    def _remove(self, folder: str) -> None:
        """As `remove`, without proofs."""

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

    @abstractmethod
    def see(self, name: str) -> Seen | None:
        """Read a small text that `put_if` may replace; None if there is none. Raises LakeError."""

    @abstractmethod
    def put_if(self, name: str, text: str, seen: Seen | None) -> bool:
        """Put a small text if the file is still as it was `seen`; None: if there is none.

        Returns whether it was put: of several who try at once, one succeeds. If `decides` is False, the last
        one does, and all are told that they did. Raises LakeError.
        """

    @property
    @abstractmethod
    def decides(self) -> bool:
        """Whether `put_if` decides between several: a store may not know conditions. Raises LakeError."""

    def read_text(self, name: str) -> str:
        """Read a small text. Raises FileNotFoundError, LakeError; UnicodeDecodeError if it was damaged."""
        return self.read_bytes(name).decode()

    @abstractmethod
    def read_bytes(self, name: str) -> bytes:
        """Read a small file, without a right to write. Raises FileNotFoundError, LakeError."""

    @abstractmethod
    def sha256(self, name: str) -> str:
        """The SHA-256 of a file, in hex, without a right to write. Raises FileNotFoundError, LakeError."""


@contextmanager
def naming_what_is_full(folder: str) -> Iterator[None]:
    """Names the folder in errors of a full disk that name no file, as those of Arrow."""
    try:
        yield
    except OSError as error:
        if is_full(error) and error.filename is None:
            error.filename = folder
        raise


def _state(file: Path) -> tuple[Path, int, int]:
    """A local file as it is now: another one, or one that was written again, is another state."""
    status = file.stat()
    return file, status.st_size, status.st_mtime_ns
