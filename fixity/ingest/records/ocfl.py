"""The records in the inventories of an OCFL object: of its content, and of the inventories themselves.

The object and each of its versions have an inventory, which its sidecar proves. The records of the content
are those of the newest inventory that is proved. If that is not the object's own, a problem says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from fixity.buckets import ListedObject, ObjectError
from fixity.digests.algorithms import Digest, algorithm_named, as_hex
from fixity.ingest.records.record import Record, listed_record, unusable

_DECLARATION = "0=ocfl_object_"
_OF_OCFL = re.compile(rf"{_DECLARATION}\d+\.\d+|inventory\.json(\.[A-Za-z0-9_-]+)?")
_VERSION = re.compile(r"((?:.*/)?)(v\d+/)")
_INVENTORY = "inventory.json"

_Read = Callable[[ListedObject], bytes]
"""Gives the bytes of a file. Raises ObjectError."""


class OcflObject(NamedTuple):
    """An OCFL object: its folder ('' or ending in '/'), and its declaration, inventories and sidecars.

    They are named by their path in the folder, such as `v1/inventory.json`.
    """

    folder: str
    files: dict[str, ListedObject]


class _NotProved(Exception):
    """An inventory that cannot be used. The text says why."""


def is_of_ocfl(name: str) -> bool:
    """Whether a file of this name declares an OCFL object, or is an inventory or its sidecar."""
    return bool(_OF_OCFL.fullmatch(name))


def version_of(folder: str) -> tuple[str, str]:
    """The folder of the OCFL object that a folder may be a version of, and the version: `a/v1/` is `v1/` of
    `a/`. Of any other folder, itself and ''."""
    found = _VERSION.fullmatch(folder)
    return (found[1], found[2]) if found else (folder, "")


def ocfl_records(ocfl: OcflObject, read: _Read) -> Iterator[Record]:
    """The records of an OCFL object, with a problem for each inventory that cannot be used."""
    sidecars = {name: name.rpartition(".")[::2] for name in sorted(ocfl.files) if f"{_INVENTORY}." in name}
    declarations = [item for name, item in ocfl.files.items() if name.startswith(_DECLARATION)]
    if not sidecars and not declarations:
        return  # another program's file
    for sidecar, (inventory, algorithm) in sidecars.items():
        yield _of_sidecar(ocfl, sidecar, inventory, algorithm, read)
    places = {name.rpartition(".json")[0] for name in (*ocfl.files, _INVENTORY) if _INVENTORY in name}
    newest_first = sorted(
        (f"{place}.json" for place in places),
        key=lambda name: (name == _INVENTORY, int("0" + re.sub(r"\D", "", name.partition("/")[0]))),
        reverse=True,
    )
    for name in newest_first:
        item = ocfl.files.get(name)
        try:
            if item is None:
                raise _NotProved(f"there is no {name}")
            records = list(_of_content(ocfl, name, item, read))
        except _NotProved as error:
            shown = item or [*declarations, *ocfl.files.values()][0]
            yield unusable(shown.key, f"{name} of the OCFL object in '{ocfl.folder}' cannot be used: {error}")
        else:
            yield from records
            return


def _of_sidecar(ocfl: OcflObject, sidecar: str, inventory: str, named: str, read: _Read) -> Record:
    item = ocfl.files[sidecar]
    try:
        return listed_record(ocfl.folder + inventory, named, _digest_in(read(item)), item.key)
    except ObjectError as error:
        return unusable(item.key, f"it cannot be read: {error}")


def _digest_in(sidecar: bytes) -> str:
    return "".join(sidecar.decode("utf-8", "replace").split()[:1])


def _of_content(ocfl: OcflObject, name: str, item: ListedObject, read: _Read) -> Iterator[Record]:
    """The records in an inventory. Raises _NotProved."""
    try:
        body = read(item)
        inventory = json.loads(body)
        of = str(inventory["digestAlgorithm"])
        _prove(ocfl, name, of, body, read)
        for named, digests in {of: inventory["manifest"], **inventory.get("fixity", {})}.items():
            for digest, paths in digests.items():
                for path in paths:
                    yield listed_record(ocfl.folder + path, named, digest, item.key)
    except ObjectError as error:
        raise _NotProved(f"it cannot be read: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _NotProved(f"it is no inventory: {error!r}"[:200]) from error


def _prove(ocfl: OcflObject, name: str, algorithm_name: str, body: bytes, read: _Read) -> None:
    """Raises _NotProved, ObjectError."""
    algorithm = algorithm_named(algorithm_name)
    sidecar = ocfl.files.get(f"{name}.{algorithm_name}")
    if algorithm not in ("SHA512", "SHA256") or sidecar is None:
        raise _NotProved(f"there is no {name}.{algorithm_name[:80]}, which proves it")
    digest = Digest(algorithm)
    digest.update(memoryview(body))
    if as_hex(_digest_in(read(sidecar)), algorithm) != digest.hexdigest():
        raise _NotProved(f"it is not the one that {name}.{algorithm_name} speaks of")
