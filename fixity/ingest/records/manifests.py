"""Finds manifests in the bucket, those of BagIt bags and OCFL objects, and reads the records in them.

A manifest is read like any object. If it cannot be read, the result is a record with a problem, under the
manifest's own key. What stands in a manifest is in `bags` and `ocfl`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fixity.buckets import BucketReader, ListedObject, ObjectUnreadable
from fixity.catalog import ALGORITHMS
from fixity.ingest.records.bags import Bag, bag_records, is_of_a_bag
from fixity.ingest.records.ocfl import OcflObject, is_of_ocfl, ocfl_records, version_of
from fixity.ingest.records.record import Record

MANIFEST_NAMES = {
    "bagit.txt": (
        "fetch.txt",
        *(
            f"{kind}-{name}.txt"
            for kind in ("manifest", "tagmanifest")
            for algorithm in ALGORITHMS
            for name in (algorithm.lower(), algorithm)
        ),
    ),
    "inventory.json": (
        "0=ocfl_object_1.0",
        "0=ocfl_object_1.1",
        "inventory.json.sha512",
        "inventory.json.sha256",
    ),
}
"""Where a folder cannot be listed: the names to ask for if it has a file of the first one."""

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


def is_of_manifest(key: str) -> bool:
    """Whether an object, by its name, may be a manifest or a declaration of a bag or an OCFL object."""
    name = key.rpartition("/")[2]
    return is_of_a_bag(name) or is_of_ocfl(name)


def find_manifests(items: Iterable[ListedObject]) -> list[Bag | OcflObject]:
    """The bags and OCFL objects among objects for which `is_of_manifest` holds, by folder."""
    bags: dict[str, Bag] = {}
    inventories: dict[str, dict[str, ListedObject]] = {}
    for item in items:
        above, slash, name = item.key.rpartition("/")
        folder = above + slash
        if is_of_a_bag(name):
            bags.setdefault(folder, Bag(folder, {})).files[name] = item
        else:
            inventories.setdefault(folder, {})[name] = item
    objects: dict[str, OcflObject] = {}
    for folder, files in inventories.items():
        declared = any(name.startswith("0=") for name in files)
        root, version = (folder, "") if declared else version_of(folder)
        found = objects.setdefault(root, OcflObject(root, {}))
        found.files.update({version + name: item for name, item in files.items()})
    return [bags[folder] for folder in sorted(bags)] + [objects[folder] for folder in sorted(objects)]


def manifest_records(store: BucketReader, manifest: Bag | OcflObject) -> Iterator[Record]:
    """The records in a bag's manifests or in OCFL inventories. Raises BucketUnreachable."""

    def read(item: ListedObject) -> bytes:
        if item.size > _LARGEST:
            raise ObjectUnreadable("TooLarge", f"{item.size:,} bytes are too many for a manifest")
        sink = _Bytes()
        store.read(item, sink)
        return bytes(sink.content)

    return bag_records(manifest, read) if isinstance(manifest, Bag) else ocfl_records(manifest, read)
