"""Which objects a run looks at: all of the newest inventory, or a few that were named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.catalog import Bucket
from fixity.hashing import utc_now
from fixity.lake import Lake
from fixity.lake.paths import selection_file
from fixity.stores import FindingStore, ListedObject
from fixity.tables import INVENTORY, Provenance

Wanted = tuple[str, str | None]
"""A key below the bucket's prefix, and a version; None for the current one."""


def keep_selection(lake: Lake, bucket: str, wanted: Iterable[Wanted]) -> str:
    """Keep a list of objects for a run to look at. Returns its name, the same for the same objects.

    Raises LakeError.
    """
    text = json.dumps(sorted(set(wanted), key=lambda each: (each[0], each[1] or "")), indent=0)
    name = hashlib.sha256(text.encode()).hexdigest()[:40]
    lake.put_text(selection_file(bucket, name), text, replace=True)
    return name


def read_selection(lake: Lake, bucket: str, name: str) -> list[Wanted]:
    """The objects of a list. Raises FileNotFoundError, LakeError."""
    return [(key, version_id) for key, version_id in json.loads(lake.read_text(selection_file(bucket, name)))]


def list_selection(
    store: FindingStore,
    bucket: str,
    wanted: Iterable[Wanted],
    run_id: str,
    file: Path,
    place: str | None = None,
) -> list[Wanted]:
    """Look for the wanted objects as they are listed now, and write those that are there as an inventory.

    Arguments: `place` says where the bucket is (`Catalog.place_of`).
    Returns those that are not there: deleted since, or never there. Raises StoreUnreachable.
    """
    provenance = Provenance(bucket, run_id, run_id, utc_now(), place)
    found: dict[Wanted, ListedObject] = {}
    gone: list[Wanted] = []
    for key, version_id in wanted:
        item = store.find(key, version_id)
        if item is None:
            gone.append((key, version_id))
        else:
            found[item.key, item.version_id] = item
    rows = [
        {"checksum_algorithm": None, **{name: getattr(found[place], name) for name in ListedObject.__slots__}}
        for place in sorted(found, key=lambda place: (place[0].encode(), place[1] or ""))
    ]
    pq.write_table(pa.Table.from_pylist(rows, provenance.attach(INVENTORY)), file)
    return gone


def below_prefix(bucket: Bucket, key: str) -> str | None:
    """A store's own key as the bucket knows it; None where it is not the bucket's."""
    if not key.startswith(bucket.prefix):
        return None
    relative = key.removeprefix(bucket.prefix)
    return relative if relative and not is_excluded(bucket, relative) else None


def is_excluded(bucket: Bucket, key: str) -> bool:
    """Whether the catalog leaves out a key below the bucket's prefix."""
    return any(fnmatchcase(key, pattern) for pattern in bucket.exclude)
