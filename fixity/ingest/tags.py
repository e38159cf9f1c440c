"""Writes computed checksums into the objects' tags, as `computed-md5` and `computed-md5-last-modified`.

The tag has the bucket's own algorithm, whatever the algorithm of the record. As in Media2Cloud, the tags
are merged with the object's tags, never exceed the ten that S3 allows, and are not written if the checksum
differs from the record. Unlike Media2Cloud, a tag with another checksum stays. If records contradict each
other or could not be read, nothing is written, because that would hide the problem.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from fixity.buckets import ObjectError
from fixity.buckets.s3.attributes import Attributes
from fixity.clock import utc_now
from fixity.ingest.records.attributes import TAG
from fixity.ingest.report import NOTMATCHED, TagWriter
from fixity.tables import SUCCEEDED

MOST_TAGS = 10
"""Tags that S3 allows an object."""


def tag_writer(attributes: Attributes, threads: int, now: Callable[[], datetime] = utc_now) -> TagWriter:
    """A writer for the tags of a report's rows, `threads` objects at a time.

    For each row it gives `yes`, the reason why not, or None for an object that could not be read or that
    differs from its record. Raises BucketUnreachable.
    """

    def write(rows: Iterable[dict[str, Any]]) -> Iterator[str | None]:
        with ThreadPoolExecutor(threads) as pool:
            yield from pool.map(lambda row: _write(attributes, row, now()), rows)

    return write


def _write(attributes: Attributes, row: dict[str, Any], now: datetime) -> str | None:
    if row["status"] != SUCCEEDED or row["result"] == NOTMATCHED or row["own_checksum"] is None:
        return None
    if row["conflicts"]:
        return "no: its records contradict each other"
    if row["unusable_records"]:
        return "no: records of it could not be used"
    key, version_id = row["key"], row["version_id"]
    name, checksum = f"{TAG}{row['own_algorithm'].lower()}", row["own_checksum"]
    try:
        tags = attributes.tags(key, version_id)
        if tags.get(name, checksum).lower() != checksum:
            return f"no: the tag says {tags[name]}"
        merged = {
            **tags,
            name: checksum,
            f"{name}-last-modified": str(int(now.timestamp() * 1000)),
        }
        if len(merged) > MOST_TAGS:
            return f"no: {len(tags)} tags are there already, and S3 allows {MOST_TAGS}"
        # Without versions, an object that was overwritten in the meantime must not get the tags.
        attributes.head(key, version_id, row["etag"])
        attributes.put_tags(key, version_id, merged)
    except ObjectError as error:
        return f"no: {error}"
    return "yes"
