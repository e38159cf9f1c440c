"""The witness: another place that has a copy of each seal, and what it knows that the lake does not say.

A witness on S3 locks its copies, and only the oldest version of each counts: later ones prove nothing.
Whoever rewrites the lake, and even has the key, cannot take back what the witness knows. Time stamps do not
belong here.
"""

from __future__ import annotations

import os
import re
import tempfile
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fixity.catalog import Catalog, Log, Store
from fixity.catalog.clients import s3_client
from fixity.errors import FixityError
from fixity.lake import Lake
from fixity.log.chain import Head
from fixity.log.manifest import SEALS, Seal, seal_file, seal_number
from fixity.log.records import sha256_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_COPY = re.compile(r"([0-9]{8})\.sha256")
_NO_LOCK = ("ObjectLockConfigurationNotFoundError", "NotImplemented", "MethodNotAllowed")
_THERE = (409, 412)  # 409: another request was under way


class WitnessUnreachable(FixityError):
    """The witness cannot be read or written. The text says why, and what to do."""

    final = False


class Copy(NamedTuple):
    """A copy of a seal: when it was made (UTC, by the witness's own clock), and which version it is."""

    at: datetime
    version: str | None = None


class Witness(ABC):
    """A place with a copy of each seal, `<8 digits>.sha256`, written once. name: where it is, for people."""

    name: str

    @abstractmethod
    def copies(self) -> dict[int, Copy]:
        """The first copy that was made of each seal, by the seal's number. Raises WitnessUnreachable."""

    @abstractmethod
    def read(self, number: int, copy: Copy) -> bytes:
        """The bytes of a copy. Raises WitnessUnreachable."""

    @abstractmethod
    def check(self) -> None:
        """Look whether copies are safe there. Raises WitnessUnreachable."""

    @abstractmethod
    def add(self, number: int, text: bytes, now: datetime) -> None:
        """Add a copy; does nothing if there is one. Arguments: `now` in UTC. Raises WitnessUnreachable."""


def open_witness(catalog: Catalog) -> Witness | None:
    """The witness that the catalog names; None if it names none. Raises WitnessUnreachable."""
    log = catalog.log
    if log is None or log.witness is None:
        return None
    if not log.witness.startswith("s3://"):
        return DirectoryWitness(Path(log.witness))
    from botocore.exceptions import BotoCoreError

    try:
        return S3Witness(log, catalog.stores[log.witness_store])
    except BotoCoreError as error:
        raise WitnessUnreachable(f"the witness {log.witness} cannot be opened: {error}") from error


def add_copies(witness: Witness, seals: Mapping[int, Seal], now: datetime) -> dict[int, Copy]:
    """Copy the seals that a witness does not know yet, the oldest first; returns all copies.

    The witness must not contradict the seals, see `heads`. Arguments: `now` in UTC.
    Raises WitnessUnreachable.
    """
    copies = witness.copies()
    missing = sorted(seals.keys() - copies.keys())
    if not missing:
        return copies
    witness.check()
    for number in missing:
        witness.add(number, seals[number].text, now)
    return witness.copies()


def heads(witness: Witness, lake: Lake) -> list[Head]:
    """What a witness knows of the log: its newest seal, and the first one that is another one in the lake.

    Each seal has the digest of the one before, so where one is the same, all before it are.
    Raises WitnessUnreachable, LakeError.
    """
    copies = witness.copies()
    there = {number for file in lake.list(SEALS) if (number := seal_number(file.name))}

    def differs(number: int) -> bool:
        return sha256_of(witness.read(number, copies[number])) != lake.sha256(seal_file(number))

    told = {max(copies)} if copies else set()
    shared = sorted(copies.keys() & there)
    if shared:
        told.add(shared[bisect_left(shared, True, key=differs)] if differs(shared[-1]) else shared[-1])
    seen_by = f"the witness {witness.name}"
    return [Head(number, sha256_of(witness.read(number, copies[number])), seen_by) for number in sorted(told)]


