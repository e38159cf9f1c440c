"""The keys of the log: Ed25519, in files that `openssl` reads, or in a variable of the environment.

Which key a seal must be signed with does not belong here; that is in `chain`. Keys in AWS KMS are in `kms`.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from fixity.catalog.log import FROM_ENVIRONMENT
from fixity.errors import WrongUsage


@dataclass(frozen=True)
class PublicKey:
    """A key that verifies seals."""

    key: Ed25519PublicKey

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the key in DER, in hex: as `openssl pkey -pubin -outform DER | sha256sum`."""
        der = self.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(der).hexdigest()

    @property
    def pem(self) -> str:
        """The key as text."""
        return self.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def verifies(self, signature: bytes, text: bytes) -> bool:
        """Whether a signature of a text is of this key."""
        try:
            self.key.verify(signature, text)
        except InvalidSignature:
            return False
        return True

    @classmethod
    def read(cls, pem: bytes) -> PublicKey:
        """Read a key from PEM. Raises ValueError for anything else."""
        try:
            key = load_pem_public_key(pem)
        except UnsupportedAlgorithm as error:
            raise ValueError(str(error)) from error
        if not isinstance(key, Ed25519PublicKey):
            raise ValueError("it is not a key of Ed25519")
        return cls(key)


class Signer(Protocol):
    """What signs seals."""

    @property
    def public(self) -> PublicKey:
        """The key that verifies. Raises LogError."""

    def sign(self, text: bytes) -> bytes:
        """The signature of a short text. Raises LogError."""


@dataclass(frozen=True)
class SigningKey:
    """A key that signs seals, in the memory of this process."""

    key: Ed25519PrivateKey

    @property
    def public(self) -> PublicKey:
        """Its public half."""
        return PublicKey(self.key.public_key())

    def sign(self, text: bytes) -> bytes:
        """The signature of a text."""
        return self.key.sign(text)

    @property
    def pem(self) -> bytes:
        """The key as text, to be kept secret."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @classmethod
    def read(cls, pem: bytes) -> SigningKey:
        """Read a key from PEM. Raises ValueError for anything else."""
        try:
            key = load_pem_private_key(pem, None)
        except (UnsupportedAlgorithm, TypeError) as error:  # TypeError: it has a password
            raise ValueError(str(error)) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError("it is not a key of Ed25519")
        return cls(key)


def make_key(file: Path) -> SigningKey:
    """Make a key: `file` for its owner alone (0600), and its public half beside it, as `<file>.pub`.

    A file that is there is never replaced. Raises WrongUsage if it is there, OSError.
    """
    made = SigningKey(Ed25519PrivateKey.generate())
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise WrongUsage(
            f"{file} is there already, and a key is never replaced: name another file"
        ) from error
    with os.fdopen(opened, "wb") as out:
        out.write(made.pem)
        out.flush()
        os.fsync(out.fileno())
    _public_file(file).write_text(made.public.pem, encoding="ascii")
    return made


def signing_key(where: str) -> SigningKey:
    """The key that signs. Arguments: `where`, a path, or `env:NAME`. Raises WrongUsage."""
    pem = _in_environment(where) if where.startswith(FROM_ENVIRONMENT) else _in_file(Path(where))
    try:
        return SigningKey.read(pem)
    except ValueError as error:
        raise WrongUsage(f"the log's key {where} is no private key of Ed25519 in PEM: {error}") from error


def public_key(where: str) -> PublicKey:
    """The key that verifies, from its public or its private half, whichever may be read.

    Arguments: `where`, a path, or `env:NAME`; beside a private key, `<path>.pub` is enough.
    Raises WrongUsage.
    """
    if not where.startswith(FROM_ENVIRONMENT):
        beside = _public_file(Path(where))
        if beside.is_file():
            where = str(beside)
    pem = _in_environment(where) if where.startswith(FROM_ENVIRONMENT) else _in_file(Path(where))
    try:
        return PublicKey.read(pem) if b"PUBLIC KEY" in pem else SigningKey.read(pem).public
    except ValueError as error:
        raise WrongUsage(f"the log's key {where} is no key of Ed25519 in PEM: {error}") from error


def _public_file(file: Path) -> Path:
    return file.with_name(f"{file.name}.pub")


def _in_environment(where: str) -> bytes:
    name = where.removeprefix(FROM_ENVIRONMENT)
    if not os.environ.get(name):
        raise WrongUsage(
            f"the log's key is to be in the variable {name} of the environment, which is not set"
        )
    return os.environ[name].encode()


def _in_file(file: Path) -> bytes:
    try:
        return file.expanduser().read_bytes()
    except OSError as error:
        raise WrongUsage(
            f"the log's key {file} cannot be read ({error.strerror}): where there is no log yet, "
            "fixity log init makes one"
        ) from error
