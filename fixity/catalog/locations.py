"""Where buckets, the lake and the log's witness are; checks that none contains another one.

One place under two names would be hashed twice and could be compared with itself. A lake within a bucket
would be listed with it, and each run would change the listing. A witness within the lake would be no
witness. Other rules between the parts of a catalog
do not belong here; they are in `references`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from fixity.catalog.log import FROM_ENVIRONMENT, FROM_KMS, Log
from fixity.catalog.model import Bucket, Store
from fixity.catalog.references import Problem

# Separate partitions of AWS: each may have a bucket of the same name.
_AWS_PARTITION = re.compile(r"(cn|us-gov|us-iso\w*|eu-iso\w*|eusc)-")


class _Place(NamedTuple):
    """A place, and a part of it: a prefix, or a path."""

    within: tuple[str, ...]
    part: str

    def holds(self, other: _Place) -> bool:
        """Whether the other place is within this one, or is the same."""
        return self.within == other.within and other.part.startswith(self.part)


def place_problems(
    lake: str | None,
    lake_store: str,
    stores: Mapping[str, Store | None],
    buckets: Mapping[str, Bucket | None],
) -> Iterator[Problem]:
    """Buckets that contain each other or the lake, according to the catalog.

    Two endpoints that lead to one place are not detected.

    Arguments: the lake (None if invalid) and its store; stores and buckets by name, None for an invalid
        part.
    """
    places = {
        name: place
        for name, bucket in buckets.items()
        if bucket is not None and (place := _of_bucket(bucket, stores)) is not None
    }
    outer = ""  # sorted, so that whatever is within a place follows it
    for name in sorted(places, key=lambda name: places[name]):
        if not outer or not places[outer].holds(places[name]):
            outer = name
            continue
        same = places[outer] == places[name]
        yield (
            ("buckets", name),
            f"{outer} and {name} {'are one place' if same else 'overlap'} ({_shown(places[outer])}"
            f"{'' if same else f' and {_shown(places[name])}'}): its objects would be hashed twice, and "
            "could be compared with themselves: name the place once, and use that name in all pairs",
        )
    lake_place = None if lake is None else _of_root(lake, stores.get(lake_store))
    for name, place in places.items():
        if lake_place is not None and place.holds(lake_place):
            yield (
                ("lake",),
                f"the lake ({_shown(lake_place)}) is within the bucket {name} ({_shown(place)}): the lake's "
                "tables would be listed with the bucket and change with every run: move the lake elsewhere",
            )


def log_place_problems(
    log: Log | None,
    lake: str,
    lake_store: str,
    stores: Mapping[str, Store],
    buckets: Mapping[str, Bucket],
) -> Iterator[Problem]:
    """A key or a witness of the log that whoever rewrites the lake has too; a witness within a bucket."""
    lake_place = _of_root(lake, stores.get(lake_store))
    if log is None or lake_place is None:
        return
    if not log.key.startswith((FROM_ENVIRONMENT, FROM_KMS)) and lake_place.holds(
        _of_directory(Path(log.key))
    ):
        yield (
            ("log", "key"),
            f"{log.key} is within the lake, and whoever may write there could sign anything: keep the key "
            "elsewhere",
        )
    witness = None if log.witness is None else _of_root(log.witness, stores.get(log.witness_store))
    if witness is None:
        return
    keys = ("log", "witness")
    if lake_place.holds(witness):
        yield (
            keys,
            f"the witness ({_shown(witness)}) is within the lake ({_shown(lake_place)}), and whoever "
            "rewrites the one could rewrite the other: name another place",
        )
    for name, bucket in buckets.items():
        place = _of_bucket(bucket, stores)
        if place is not None and place.holds(witness):
            yield (
                keys,
                f"the witness ({_shown(witness)}) is within the bucket {name} ({_shown(place)}): the seals "
                "would be listed with the bucket: name another place",
            )


def place_of(bucket: Bucket, store: Store) -> str:
    """Where a bucket is and which versions it lists: `s3://name/prefix at https://host, current versions`.

    People read it, and a changed text shows that the bucket's name now means another place.
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


def _of_root(root: str, store: Store | None) -> _Place | None:
    if not root.startswith("s3://"):
        return _of_directory(Path(root))
    if store is None:
        return None
    name, _, prefix = root.removeprefix("s3://").partition("/")
    return _Place((*_of_store(store), name), f"{prefix}/" if prefix else "")


def _of_directory(path: Path) -> _Place:
    return _Place((), f"{os.path.realpath(path).rstrip('/')}/")


def _of_store(store: Store) -> tuple[str, ...]:
    if store.endpoint_url is None:
        partition = _AWS_PARTITION.match(store.region or "")
        return ("AWS", partition[1] if partition else "")
    # Tenants of Ceph share an endpoint but have separate buckets; the profile tells the tenants apart.
    url = urlsplit(store.endpoint_url)
    port = url.port or {"http": 80, "https": 443}[url.scheme]
    return (f"{url.hostname}{url.path}", str(port), store.profile or "")


def _shown(place: _Place) -> str:
    return f"s3://{place.within[-1]}/{place.part}" if place.within else place.part
