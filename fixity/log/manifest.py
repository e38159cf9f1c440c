"""The text of a seal: comments that say what it is, lines as `sha256sum` writes them, and a signature.

    # fixity seal 1
    # number: 42
    # at: 2026-11-29T00:45:00+00:00
    # key: <SHA-256 of the public key>
    <sha256>  log/seals/00000041.sha256
    <sha256>  log/records/checksums/letters/….parquet.json
    <sha256>  checksums/letters/….parquet
    # ed25519 <base64 of the signature over `fixity seal <SHA-256 of all bytes before this line>`, as a line>

What is signed is short, so that a key may also be in a place that signs only small texts.

Which seals are believed does not belong here; that is in `chain`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from fixity.humanize import printable
from fixity.log.keys import Signer

SEALS = "log/seals/"
_HEAD = "# fixity seal 1"
_SIGNATURE = "# ed25519 "
_NOTE = re.compile(r"# ([a-z][a-z ]*): (.*)")
_LINE = re.compile(r"(\\?)([0-9a-f]{64})  (.+)")
_ESCAPES = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}


def seal_file(number: int) -> str:
    """The name of a seal in the lake."""
    return f"{SEALS}{number:08d}.sha256"


def seal_number(name: str) -> int | None:
    """The number in the name of a seal; None for the name of another file."""
    found = re.fullmatch(rf"{SEALS}(\d{{8}})\.sha256", name)
    return int(found[1]) if found and int(found[1]) else None


@dataclass(frozen=True)
class Seal:
    """A seal as it was read.

    before: the SHA-256 of the seal before; None in the first. entries: SHA-256 by name. notes: what its
    comments say, by their names, each as often as it was said.
    """

    text: bytes = field(repr=False)
    number: int
    at: str
    key: str
    before: str | None
    entries: Mapping[str, str] = field(repr=False)
    notes: Mapping[str, tuple[str, ...]]

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the whole seal, in hex."""
        return hashlib.sha256(self.text).hexdigest()

    @property
    def signed(self) -> bytes:
        """What is signed."""
        return _signed(self.text[: self._end])

    @property
    def _end(self) -> int:
        return self.text.rindex(_SIGNATURE.encode())

    @property
    def signature(self) -> bytes:
        """The signature. Raises ValueError if it is none."""
        try:
            return base64.b64decode(self.text[self._end + len(_SIGNATURE) :].strip(), validate=True)
        except binascii.Error as error:
            raise ValueError("its signature is damaged") from error

    def note(self, name: str) -> str | None:
        """What a comment says; None if it is not there."""
        return next(iter(self.notes.get(name, ())), None)


def seal_text(
    number: int,
    at: str,
    key: Signer,
    before: str | None,
    entries: Mapping[str, str],
    notes: Iterable[tuple[str, str]] = (),
) -> bytes:
    """The text of a new seal. Arguments: as the fields of Seal; `at`, an ISO time in UTC."""
    comments = [("number", str(number)), ("at", at), ("key", key.public.fingerprint), *notes]
    lines = [_HEAD, *(f"# {name}: {printable(value, 1000)}" for name, value in comments)]
    if before is not None:
        lines.append(_line(seal_file(number - 1), before))
    lines += [_line(name, entries[name]) for name in entries]
    said = "\n".join([*lines, ""]).encode()
    return said + _SIGNATURE.encode() + base64.b64encode(key.sign(_signed(said))) + b"\n"


def read_seal(text: bytes) -> Seal:
    """Read a seal. Its signature is not verified. Raises ValueError for anything that is not exactly one."""
    *lines, signature, end = text.decode().split("\n")
    if lines[:1] != [_HEAD] or not signature.startswith(_SIGNATURE) or end:
        raise ValueError("it is no seal")
    notes: dict[str, tuple[str, ...]] = {}
    entries: dict[str, str] = {}
    for line in lines[1:]:
        if found := _LINE.fullmatch(line):
            name = _unescaped(found[3]) if found[1] else found[3]
            if entries.setdefault(name, found[2]) != found[2]:
                raise ValueError(f"it says two things of {printable(name)}")
        elif found := _NOTE.fullmatch(line):
            notes[found[1]] = (*notes.get(found[1], ()), found[2])
        else:
            raise ValueError(f"a line of it is not one of a seal: {printable(line, 100)}")
    try:
        number = int(notes["number"][0])
        at, key = notes["at"][0], notes["key"][0]
    except KeyError as error:
        raise ValueError(f"it does not say its {error.args[0]}") from error
    return Seal(text, number, at, key, entries.pop(seal_file(number - 1), None), entries, notes)


def _signed(said: bytes) -> bytes:
    return f"fixity seal {hashlib.sha256(said).hexdigest()}\n".encode()


def _line(name: str, sha256: str) -> str:
    # As coreutils do: a line that begins with a backslash has escapes in its name.
    escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"{'' if escaped == name else chr(92)}{sha256}  {escaped}"


def _unescaped(name: str) -> str:
    return re.sub(r"\\[\\nr]", lambda found: _ESCAPES[found[0]], name)