class DirectoryWitness(Witness):
    """A directory, best of another machine. A link never replaces a file; whoever owns it still could."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.name = str(root)

    def copies(self) -> dict[int, Copy]:
        """See Witness."""
        self.check()
        with self._errors():
            return {
                int(found[1]): Copy(datetime.fromtimestamp(file.stat().st_mtime, UTC))
                for file in self._root.iterdir()
                if (found := _COPY.fullmatch(file.name))
            }

    def read(self, number: int, copy: Copy) -> bytes:
        """See Witness."""
        with self._errors():
            return self._file(number).read_bytes()

    def check(self) -> None:
        """See Witness. A directory is never made here: it may be of another machine that is not mounted."""
        if not self._root.is_dir():
            raise WitnessUnreachable(f"the witness {self.name} is not there: make the directory, or mount it")

    def add(self, number: int, text: bytes, now: datetime) -> None:
        """See Witness."""
        with self._errors(), tempfile.NamedTemporaryFile(dir=self._root) as written:
            written.write(text)
            written.flush()
            os.fsync(written.fileno())
            with suppress(FileExistsError):  # another run has copied it
                os.link(written.name, self._file(number))

    def _file(self, number: int) -> Path:
        return self._root / f"{number:08}.sha256"

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise WitnessUnreachable(f"the witness {self.name} cannot be used: {why}") from error


class S3Witness(Witness):
    """A prefix of a bucket with Object Lock."""

    def __init__(self, log: Log, store: Store) -> None:
        assert log.witness is not None
        self.name = log.witness
        bucket, _, prefix = log.witness.removeprefix("s3://").partition("/")
        self._bucket, self._prefix = bucket, f"{prefix}/" if prefix else ""
        self._lock = log.witness_lock
        # Without a network the log goes on, and soon.
        self._client: S3Client = s3_client(store, is_patient=False)

    def copies(self) -> dict[int, Copy]:
        """See Witness. The newest version of a key is listed first, so what comes last is the oldest."""
        copies: dict[int, Copy] = {}
        with self._errors():
            pages = self._client.get_paginator("list_object_versions").paginate(
                Bucket=self._bucket, Prefix=self._prefix
            )
            for version in (each for page in pages for each in page.get("Versions", ())):
                if found := _COPY.fullmatch(version["Key"].removeprefix(self._prefix)):
                    copies[int(found[1])] = Copy(version["LastModified"], version["VersionId"])
        return copies

    def read(self, number: int, copy: Copy) -> bytes:
        """See Witness."""
        assert copy.version is not None
        with self._errors():
            key = self._key(number)
            found = self._client.get_object(Bucket=self._bucket, Key=key, VersionId=copy.version)
            return found["Body"].read()

    def check(self) -> None:
        """See Witness. The bucket must have Object Lock."""
        from botocore.exceptions import ClientError

        with self._errors():
            try:
                found = self._client.get_object_lock_configuration(Bucket=self._bucket)
                is_locked = found["ObjectLockConfiguration"].get("ObjectLockEnabled") == "Enabled"
            except ClientError as error:
                if error.response["Error"]["Code"] not in _NO_LOCK:
                    raise
                is_locked = False
        if not is_locked:
            raise WitnessUnreachable(
                f"the witness {self.name} is not used: its bucket has no Object Lock, so copies could be "
                "rewritten: make a bucket with Object Lock, or name a directory of another machine"
            )

    def add(self, number: int, text: bytes, now: datetime) -> None:
        """See Witness. The copy is locked, and refused where there is one."""
        from botocore.exceptions import ClientError

        with self._errors():
            try:
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=self._key(number),
                    Body=text,
                    IfNoneMatch="*",
                    ChecksumAlgorithm="SHA256",  # S3 wants one beside a lock
                    ObjectLockMode="COMPLIANCE",
                    ObjectLockRetainUntilDate=now + self._lock,
                )
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] not in _THERE:
                    raise

    def _key(self, number: int) -> str:
        return f"{self._prefix}{number:08}.sha256"

    @contextmanager
    def _errors(self) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError) as error:
            raise WitnessUnreachable(f"the witness {self.name} cannot be used: {error}") from error
