"""What is odd about a listing: objects listed more than once, without a time, or with an unreadable name.

Such objects stay in the inventory, and no other object is affected. Reading them does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import groupby

import pyarrow as pa

from fixity import compute as pc
from fixity.buckets import ListedObject, listed_objects
from fixity.buckets.base import LISTED_TWICE, NOT_UTF8, one_of
from fixity.clock import EPOCH
from fixity.humanize import printable

_KINDS = {
    "repeated": "entries of the listing that repeat an object, which counts once",
    "contradictory": "objects listed more than once with different data, which cannot be checked",
    "currents": "objects listed with more than one current version; the newest counts as current",
    "timeless": "objects listed without a usable time of change, which is unknown",
    "nameless": "objects with a name that is not UTF-8, which cannot be checked",
}
_ORDER = [("key", "ascending"), ("version_id", "ascending")]


class Oddities:
    """Counts what is odd about a listing, and mends what it says more than once."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, str]] = {}

    def notes(self) -> tuple[str, ...]:
        """What was found, for people."""
        return tuple(
            f"{_KINDS[kind]}: {count:,}, the first is '{printable(first, 200)}'"
            for kind, (count, first) in self._found.items()
        )

    def look_at(self, batch: pa.RecordBatch) -> None:
        """Look at the next rows of a listing."""
        keys, times = batch.column("key"), batch.column("last_modified")
        if times.null_count:
            self._add("timeless", keys.filter(pc.is_null(times)).to_pylist())
        nameless = pc.ends_with(keys, NOT_UTF8)
        if pc.any(nameless).as_py():
            self._add("nameless", keys.filter(nameless).to_pylist())

    def merge(self, rows: pa.Table) -> pa.Table:
        """All rows of some keys, as one row for each object version.

        Arguments: `rows`, of the inventory's schema, in order.
        """
        keys, versions, latest = (
            rows.column(name).combine_chunks() for name in ("key", "version_id", "is_latest")
        )
        again = pc.and_(_as_before(keys), _as_before(pc.fill_null(versions, "")))
        current = keys[1:].filter(pc.and_(latest[1:], pc.invert(again)))
        if latest[0].as_py():
            current = pa.concat_arrays([keys[:1], current])
        odd = pa.concat_arrays([keys[1:].filter(again), current[1:].filter(_as_before(current))])
        if not len(odd):
            return rows
        among = pc.is_in(keys, value_set=odd)
        mended = pa.Table.from_pylist(list(self._mended(rows.filter(among))), rows.schema)
        merged = pa.concat_tables([rows.filter(pc.invert(among)), mended])
        versions = pc.fill_null(merged.column("version_id"), "")  # NULL comes first
        return merged.take(pc.sort_indices(merged.set_column(1, "version_id", versions), sort_keys=_ORDER))

    def _mended(self, rows: pa.Table) -> Iterator[dict[str, object]]:
        entries = zip(listed_objects(rows), rows.column("checksum_algorithm").to_pylist(), strict=True)
        for key, of_key in groupby(entries, lambda entry: entry[0].key):
            found: list[tuple[ListedObject, str | None]] = []
            for _, of_version in groupby(of_key, lambda entry: entry[0].version_id or ""):
                items, algorithms = zip(*of_version, strict=True)
                found.append((one_of(items), algorithms[0]))
                self._add("repeated", [key] * (len(items) - len(set(items))))
            twice = sum((item.etag or "").startswith(LISTED_TWICE) for item, _ in found)
            self._add("contradictory", [key] * twice)
            current = [item for item, _ in found if item.is_latest]
            self._add("currents", [key] * (len(current) > 1))
            newest = max(current, key=_age, default=None)
            for item, algorithm in found:
                listed = {name: getattr(item, name) for name in ListedObject.__slots__}
                yield {"checksum_algorithm": algorithm, **listed, "is_latest": item == newest}

    def _add(self, kind: str, keys: list[str]) -> None:
        if keys:
            count, first = self._found.get(kind, (0, keys[0]))
            self._found[kind] = count + len(keys), first


def _age(item: ListedObject) -> tuple[datetime, str]:
    return item.last_modified or EPOCH, item.version_id or ""


def _as_before(values: pa.Array) -> pa.Array:
    """For each value but the first, whether it equals the one before."""
    return pc.equal(values[1:], values[:-1])
