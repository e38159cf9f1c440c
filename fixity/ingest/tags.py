"""Writes what was computed into the objects' tags: `computed-md5` and `computed-md5-last-modified`.

The tag is that of the bucket's own algorithm, whatever the record was that the bytes were held against.
As Media2Cloud does: merged with the tags that are there, never beyond the ten that S3 allows, and
never where the computed checksum is not the recorded one. Unlike it, a tag that says something else stays,
and where records contradict each other or could not be read nothing is written: it would hide that.
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
    """What writes the tags of a report's rows, `threads` objects at a time.

    It gives for each row `yes`, why not, or None where nothing is to be written: an object that could
    not be read, or that is not what was recorded. Raises BucketUnreachable.
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
        # Tags belong to a version; where there is none, an overwrite in the meantime must not get them.
        attributes.head(key, version_id, row["etag"])
        attributes.put_tags(key, version_id, merged)
    except ObjectError as error:
        return f"no: {error}"
    return "yes"
