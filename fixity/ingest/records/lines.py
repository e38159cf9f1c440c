"""Reads the lines of checksum files, as coreutils, BSD, hashdeep and BagIt tools write them.

    9e107d9d372bb6826bd81d3542a419d6  film.mkv          coreutils, BagIt; `*` before the name: read as binary
    \\9e107d9d372bb6826bd81d3542a419d6  a\\nb             coreutils: the name has escapes
    SHA256 (film.mkv) = e3b0c442…                       BSD, openssl
    %%%% size,md5,sha256,filename                       hashdeep: the columns of the lines that follow

Which object a name stands for, and whether a checksum is one, do not belong here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

# After one blank, coreutils writes a blank or `*`; the rest is the name, even if that begins with a blank.
_PLAIN = re.compile(r"(\\?)(\S+)(?: [ *]|[ \t]+\*?)(.+)", re.DOTALL)
_TAGGED = re.compile(r"(\\?)([\w/-]+) ?\((.+)\) ?= ?(\S+)", re.DOTALL)
_HEX = re.compile(r"[0-9a-fA-F]+")
_ESCAPES = {r"\\": "\\", r"\n": "\n", r"\r": "\r"}


class Entry(NamedTuple):
    """A line: the checksum of a named file, as written; `algorithm` is '' if it does not say which."""

    number: int
    name: str
    checksum: str
    algorithm: str = ""


def read_lines(text: str) -> Iterator[Entry | int]:
    """The entries of a checksum file; for a line that is none, its number. Comments are left out.

    A line of hashdeep is an entry for each of its checksums.
    """
    columns: list[str] = []
    for number, line in enumerate(_split(text.removeprefix("\ufeff")), 1):
        if line.startswith("%%%% "):
            columns = line[5:].split(",") if "," in line else columns
        elif columns and not line.startswith("#") and line:
            cells = line.split(",", len(columns) - 1)
            if len(cells) < len(columns) or columns[-1] != "filename":
                yield number
                continue
            for name, cell in zip(columns, cells, strict=True):
                if name not in ("size", "filename"):
                    yield Entry(number, cells[-1], cell, name)
        elif line.strip() and not line.startswith("#"):
            yield _entry(number, line) or number


def _split(text: str) -> list[str]:
    """The lines. A CR ends a line only where it does so throughout the file; else it belongs to a name."""
    if "\n" not in text:
        return text.split("\r")
    lines = text.split("\n")
    if all(line.endswith("\r") for line in lines if line):
        return [line.removesuffix("\r") for line in lines]
    return lines


def _entry(number: int, line: str) -> Entry | None:
    if (tagged := _TAGGED.fullmatch(line)) and not _HEX.fullmatch(tagged[2]):
        escaped, tag, name, checksum = tagged.groups()
        algorithm = tag.replace("SHA2-", "SHA")  # as OpenSSL 3 writes it
    elif plain := _PLAIN.fullmatch(line):
        escaped, checksum, name = plain.groups()
        algorithm = ""
    else:
        return None
    if escaped:
        name = re.sub(r"\\[\\nr]", lambda found: _ESCAPES[found[0]], name)
    return Entry(number, name, checksum, algorithm)
