"""The records in the manifests and tag manifests of a BagIt bag (RFC 8493, and 0.93 to 0.97 before it).

Every line that can be read is a record, whatever is wrong with the rest of the bag: that is a problem beside
it. `bag-info.txt` says nothing about checksums and is not read. How lines are written is in `lines`; which of
several spellings of a name is an object's key is in `spellings`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import unquote

from fixity.buckets import ListedObject, ObjectError
from fixity.digests.algorithms import algorithm_named
from fixity.ingest.records.lines import Entry, read_lines
from fixity.ingest.records.record import Record, listed_record, unusable

_MANIFEST = re.compile(r"(?:tag)?manifest-([A-Za-z0-9_-]+)\.txt", re.IGNORECASE)
_VERSION = re.compile(r"^BagIt-Version\s*:\s*(\d+)\.\d+\s*$", re.IGNORECASE | re.MULTILINE)
_ENCODING = re.compile(r"^Tag-File-Character-Encoding\s*:\s*(\S+)\s*$", re.IGNORECASE | re.MULTILINE)
_CODE = re.compile(r"%(0[aAdD]|25)")

Read = Callable[[ListedObject], bytes]
"""Gives the bytes of a small object. Raises ObjectError."""


class Bag(NamedTuple):
    """A bag: its folder ('' or ending in '/'), and its files by name, for which `is_of_a_bag` holds."""

    folder: str
    files: dict[str, ListedObject]


class _Declared(NamedTuple):
    """What `bagit.txt` says: the encoding of names, and whether names are percent-encoded, as since 1.0."""

    encoding: str = "utf-8"
    percent: bool = False


def is_of_a_bag(name: str) -> bool:
    """Whether a file of this name declares a bag, lists its content, or says what it lacks."""
    return name.lower() in ("bagit.txt", "fetch.txt") or bool(_MANIFEST.fullmatch(name))


def bag_records(bag: Bag, read: Read) -> Iterator[Record]:
    """The records in a bag's manifests, with a problem for each file or line that cannot be used."""
    files = {name.lower(): item for name, item in sorted(bag.files.items(), reverse=True)}
    manifests = {name: item for name, item in sorted(bag.files.items()) if _MANIFEST.fullmatch(name)}
    declaration = files.get("bagit.txt")
    declared, problem = _declared(declaration, read)
    payload = f"{bag.folder}data/"
    is_without = not any(name.lower().startswith("manifest-") for name in manifests)
    if declaration is not None:
        if is_without:
            problem = "no manifest of the bag was found"
        if problem:
            yield unusable(declaration.key, problem, may_name=payload if is_without else None)
    to_fetch = _to_fetch(files.get("fetch.txt"), declared, read)
    for name, item in manifests.items():
        may_name = None if name.lower().startswith("tag") else payload
        try:
            lines = list(read_lines(read(item).decode(declared.encoding, "replace")))
        except ObjectError as error:
            yield unusable(item.key, f"it cannot be read: {error}", may_name=may_name)
            continue
        if declaration is None:
            lines, problem = _without_declaration(name, lines)
            if problem:
                yield unusable(item.key, problem)
        wrong = [line for line in lines if isinstance(line, int)]
        entries = [line for line in lines if isinstance(line, Entry)]
        percent = declared.percent and all("%" not in _CODE.sub("", entry.name) for entry in entries)
        for entry in entries:
            # What the encoding does not have is U+FFFD.
            ways = [] if "\ufffd" in entry.name else _spellings(entry.name, declared.encoding, percent)
            if not ways:
                wrong.append(entry.number)
                continue
            key, *others = (bag.folder + way for way in ways)
            algorithm = entry.algorithm or _algorithm_of(name)
            record = listed_record(key, algorithm, entry.checksum, item.key)
            said = next((to_fetch[way] for way in ways if way in to_fetch), None)
            yield record._replace(other_keys=tuple(others), if_missing=said)
        if wrong:
            yield unusable(item.key, _of_lines(wrong), may_name=may_name)


