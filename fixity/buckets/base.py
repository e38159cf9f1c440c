"""What every bucket reader can do, and how it says that something went wrong.

A store lists what a bucket holds and reads objects' bytes. What is done with the bytes (hashing,
rows, retrying a whole shard) does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import pyarrow as pa

from fixity.clock import EPOCH
from fixity.errors import FixityError


@dataclass(frozen=True, slots=True)
class ListedObject:
    """One object version as an inventory lists it. `size` in bytes, `last_modified` in UTC."""

    key: str
    version_id: str | None
    is_latest: bool
    size: int
    etag: str | None
    last_modified: datetime | None
    storage_class: str | None


def listed_objects(rows: pa.RecordBatch | pa.Table) -> Iterator[ListedObject]:
    """The objects of rows of an inventory."""
    columns = [rows.column(name) for name in ListedObject.__slots__]
    return map(
        ListedObject,
        *(_times(column) if pa.types.is_timestamp(column.type) else column.to_pylist() for column in columns),
    )


def _times(column: pa.Array | pa.ChunkedArray) -> list[datetime | None]:
    """Arrow itself takes six times as long for them, as long as for all other columns together."""
    since = column.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_pylist()
    return [None if each is None else EPOCH + timedelta(microseconds=each) for each in since]


class Sink(Protocol):
    """Where an object's bytes go: a digest."""

    @property
    def count(self) -> int:
        """Bytes taken so far."""

    def update(self, piece: memoryview) -> None:
        """Take the next bytes."""

    def restart(self) -> None:
        """Forget all bytes taken: the object is read again from its start."""


class ObjectError(FixityError):
    """One object could not be read. `code` is one word for the table, `message` is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class ObjectUnreadable(ObjectError):
    """The bytes could not be read: a failed check. Says nothing about whether they are right."""


class ObjectSkipped(ObjectError):
    """There was nothing to check as listed: changed or deleted since, or archived."""


CHANGED = "ChangedSinceListed"
DELETED = "DeletedSinceListed"


class BucketReader(Protocol):
    """A bucket that can be listed and read, from several threads at once."""

    def list_objects(self) -> Iterator[pa.RecordBatch]:
        """All objects as batches of the inventory's schema, in the order the store lists them.

        Raises BucketUnreachable.
        """

    def read(self, item: ListedObject, sink: Sink) -> None:
        """Give all bytes of an object, as it was listed, to `sink`: those after `sink.count`, where
        it has taken some already.

        Raises ObjectUnreadable or ObjectSkipped.
        """

    def close(self) -> None:
        """Let go of all connections."""

    def find(self, key: str, version_id: str | None = None) -> ListedObject | None:
        """One object as it is listed now, the current version where none is named; None where there
        is none.

        Raises BucketUnreachable.
        """
