"""Where buckets and the lake are, and that no bucket holds another, or the lake.

One place under two names would be hashed twice and could be compared with itself; a lake within a
bucket would be listed with it, and each run would change what it lists. What else must hold between
the parts of a catalog is in `references`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from fixity.catalog.model import Bucket, Store
from fixity.catalog.references import Problem

# Parts of AWS that know nothing of each other, so that each may have a bucket of the same name.
_AWS_PARTITION = re.compile(r"(cn|us-gov|us-iso\w*|eu-iso\w*|eusc)-")


class _Place(NamedTuple):
    """What tells a place from others, and the part of it that is meant: a prefix, or a path."""

    within: tuple[str, ...]
    part: str

    def holds(self, other: _Place) -> bool:
        """Whether the other lies within this one, or is the same."""
        return self.within == other.within and other.part.startswith(self.part)


def place_problems(
    lake: str | None,
    lake_store: str,
    stores: Mapping[str, Store | None],
    buckets: Mapping[str, Bucket | None],
) -> Iterator[Problem]:
    """Buckets that hold each other or the lake, by what the catalog says of them.

    That two endpoints lead to one place cannot be known here, and is not asked.

    Arguments: the lake and its store (None where it is wrong in itself), stores and buckets by name:
        None where a part is wrong in itself.
    """
    places = {
        name: place
        for name, bucket in buckets.items()
        if bucket is not None and (place := _of_bucket(bucket, stores)) is not None
    }
    outer = ""  # in this order what lies within a place follows it
    for name in sorted(places, key=lambda name: places[name]):
        if not outer or not places[outer].holds(places[name]):
            outer = name
            continue
        same = places[outer] == places[name]
        yield (
            ("buckets", name),
            f"{outer} and {name} {'are one place' if same else 'overlap'} ({_shown(places[outer])}"
            f"{'' if same else f' and {_shown(places[name])}'}): its objects would be hashed twice, and may "
            "be compared with themselves: name it once, and use that name in all pairs",
        )
    at = None if lake is None else _of_lake(lake, stores.get(lake_store))
    for name, place in places.items():
        if at is not None and place.holds(at):
            yield (
                ("lake",),
                f"the lake ({_shown(at)}) lies in the bucket {name} ({_shown(place)}): its own tables would "
                "be listed with the bucket and change with every run: keep the lake apart",
            )


def place_of(bucket: Bucket, store: Store) -> str:
    """Where a bucket is and which of its versions are meant, for people and to tell whether it is
    still the same: `s3://name/prefix at https://host, current versions`.
    """
    if bucket.path is not None:
        return str(bucket.path)
    endpoint = store.endpoint_url or "AWS"
    return f"s3://{bucket.real_name}/{bucket.prefix} at {endpoint}, {bucket.versions} versions"


def _of_bucket(bucket: Bucket, stores: Mapping[str, Store | None]) -> _Place | None:
    if bucket.path is not None:
        return _of_directory(bucket.path)
    store = stores.get(bucket.store)
    return None if store is None else _Place((*_of_store(store), bucket.real_name), bucket.prefix)


def _of_lake(lake: str, store: Store | None) -> _Place | None:
    if not lake.startswith("s3://"):
        return _of_directory(Path(lake))
    if store is None:
        return None
    name, _, prefix = lake.removeprefix("s3://").partition("/")
    return _Place((*_of_store(store), name), f"{prefix}/" if prefix else "")


def _of_directory(path: Path) -> _Place:
    return _Place((), f"{os.path.realpath(path).rstrip('/')}/")


def _of_store(store: Store) -> tuple[str, ...]:
    if store.endpoint_url is None:
        partition = _AWS_PARTITION.match(store.region or "")
        return ("AWS", partition[1] if partition else "")
    # Ceph's tenants see buckets of their own under one endpoint: whose a bucket is, the profile says.
    url = urlsplit(store.endpoint_url.lower())
    port = url.port or {"http": 80, "https": 443}[url.scheme]
    return (url.hostname or "", str(port), store.profile or "")


def _shown(place: _Place) -> str:
    return f"s3://{place.within[-1]}/{place.part}" if place.within else place.part