def _declared(item: ListedObject | None, read: Read) -> tuple[_Declared, str | None]:
    """What `bagit.txt` says, and what is wrong with it."""
    if item is None:
        return _Declared(), None
    try:
        text = read(item).decode("utf-8", "replace").removeprefix("\ufeff").replace("\r", "\n")
    except ObjectError as error:
        return _Declared(), f"it cannot be read: {error}"
    version, encoding = _VERSION.search(text), _ENCODING.search(text)
    if version is None or encoding is None:
        return _Declared(), "it does not say which version and which encoding the bag has"
    percent = int(version[1]) >= 1
    try:
        b"x".decode(encoding[1], "replace")
    except (LookupError, ValueError):
        return _Declared("utf-8", percent), f"the encoding {encoding[1][:80]!r} is unknown: UTF-8 was used"
    return _Declared(encoding[1], percent), None


def _to_fetch(item: ListedObject | None, declared: _Declared, read: Read) -> dict[str, str]:
    """The names in `fetch.txt`, in each spelling, and what to say of such an object that is missing."""
    if item is None:
        return {}
    try:
        text = read(item).decode(declared.encoding, "replace")
    except ObjectError:  # without it, its objects are told as missing
        return {}
    lines = (line.split(None, 2) for line in re.split(r"[\r\n]+", text))
    names = (line[2] for line in lines if len(line) == 3)
    ways = (way for name in names for way in _spellings(name, declared.encoding, declared.percent))
    return dict.fromkeys(ways, f"{item.key} lists it: it was not fetched yet")


def _without_declaration(name: str, lines: list[Entry | int]) -> tuple[list[Entry | int], str | None]:
    """The lines of a manifest that count if there is no `bagit.txt`, and what to say of that."""
    if name.lower().startswith("tag"):
        return lines, "there is no bagit.txt beside it"
    of_data = [
        line for line in lines if isinstance(line, Entry) and line.name.lstrip(" *./").startswith("data/")
    ]
    if of_data:
        wrong = [line for line in lines if isinstance(line, int)]
        return [*of_data, *wrong], "there is no bagit.txt beside it"
    if algorithm_named(_algorithm_of(name)) is None:
        return [], None  # another program's file of this name
    return [], "there is no bagit.txt beside it, and no line names a file in data/"


def _algorithm_of(manifest: str) -> str:
    found = _MANIFEST.fullmatch(manifest)
    return found[1] if found else ""


def _of_lines(wrong: list[int]) -> str:
    shown = ", ".join(map(str, sorted(wrong)[:5]))
    more = f" and {len(wrong) - 5:,} more" if len(wrong) > 5 else ""
    return f"not a checksum and a name in the bag: line {shown}{more}; the other lines are used"


def _spellings(name: str, encoding: str, percent: bool) -> list[str]:
    """What a name may mean as a path in the bag, the likeliest first; none if it leads out of the bag."""
    written = name.lstrip(" \t")
    written = written.removeprefix("*") or written
    decoded = _CODE.sub(lambda code: chr(int(code[1], 16)), written)
    ways = [decoded, written] if percent else [written, decoded]
    while ways[0].startswith("./"):
        ways.insert(0, ways[0][2:].lstrip("/"))
    ways += [ways[0].rstrip(), name, ways[0].replace("\\", "/")]
    with suppress(ValueError):  # names in UTF-8, whatever is declared
        ways.append(ways[0].encode(encoding).decode("utf-8"))
    with suppress(ValueError):  # by a tool that encodes more
        ways.append(unquote(written, errors="strict"))
    normal = [posixpath.normpath(way).lstrip("/") for way in ways]
    if normal[0].split("/", 1)[0] == "..":
        return []
    return [each for each in dict.fromkeys([*ways, *normal]) if each and not each.startswith("../")]
