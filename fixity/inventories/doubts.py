"""Whether a list that is proved is also right: of the whole bucket, and spelled as the bucket is listed.

A few objects are asked for. What a list lacks is in `absent`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice, takewhile
from pathlib import Path
from typing import Protocol, runtime_checkable
from urllib.parse import unquote_plus

import pyarrow as pa
import pyarrow.parquet as pq

from fixity import compute as pc
from fixity.buckets import BucketReader, ListedObject, listed_objects
from fixity.buckets.s3.etag import same_etag
from fixity.clock import CLOCKS_DIFFER
from fixity.humanize import printable
from fixity.inventories.folder import ListRefused
from fixity.inventories.s3_inventory import ProvidedList
from fixity.lake.writer import ROW_GROUP_ROWS
from fixity.tables import INVENTORY

_AS_ENCODED = r"^(?:[A-Za-z0-9._~*/-]|%[0-9A-Fa-f]{2}|\+)*$"
_ENCODED = r"%[0-9A-Fa-f]{2}|\+"
_NO_VERSION = "null"
"""The version id of an object that was written before its bucket had versions."""
_TRIED = 10  # keys
_SAMPLE = 10  # objects that are as a list has them
_ASKED = 100  # objects, until there are so many


@runtime_checkable
class ListsAfter(Protocol):
    """A bucket that can be listed from a key on."""

    def list_after(self, key: str) -> Iterator[pa.RecordBatch]:
        """See `S3Reader`."""


def refuse_empty(store: BucketReader, listed: Path, url: str) -> None:
    """Refuse a list with no object of a bucket that has some. Raises ListRefused, BucketUnreachable."""
    if not pq.read_metadata(listed).num_rows and (found := next(iter(store.list_objects()), None)):
        raise ListRefused(
            f"{url} has no object, but the bucket has '{printable(found['key'][0].as_py(), 200)}'. Nothing "
            "of it is used: wait for the next list, or list the bucket without `inventory`"
        )


def at_edges(store: BucketReader, listed: Path) -> Iterator[ListedObject]:
    """The first objects of the bucket, and the first ones after the last key of a list, if all keys of the
    list begin alike: a part of a bucket is a range of its keys. Raises BucketUnreachable."""
    first, last = _edges(listed)
    if _common(first, last) and isinstance(store, ListsAfter):
        pages = chain(islice(store.list_objects(), 1), islice(store.list_after(last), 1))
        yield from chain.from_iterable(map(listed_objects, pages))


def refuse_a_part(found: Iterable[ListedObject], listed: Path, provided: ProvidedList) -> None:
    """Refuse a list whose keys all begin alike, if the bucket has had others since long before the list.

    A configuration with a prefix lists a part of the bucket, and its manifest does not say so.
    Arguments: `found`, what the bucket has. Raises ListRefused.
    """
    common = _common(*_edges(listed))
    for item in found:
        at = item.last_modified
        if not item.key.startswith(common) and at is not None and at < provided.listed_at - CLOCKS_DIFFER:
            raise ListRefused(
                f"{provided.url} has only keys that begin with '{printable(common, 200)}', but the bucket "
                f"has had '{printable(item.key, 200)}' since {at:%Y-%m-%d}: the configuration of the list "
                "may have a prefix. Let it list the whole bucket, or give the bucket this `prefix`"
            )


def _common(first: str, last: str) -> str:
    """How two keys begin alike."""
    return "".join(one for one, _ in takewhile(lambda two: two[0] == two[1], zip(first, last, strict=False)))


def _edges(table: Path) -> tuple[str, str]:
    """The first and the last key of a sorted table; two empty ones if it has no rows."""
    with pq.ParquetFile(table) as file:
        groups = _filled(file)
        if not groups:
            return "", ""
        first, last = (file.read_row_group(group, ["key"])["key"] for group in (groups[0], groups[-1]))
    return first[0].as_py(), last[-1].as_py()


def _filled(file: pq.ParquetFile) -> list[int]:
    return [group for group in range(file.num_row_groups) if file.metadata.row_group(group).num_rows]


def refuse_not_encoded(store: BucketReader, listed: Path, url: str) -> None:
    """Refuse a list whose keys are not URL-encoded although its form says so: `a+b` was read as `a b`.

    Raises ListRefused, BucketUnreachable.
    """
    tried: list[tuple[str, str]] = []
    with pq.ParquetFile(listed) as file:
        for batch in file.iter_batches(ROW_GROUP_ROWS, columns=["key", "written"]):
            other = batch.filter(pc.is_valid(batch.column("written"))).slice(0, _TRIED - len(tried))
            tried += zip(other["key"].to_pylist(), other["written"].to_pylist(), strict=True)
            if len(tried) == _TRIED:
                break
    for key, written in tried:
        if store.find(key) is not None:
            return
        if store.find(written) is not None:
            raise ListRefused(
                f"{url} has keys that are not URL-encoded, though its form has encoded ones: the bucket has "
                f"'{printable(written, 200)}', and no '{printable(key, 200)}'. Nothing of it is used: list "
                "the bucket without `inventory`"
            )


def refuse_encoded(store: BucketReader, listed: Path, url: str) -> None:
    """Refuse a list whose keys are URL-encoded although its form says not: the store knows only the decoded
    ones.

    Raises ListRefused, BucketUnreachable.
    """
    tried: list[str] = []
    with pq.ParquetFile(listed) as file:
        for batch in file.iter_batches(ROW_GROUP_ROWS, columns=["key"]):
            keys = batch.column(0)
            if not pc.all(pc.match_substring_regex(keys, _AS_ENCODED)).as_py():
                return  # a key that no encoding gives
            found = keys.filter(pc.match_substring_regex(keys, _ENCODED))
            tried += found.slice(0, _TRIED - len(tried)).to_pylist()
    for key in tried:
        if store.find(key) is not None:
            return
        if store.find(unquote_plus(key)) is not None:
            raise ListRefused(
                f"{url} has URL-encoded keys, though its form has none: '{printable(key, 200)}' is in the "
                f"bucket as '{printable(unquote_plus(key), 200)}'. Nothing of it is used: list the bucket "
                "without `inventory`"
            )


def refuse_unlike(store: BucketReader, listed: Path, provided: ProvidedList) -> tuple[str, ...]:
    """Refuse a list that spells ETags or times otherwise than the bucket's listing does.

    Where there are no versions, they tell an object from the one that replaced it: spelled in two ways, each
    object would count as replaced, and what is known of it would be lost. So would an object be whose version
    the list does not name, as if it dated from before versioning. Asks for a few objects, until ten are as
    the list has them. Returns a note for people if none is, which proves nothing.
    Raises ListRefused, BucketUnreachable.
    """
    asked = there = same = 0
    for item in _spread(listed):
        asked += 1
        now = store.find(item.key, item.version_id)
        there += now is not None
        if now is None and item.version_id == _NO_VERSION:
            _refuse_without_id(store.find(item.key), item, provided)
        if now is None or now.size != item.size or now.last_modified is None:
            continue
        is_same = same_etag(now.etag or "", item.etag or "") and now.last_modified == item.last_modified
        same += is_same
        if same == _SAMPLE:
            break
        # What was written about the time of the scan may be a later one than the list has.
        if not is_same and now.last_modified < provided.listed_at - CLOCKS_DIFFER:
            raise ListRefused(
                f"{provided.url} has '{printable(item.key, 200)}' with the ETag {printable(item.etag, 64)} "
                f"of {item.last_modified}, but the bucket has had it with the ETag {printable(now.etag, 64)} "
                f"since {now.last_modified}: list this bucket without `inventory`"
            )
    if asked and not there:
        raise ListRefused(
            f"{asked:,} objects of {provided.url} were asked for, and none of them is in the bucket. Nothing "
            "of it is used: wait for the next list, or list the bucket without `inventory`"
        )
    if asked and not same:
        return (
            f"whether {provided.url} spells ETags and times as the bucket does is not proved: none of the "
            f"{asked:,} objects that were asked for is as the list has it",
        )
    return ()


def _refuse_without_id(now: ListedObject | None, item: ListedObject, provided: ProvidedList) -> None:
    """Refuse a list with an object that the bucket has as a version with an id. Raises ListRefused."""
    if now is None or (now.size, now.last_modified) != (item.size, item.last_modified):
        return
    if same_etag(now.etag or "", item.etag or ""):
        raise ListRefused(
            f"{provided.url} has '{printable(item.key, 200)}' without a version id, but in the bucket it is "
            f"the version {printable(now.version_id, 100)}: nobody could tell its versions apart. Wait for "
            "the next list, or list the bucket without `inventory`"
        )


def _spread(table: Path) -> Iterator[ListedObject]:
    """At most `_ASKED` objects of a list, from all over it, ten groups of rows at most."""
    with pq.ParquetFile(table) as file:
        groups = _filled(file)
        some = groups[:: -(-len(groups) // _SAMPLE) or 1]
        for group in some:
            rows = file.read_row_group(group, INVENTORY.names).cast(INVENTORY)
            step = -(-rows.num_rows * len(some) // _ASKED)
            yield from listed_objects(rows.take(list(range(0, rows.num_rows, step))))
