"""Which objects are asked for records of their own.

The listing has the ETag. HEAD and a request for tags cost as much as reading a small object, so all objects
are asked only if the last look at the bucket found such records, or if objects of a sample have some. How an
object is asked is in `attributes`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from math import isqrt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.buckets import ListedObject, listed_objects
from fixity.buckets.s3.attributes import Attributes
from fixity.ingest.records.attributes import attribute_records, has_tag_records, head_says_more
from fixity.ingest.records.record import Record, Source
from fixity.lake.database import open_database
from fixity.tables import naming_the_unreadable

Stored = frozenset[tuple[str, str | None]]
"""The objects, by key and version, for which the listing says that S3 stores a checksum."""
Look = Callable[[Stored, ListedObject], list[Record]]
"""Asks for the records of an object."""

_SAMPLE = 100  # objects, the most that are asked to see if there are records
_ALL_OF = 10  # objects are all asked


def looking(
    attributes: Attributes,
    wanted: tuple[Source, ...] | None,
    listed: Path,
    before: Path | None,
    threads: Executor,
    log: Callable[[str], None],
) -> Look:
    """How the objects of a bucket are asked for their records.

    Arguments: `wanted` kinds, None for all; then a sample decides which requests are made. `listed`, a local
    inventory; `before`, the records of the last look; `log` gets messages for people.
    Raises BucketUnreachable, TableUnreadable.
    """
    if wanted is not None:
        return lambda stored, item: attribute_records(attributes, item, wanted)
    sample, stored = _sample(listed)
    seen = _kinds_seen(before)
    with_tags = list(threads.map(partial(has_tag_records, attributes), sample))
    with_more = list(threads.map(lambda item: head_says_more(attributes, item, _id(item) in stored), sample))
    ask_tags = "object-tagging" in seen or any(with_tags)
    ask_head = bool(seen & {"object-metadata", "s3-checksum"}) or any(with_more)
    for asks, kinds in ((ask_tags, "object-tagging"), (ask_head, "object-metadata, s3-checksum")):
        if sample and not asks:
            log(
                f"{len(sample):,} objects, spread over the bucket, have no records in {kinds}: others are "
                "asked only if the store says that they have some. To ask all, name them in `records_in`."
            )

    def look(stored: Stored, item: ListedObject) -> list[Record]:
        return attribute_records(
            attributes, item, ask_tags=ask_tags, ask_head=ask_head or _id(item) in stored
        )

    return look


def listed_in(rows: pa.RecordBatch | pa.Table) -> tuple[list[ListedObject], Stored]:
    """The objects of rows of an inventory, and for which of them S3 stores a checksum."""
    items = list(listed_objects(rows))
    algorithms = rows.column("checksum_algorithm").to_pylist()
    return items, frozenset(_id(item) for item, algorithm in zip(items, algorithms, strict=True) if algorithm)


def _id(item: ListedObject) -> tuple[str, str | None]:
    return item.key, item.version_id


def _sample(listed: Path) -> tuple[list[ListedObject], Stored]:
    """A few objects, spread over an inventory: of a small one many or all, of a large one 100."""
    rows = pq.read_metadata(listed).num_rows
    count = min(rows, max(isqrt(rows), _ALL_OF), _SAMPLE)
    places = [rows * number // count for number in range(count)]
    with open_database(listed.parent) as database:
        found = database.execute(
            "SELECT * FROM read_parquet(?) WHERE file_row_number IN (SELECT unnest(?))", [str(listed), places]
        )
        return listed_in(found.to_arrow_table())


def _kinds_seen(before: Path | None) -> set[str]:
    """The kinds of records that the last look found."""
    if before is None:
        return set()
    with naming_the_unreadable(before):
        return set(pq.read_table(before, columns=["recorded_as"]).column("recorded_as").unique().to_pylist())
