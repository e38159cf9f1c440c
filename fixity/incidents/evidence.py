"""Gathers what is known of the suspect rows of a pair's report.

From the ledgers and records of both buckets, from other buckets that hold copies, and from the store, which
is asked when a missing object was deleted. What follows from the evidence is in `diagnosis`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from fixity import compute as pc
from fixity.buckets import CHANGED, DELETED
from fixity.catalog import Bucket, Catalog, Pair
from fixity.incidents.agreement import Agreement, Span, had_before, last_agreement, spans
from fixity.incidents.asking import Digests, Row, deletions
from fixity.incidents.baselines import baselines, digests_of
from fixity.incidents.history import Content, History, ObjectHistory, history_of, named
from fixity.incidents.known import (
    SIDES,
    Copy,
    Evidence,
    Expected,
    OlderVersion,
    OtherCopy,
    SideName,
    same_bytes,
)
from fixity.lake import Lake
from fixity.ledger.judge import ETAG
from fixity.tables import FAILED, OTHER_COPY, SUCCEEDED

_CHANGES = {CHANGED: "was overwritten since it was listed", DELETED: "was deleted since it was listed"}
_NEVER_READ = ObjectHistory(None, None)
_OF_SIDE = (
    "version_id", "is_latest", "size", "etag", "last_modified", "storage_class", "status", "error_code",
    "algorithm", "checksum", "checksum_type", "checked_at",
)  # fmt: skip
NEEDED = ["key", "version_id", "status", *(f"{side}_{name}" for side in SIDES for name in _OF_SIDE)]
"""The columns of SUSPECTS that are needed of a row."""


def _content(row: Row, name: SideName) -> Content:
    return Content.of(*(row[f"{name}_{each}"] for each in ("version_id", "etag", "last_modified", "size")))


class _Side(NamedTuple):
    """What is kept of one side of a row: its content, None where it is missing; what the ledger says of that;
    and the bytes that were under the key."""

    content: Content | None
    history: ObjectHistory
    spans: list[Span]

    def is_replaced(self, name: SideName, agreed: Agreement) -> bool:
        """Whether the object is not the one that this side had when both were the same."""
        then = agreed.source if name == "source" else agreed.replica
        return self.content not in (None, then.content)


class Gathered:
    """What is kept of the rows' keys, on both sides and in the buckets with other copies."""

    def __init__(
        self,
        lake: Lake,
        catalog: Catalog,
        pair: Pair,
        rows: pa.Table,
        now: datetime,
        workspace: Path,
    ) -> None:
        self._by_version = pair.match == "version"
        self.buckets: dict[SideName, Bucket] = {
            "source": catalog.buckets[pair.source],
            "replica": catalog.buckets[pair.replica],
        }
        keys = pc.unique(rows["key"]).to_pylist()

        def history(bucket: Bucket) -> History:
            folder = workspace / f"history-{bucket.name}"  # each database spills into its own
            folder.mkdir(exist_ok=True)
            return history_of(lake, bucket, keys, now, folder)

        with ThreadPoolExecutor(len(SIDES)) as pool:
            self._sides = dict(zip(SIDES, pool.map(history, self.buckets.values()), strict=True))
        self._others = {name: history(catalog.buckets[name]) for name in _other_buckets(catalog, pair)}
        self._originals = _originals_of(catalog, pair.source)
        self._deleted = {
            name: deletions(catalog, bucket, rows["key"].filter(rows[f"{name}_size"].is_null()).to_pylist())
            for name, bucket in self.buckets.items()
        }

    def facts(self) -> Iterator[pa.Table]:
        """All that the evidence of rows comes from, besides the rows: tables with a column `key`."""
        for deleted in self._deleted.values():
            minutes = [f"{at:%Y-%m-%d %H:%M}" for at in deleted.values()]  # the words name it
            times = pa.array(deleted.values(), pa.timestamp("us", "UTC"))
            yield pa.table([pa.array(deleted, pa.string()), times, minutes], ["key", "deleted_at", "minute"])
        for history in self._histories():
            yield from history.tables

    def choose(self, keys: Collection[str]) -> None:
        """Have what is kept of some keys at hand."""
        for history in self._histories():
            history.choose(keys)

    def _histories(self) -> list[History]:
        return [*self._sides.values(), *self._others.values()]

    def evidence(self, row: Row, of_parts: Digests | None = None) -> Evidence:
        """All that is known of a row. Arguments: `of_parts`, the multipart ETags of both sides' bytes."""
        sides = {name: self._side(row, name) for name in SIDES}
        digests = {
            name: digests_of(row, name, sides[name].history) | (of_parts or {}).get(name, {})
            for name in SIDES
        }
        copies = {name: self._copy(row, name, sides, digests) for name in SIDES}
        agreed = last_agreement(sides["source"].spans, sides["replica"].spans)
        return Evidence(
            copies["source"],
            copies["replica"],
            tuple(self._other_copies(row)),
            self._older(row, digests["replica"]),
            self._by_version and named(row["version_id"]) is not None,
            agreed and agreed.at,
            agreed.source.digests if agreed else {},
            tuple(name for name in SIDES if agreed and sides[name].is_replaced(name, agreed)),
        )

    def _side(self, row: Row, name: SideName) -> _Side:
        of_key = self._sides[name].of(row["key"]).objects
        content = _content(row, name) if row[f"{name}_size"] is not None else None
        history = of_key.get(content, _NEVER_READ) if content else _NEVER_READ
        return _Side(content, history, spans(of_key, row["version_id"], self._by_version))

    def _copy(self, row: Row, name: SideName, sides: Mapping[SideName, _Side], digests: Digests) -> Copy:
        bucket, changed = self.buckets[name].name, self._changed(row, name)
        side, other = sides[name], sides["replica" if name == "source" else "source"]
        if side.content is None:
            return self._missing(row, name, changed)
        state: Any = "read" if row[f"{name}_status"] == SUCCEEDED else FAILED
        expected = (
            *baselines(side.history, digests[name], other.history),
            *self._records(row, name, side.history.told),
            *self._etag(row, name, digests),
        )
        return Copy(
            bucket,
            state,
            changed,
            digests[name],
            row[f"{name}_last_modified"],
            expected,
            before=had_before(side.content, side.spans),
        )

    def _missing(self, row: Row, name: SideName, changed: str | None) -> Copy:
        other = "replica" if name == "source" else "source"
        reads = [
            read.last_at
            for each in self._sides[name].of(row["key"]).objects.values()
            if not self._by_version or named(each.version_id) == named(row["version_id"])
            for read in each.reads
        ]
        deleted_at, written_at = self._deleted[name].get(row["key"]), row[f"{other}_last_modified"]
        if deleted_at is not None:
            # A marker hides what was there before; and it hides versions, but takes none away.
            is_before = written_at is not None and deleted_at < written_at
            is_of_another = self._by_version and not reads
            deleted_at = None if is_before or is_of_another else deleted_at
        bucket = self.buckets[name].name
        return Copy(bucket, "missing", changed, deleted_at=deleted_at, last_read_at=max(reads, default=None))

    def _changed(self, row: Row, name: SideName) -> str | None:
        """What happened to a side since it was listed: by its check, or by a newer one of its key."""
        if change := _CHANGES.get(row[f"{name}_error_code"] or ""):
            return change
        checked_at, written_at = row[f"{name}_checked_at"], row[f"{name}_last_modified"]
        if self._by_version or checked_at is None or written_at is None:
            return None
        newer = [
            read.last_at
            for each in self._sides[name].of(row["key"]).objects.values()
            if each.is_latest and each.last_modified and each.last_modified > written_at
            for read in each.reads
            if read.last_at > checked_at
        ]
        return f"was another one when it was read on {max(newer):%Y-%m-%d}" if newer else None

    def _records(self, row: Row, name: SideName, told: Iterable[Expected]) -> Iterator[Expected]:
        """The records of a side's object. Arguments: `told`, those that checks were compared with."""
        before = {(each.source, each.algorithm): each for each in told if each.source != OTHER_COPY}
        written_at = row[f"{name}_last_modified"]
        found = {
            (each.expected.source, each.expected.algorithm, each.expected.checksum): each.expected
            for each in self._sides[name].of(row["key"]).records
            if named(each.version_id) == named(row[f"{name}_version_id"])
            # Without a version, an older look was perhaps at another object of this key.
            and (named(each.version_id) or (written_at is not None and each.listed_at >= written_at))
            and each.expected.source != ETAG
        }
        newer = {place[:2] for place in found}
        yield from (each for place, each in before.items() if place not in newer)
        for each in found.values():
            known = before.get((each.source, each.algorithm))
            yield known if known and known.checksum == each.checksum else each

    def _etag(self, row: Row, name: SideName, digests: Digests) -> Iterator[Expected]:
        """A side's ETag, if either side's bytes have it: a listing does not tell whether it is an MD5."""
        etag = (row[f"{name}_etag"] or "").lower()
        if self.buckets[name].etag_is_md5 is not False:
            md5s = {(each, of[each]) for of in digests.values() for each in of if each.startswith("MD5")}
            yield from (Expected(algorithm, etag, ETAG) for algorithm, md5 in sorted(md5s) if md5 == etag)

    def _other_copies(self, row: Row) -> Iterator[OtherCopy]:
        for name, history in self._others.items():
            of_key = history.of(row["key"])
            for listed in of_key.listed:
                if self._by_version and named(listed.version_id) != named(row["version_id"]):
                    continue
                if not self._by_version and not listed.is_latest:
                    continue
                content = Content.of(listed.version_id, listed.etag, listed.last_modified, listed.size)
                reads = of_key.objects.get(content, _NEVER_READ).reads
                if reads:
                    newest = max(reads, key=lambda read: read.last_at)
                    is_original = name in self._originals
                    yield OtherCopy(name, newest.digests, listed.last_modified, is_original)

    def _older(self, row: Row, digests: Mapping[str, str]) -> OlderVersion | None:
        """The newest older version of the source that has the replica's bytes."""
        written_at = row["source_last_modified"]
        if row["source_size"] is None or written_at is None:
            return None
        of_key = self._sides["source"].of(row["key"])
        same = [
            OlderVersion(named(each.version_id), each.last_modified)
            for each in of_key.objects.values()
            if any(same_bytes(read.digests, digests) for read in each.reads)
        ]
        if self.buckets["source"].etag_is_md5 is not False and "MD5" in digests:
            same += [
                OlderVersion(named(each.version_id), each.last_modified)
                for each in of_key.listed
                if (each.etag or "").lower() == digests["MD5"]
            ]
        # Versions may be written within one second; the current one is the newest of them.
        is_newest, version = row["source_is_latest"], named(row["source_version_id"])
        older = [
            (each.written_at, each)
            for each in same
            if each.written_at is not None
            and (
                each.written_at < written_at
                or (each.written_at == written_at and is_newest and each.version_id not in (None, version))
            )
        ]
        return max(older, key=lambda each: each[0])[1] if older else None


def _other_buckets(catalog: Catalog, pair: Pair) -> list[str]:
    """The buckets that hold copies of the same objects by the catalog's other pairs."""
    both = (pair.source, pair.replica)
    pairs = [each for name in both for each in catalog.pairs_of(name)]
    return list(
        dict.fromkeys(name for each in pairs for name in (each.source, each.replica) if name not in both)
    )


def _originals_of(catalog: Catalog, name: str) -> set[str]:
    """The buckets of which a bucket is a copy by the catalog's pairs, or a copy of a copy."""
    found: set[str] = set()
    left = [name]
    while left:
        copy = left.pop()
        sources = {pair.source for pair in catalog.pairs_of(copy) if pair.replica == copy}
        left += sources - found
        found |= sources
    return found
