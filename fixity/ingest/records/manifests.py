"""Records in the bucket's own manifests: BagIt bags and OCFL objects, wherever they lie in it.

A manifest is read like any object. If it cannot be read, or is damaged, the result is one record with a
problem, under its own key; none of its checksums is used.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import bagit

from fixity.buckets import BucketReader, ListedObject, ObjectError
from fixity.digests.algorithms import algorithm_named
from fixity.ingest.records.record import Record, record_of

_OF_A_BAG = re.compile(r"bagit\.txt|bag-info\.txt|package-info\.txt|(tag)?manifest-[A-Za-z0-9_-]+\.txt")
_OF_OCFL = re.compile(r"0=ocfl_object_1\.\d+|inventory\.json(\.sha512|\.sha256)?")
_LARGEST = 1024**3


class _Bytes:
    """An object's bytes in memory."""

    def __init__(self) -> None:
        self.content = bytearray()

    @property
    def count(self) -> int:
        return len(self.content)

    def update(self, piece: memoryview) -> None:
        self.content += piece

    def restart(self) -> None:
        self.content.clear()


class BagManifest(NamedTuple):
    """A bag or an OCFL object: its folder ('' or ending in '/'), and the files that list its content."""

    folder: str
    kind: str
    files: dict[str, ListedObject]


def is_of_manifest(key: str) -> bool:
    """Whether an object, by its name, may be a manifest or a declaration of a bag or an OCFL object."""
    name = PurePosixPath(key).name
    return bool(_OF_A_BAG.fullmatch(name) or _OF_OCFL.fullmatch(name))


def find_manifests(items: Iterable[ListedObject]) -> list[BagManifest]:
    """The bags and OCFL objects among objects for which `is_of_manifest` holds, by folder."""
    folders: dict[str, dict[str, ListedObject]] = {}
    for item in items:
        name = PurePosixPath(item.key).name
        folders.setdefault(item.key.removesuffix(name), {})[name] = item
    found = []
    for folder, files in sorted(folders.items()):
        if "bagit.txt" in files:
            found.append(BagManifest(folder, "bag", files))
        if "inventory.json" in files and any(name.startswith("0=ocfl_object_1.") for name in files):
            found.append(BagManifest(folder, "ocfl", files))
    return found


def manifest_records(store: BucketReader, manifest: BagManifest) -> Iterator[Record]:
    """The records in a bag's manifests or an OCFL inventory. Raises BucketUnreachable."""
    read = _bag_records if manifest.kind == "bag" else _ocfl_records
    try:
        yield from list(read(store, manifest))
    except (ObjectError, bagit.BagError, ValueError, KeyError, TypeError, AttributeError) as error:
        name = "bagit.txt" if manifest.kind == "bag" else "inventory.json"
        yield Record(
            manifest.folder + name,
            None,
            None,
            None,
            "manifest",
            manifest.folder + name,
            f"the {'bag' if manifest.kind == 'bag' else 'OCFL object'} in '{manifest.folder}' "
            f"cannot be used: {error}",
        )


def _read(store: BucketReader, item: ListedObject) -> bytes:
    if item.size > _LARGEST:
        raise ValueError(f"{item.key} has {item.size:,} bytes: too large for a manifest")
    sink = _Bytes()
    store.read(item, sink)
    return bytes(sink.content)


def _bag_records(store: BucketReader, manifest: BagManifest) -> Iterator[Record]:
    folder = manifest.folder
    wrong = _BagErrors()
    with tempfile.TemporaryDirectory(prefix="fixity-bag-") as directory:
        for name, item in manifest.files.items():
            if _OF_A_BAG.fullmatch(name):
                Path(directory, name).write_bytes(_read(store, item))
        bagit.LOGGER.addHandler(wrong)
        try:
            bag = bagit.Bag(directory)
        finally:
            bagit.LOGGER.removeHandler(wrong)
        if wrong.lines:  # the library skips such lines
            raise ValueError("; ".join(wrong.lines[:3]).replace(directory, folder))
        for path, checksums in bag.entries.items():
            kind = "manifest" if path.startswith("data/") else "tagmanifest"
            for name, checksum in checksums.items():
                where = f"{folder}{kind}-{name}.txt"
                algorithm = algorithm_named(name)
                if algorithm is None:
                    problem = f"{name} is computed by no one here"
                    yield Record(folder + path, None, None, None, "manifest", where, problem)
                else:
                    yield record_of(folder + path, None, algorithm, checksum, "manifest", where)


class _BagErrors(logging.Handler):
    """The errors that the library logs, in order."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def _ocfl_records(store: BucketReader, manifest: BagManifest) -> Iterator[Record]:
    folder = manifest.folder
    where = f"{folder}inventory.json"
    body = _read(store, manifest.files["inventory.json"])
    inventory = json.loads(body)
    name = str(inventory["digestAlgorithm"])
    sidecar = manifest.files.get(f"inventory.json.{name}")
    if name not in ("sha512", "sha256") or sidecar is None:
        raise ValueError(f"there is no inventory.json.{name}, which the inventory is proved by")
    if _read(store, sidecar).split()[:1] != [hashlib.new(name, body).hexdigest().encode()]:
        raise ValueError(f"the inventory is not the one that inventory.json.{name} speaks of")
    for of, digests in {name: inventory["manifest"], **inventory.get("fixity", {})}.items():
        algorithm = algorithm_named(of)
        for digest, paths in digests.items():
            for path in paths:
                if algorithm is None:
                    problem = f"{of} is computed by no one here"
                    yield Record(folder + path, None, None, None, "manifest", where, problem)
                else:
                    yield record_of(folder + path, None, algorithm, digest, "manifest", where)
