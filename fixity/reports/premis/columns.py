"""The columns of a table of PREMIS events, identifiers and places. Making events does not belong here."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.catalog import Bucket
from fixity.tables import naming_the_unreadable

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://id.fixity/premis/event")
"""The namespace of the identifiers of all events; another one would change them."""

FIXITY_CHECK, DELETION, RECOVERY, REPLICATION = "fixity check", "deletion", "recovery", "replication"
"""The types of events, as the Library of Congress's vocabulary names them."""

_TIME = pa.timestamp("us", tz="UTC")
EVENTS = pa.schema(
    [
        *((name, pa.string()) for name in ("event_id", "event_type", "outcome", "outcome_note", "bucket")),
        *(
            (name, pa.string())
            for name in ("key", "version_id", "object_uri", "etag", "algorithm", "expected")
        ),
        *((name, pa.string()) for name in ("expected_from", "actual", "evidence", "run_id", "agent")),
        *((name, pa.int64()) for name in ("size", "bytes_read")),
        *((name, _TIME) for name in ("event_datetime", "expected_at")),
        # Those of before are without these. source_uri: the object that this one was copied from.
        ("source_uri", pa.string()),
        ("reads", pa.int32()),
        ("second_look", pa.bool_()),
    ]
)
"""The columns of an export."""


def event_id(*of: object) -> str:
    """The identifier of an event, by what makes it this one."""
    return str(uuid.uuid5(NAMESPACE, "\n".join(map(str, of))))


def place_of(bucket: Bucket) -> str:
    """The beginning of the URI of each object of a bucket."""
    if bucket.path is not None:
        return f"{bucket.path.as_uri()}/"
    return f"s3://{bucket.real_name}/{quote(bucket.prefix)}"


def uri(place: str, key: str, version_id: str | None) -> str:
    """The URI of an object. Arguments: `place`, see `place_of`."""
    return place + quote(key) + (f"?versionId={quote(version_id, '')}" if version_id else "")


def exported_ids(exports: Iterable[Path], column: str, values: Iterable[str]) -> Iterator[str]:
    """The identifiers of those events in exports whose column has one of some values.

    Raises TableUnreadable.
    """
    for file in exports:
        with naming_the_unreadable(file):
            ids = pq.read_table(file, columns=["event_id"], filters=[(column, "in", list(values))])
        yield from ids.column("event_id").to_pylist()
