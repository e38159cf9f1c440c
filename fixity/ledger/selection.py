"""Which objects a run looks at: all of the newest inventory, or a few that were named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from fixity.catalog import Bucket
from fixity.catalog.exclude import excluded_by
from fixity.lake import Lake
from fixity.lake.paths import selection_file
from fixity.ledger.inventory import Wanted
from fixity.tables import TableUnreadable


def keep_selection(lake: Lake, bucket: str, wanted: Iterable[Wanted]) -> str:
    """Keep a list of objects for a run to look at. Returns its name, the same for the same objects.

    Raises LakeError.
    """
    text = json.dumps(sorted(set(wanted), key=lambda each: (each[0], each[1] or "")), indent=0)
    name = _name_of(text.encode())
    lake.put_text(selection_file(bucket, name), text, replace=True)
    return name


def read_selection(lake: Lake, bucket: str, name: str) -> list[Wanted]:
    """The objects of a list. Raises FileNotFoundError, LakeError; TableUnreadable if it was damaged."""
    file = selection_file(bucket, name)
    text = lake.read_bytes(file)
    if _name_of(text) != name:
        raise TableUnreadable(lake.location(file), "its name is not the SHA-256 of its content")
    return [(key, version_id) for key, version_id in json.loads(text)]


def _name_of(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:40]


def below_prefix(bucket: Bucket, key: str) -> str | None:
    """A store's own key as the bucket knows it; None where it is not the bucket's."""
    if not key.startswith(bucket.prefix):
        return None
    relative = key.removeprefix(bucket.prefix)
    return relative if relative and not is_excluded(bucket, relative) else None


def is_excluded(bucket: Bucket, key: str) -> bool:
    """Whether the catalog leaves out a key below the bucket's prefix."""
    return excluded_by(bucket.exclude)(key)
