"""What the inventory before had and a provider's list lacks: it is asked for before anything calls it lost.

A list is the result of a scan over hours, and may lack what is there. Reading the list does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from urllib.parse import unquote_plus

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fixity.buckets import BucketReader, ListedObject
from fixity.clock import CLOCKS_DIFFER
from fixity.humanize import printable
from fixity.inventories.folder import ListRefused
from fixity.inventories.s3_inventory import ProvidedList
from fixity.lake.database import open_database
from fixity.lake.ranges import key_ranges
from fixity.lake.writer import ROW_GROUP_ROWS
from fixity.ledger.inventory import Wanted
from fixity.tables import INVENTORY

_SQL = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
_RANGE_BYTES = 64 * 1024 * 1024
_AS_ENCODED = r"^(?:[A-Za-z0-9._~*/-]|%[0-9A-Fa-f]{2}|\+)*$"
_ENCODED = r"%[0-9A-Fa-f]{2}|\+"
_TRIED = 3  # keys


@dataclass(frozen=True)
class Absent:
    """Objects that a list lacks. known: the first of them, in order. count: how many there are."""

    known: list[Wanted]
    count: int


def absent(before: Path, listed: Path, most: int, workspace: Path) -> Absent:
    """What `before` has and `listed` lacks. Arguments: both sorted; `most`, how many objects to name."""
    known: list[Wanted] = []
    count = 0
    with open_database(workspace) as database:
        for keys in key_ranges(before, listed, most=_RANGE_BYTES):
            rows = database.execute(
                _SQL,
                {
                    "before": str(before),
                    "listed": str(listed),
                    "lower": keys.lower,
                    "upper": keys.upper,
                    "before_first": keys.rows[0][0],
                    "before_last": keys.rows[0][1],
                    "listed_first": keys.rows[1][0],
                    "listed_last": keys.rows[1][1],
                },
            ).fetchall()
            count += len(rows)
            known += rows[: most - len(known)]
    return Absent(known, count)


def still_there(store: BucketReader, wanted: list[Wanted], threads: int) -> list[ListedObject]:
    """Those of the objects that the bucket has, as it lists them now. Raises BucketUnreachable."""
    with ThreadPoolExecutor(threads) as pool:
        found = pool.map(lambda each: store.find(*each), wanted)
        return [item for item in found if item is not None]


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


def merged(listed: Path, more: list[ListedObject]) -> Iterator[pa.RecordBatch]:
    """The rows of a sorted table, with further objects in their place."""
    rows = [
        {"checksum_algorithm": None, **{name: getattr(each, name) for name in ListedObject.__slots__}}
        for each in more
    ]
    rows.sort(key=lambda row: (row["key"].encode(), row["version_id"] or ""))
    extra = pa.Table.from_pylist(rows, INVENTORY)
    with pq.ParquetFile(listed) as file:
        for batch in file.iter_batches(ROW_GROUP_ROWS):
            here = batch.cast(INVENTORY)
            if extra.num_rows:
                before = pc.sum(pc.less_equal(extra["key"], here["key"][-1])).as_py() or 0
                table = pa.concat_tables([pa.Table.from_batches([here]), extra.slice(0, before)])
                extra = extra.slice(before)
                yield from table.sort_by("key").combine_chunks().to_batches()
            else:
                yield here
    yield from extra.combine_chunks().to_batches()
