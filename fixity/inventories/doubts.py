"""Whether a list that is proved is also right: of the whole bucket, and spelled as the bucket is listed.

A few objects are asked for. What a list lacks is in `absent`.
"""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path
from urllib.parse import unquote_plus

import pyarrow.compute as pc
import pyarrow.parquet as pq

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
_TRIED = 3  # keys
_SAMPLE = 10  # objects


def refuse_a_part(found: list[ListedObject], listed: Path, provided: ProvidedList) -> None:
    """Refuse a list whose keys all begin alike, if the bucket has had others since long before the list.

    A configuration with a prefix lists a part of the bucket, and its manifest does not say so.
    Arguments: `found`, what the list lacks and the bucket has. Raises ListRefused.
    """
    common = _common_folder(listed)
    for item in found:
        at = item.last_modified
        if not item.key.startswith(common) and at is not None and at < provided.listed_at - CLOCKS_DIFFER:
            raise ListRefused(
                f"{provided.url} has only keys that begin with '{printable(common, 200)}', but the bucket "
                "has had "
                f"'{printable(item.key, 200)}' since {at:%Y-%m-%d}: the configuration of the list may have a "
                "prefix. Let it list the whole bucket, or give the bucket this `prefix`"
            )


def _common_folder(table: Path) -> str:
    """The folder that all keys of a sorted table have in common: '' if there is none, or no key."""
    with pq.ParquetFile(table) as file:
        groups = [group for group in range(file.num_row_groups) if file.metadata.row_group(group).num_rows]
        if not groups:
            return ""
        first, last = (file.read_row_group(group, ["key"])["key"] for group in (groups[0], groups[-1]))
    pairs = zip(first[0].as_py().split("/")[:-1], last[-1].as_py().split("/")[:-1], strict=False)
    return "".join(f"{name}/" for name, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


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
                "bucket as "
                f"'{printable(unquote_plus(key), 200)}'. Nothing of it is used: list the bucket without "
                "`inventory`"
            )


def refuse_unlike(store: BucketReader, listed: Path, provided: ProvidedList) -> None:
    """Refuse a list that spells ETags or times otherwise than the bucket's listing does.

    Where there are no versions, they tell an object from the one that replaced it: spelled in two ways, each
    object would count as replaced, and what is known of it would be lost. Asks for a few objects.
    Raises ListRefused, BucketUnreachable.
    """
    with pq.ParquetFile(listed) as file:
        rows = next(file.iter_batches(_SAMPLE), None)
    for item in listed_objects(rows.cast(INVENTORY)) if rows is not None else ():
        now = store.find(item.key, item.version_id)
        if now is None or now.size != item.size or now.last_modified is None:
            continue
        is_same = same_etag(now.etag or "", item.etag or "") and now.last_modified == item.last_modified
        # What was written about the time of the scan may be a later one than the list has.
        if not is_same and now.last_modified < provided.listed_at - CLOCKS_DIFFER:
            raise ListRefused(
                f"{provided.url} has '{printable(item.key, 200)}' with the ETag {printable(item.etag, 64)} "
                "of "
                f"{item.last_modified}, but the bucket has had it with the ETag {printable(now.etag, 64)} "
                "since "
                f"{now.last_modified}: list this bucket without `inventory`"
            )
