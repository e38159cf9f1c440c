"""What the inventory before had and a provider's list lacks: it is asked for before anything calls it lost.

A list is the result of a scan over hours, and may lack what is there. Reading the list does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fixity import compute as pc
from fixity.buckets import BucketReader, ListedObject
from fixity.lake.database import open_database
from fixity.lake.ranges import key_ranges
from fixity.lake.writer import ROW_GROUP_ROWS
from fixity.ledger.inventory import Wanted, objects_table
from fixity.tables import INVENTORY

_SQL = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
_RANGE_BYTES = 64 * 1024 * 1024


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


def merged(listed: Path, more: list[ListedObject]) -> Iterator[pa.RecordBatch]:
    """The rows of a sorted table, with further objects in their place."""
    extra = objects_table(more)
    with pq.ParquetFile(listed) as file:
        for batch in file.iter_batches(ROW_GROUP_ROWS, columns=INVENTORY.names):
            here = batch.cast(INVENTORY)
            if extra.num_rows:
                before = pc.sum(pc.less_equal(extra["key"], here["key"][-1])).as_py() or 0
                table = pa.concat_tables([pa.Table.from_batches([here]), extra.slice(0, before)])
                extra = extra.slice(before)
                yield from table.sort_by("key").combine_chunks().to_batches()
            else:
                yield here
    yield from extra.combine_chunks().to_batches()
