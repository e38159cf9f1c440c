"""The interface of every bucket reader, and its errors.

A reader lists a bucket and reads the bytes of objects. Using the bytes (hashing, rows, retrying a whole
shard) does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

import pyarrow as pa

from fixity.errors import FixityError
from fixity.humanize import printable
from fixity.tables import columns_of


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


NOT_UTF8 = "//name-is-not-UTF-8"
"""The end of keys that stand for a name that is not UTF-8. No file has it, and no store a key like it."""

LISTED_TWICE = "listed more than once: "
"""The beginning of an ETag that stands for contradictory entries of a listing."""

_SAID = 3
"""How many contradictory entries are named."""


def key_text(name: bytes) -> str:
    """A name as a key. One that is not UTF-8 gets a key that differs from those of all other names."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace") + NOT_UTF8


def one_of(entries: Iterable[ListedObject]) -> ListedObject:
    """One object of all entries of a listing that name it. If they contradict each other, it cannot be read,
    and its ETag says what they say.
    """
    distinct = sorted(set(entries), key=repr)
    if len(distinct) == 1:
        return distinct[0]
    said = "; ".join(
        f"{each.size} bytes, ETag {printable(each.etag or 'unknown', 64)}, "
        f"{each.last_modified or 'time unknown'}"
        for each in distinct[:_SAID]
    )
    more = f"; and {len(distinct) - _SAID} more" if len(distinct) > _SAID else ""
    return replace(
        max(distinct, key=lambda each: each.size),
        is_latest=any(each.is_latest for each in distinct),
        etag=f"{LISTED_TWICE}{said}{more}",
    )


def refuse_unreadable(item: ListedObject) -> None:
    """Raises ObjectUnreadable for an object that the listing does not identify."""
    if item.key.endswith(NOT_UTF8):
        raise ObjectUnreadable("KeyNotUtf8", "the object's name is not UTF-8: rename it")
    if (item.etag or "").startswith(LISTED_TWICE):
        raise ObjectUnreadable("ListedTwice", f"the store's listing contradicts itself: {item.etag}")


def listed_objects(rows: pa.RecordBatch | pa.Table) -> Iterator[ListedObject]:
    """The rows of an inventory as objects."""
    return map(ListedObject, *columns_of(rows.select(ListedObject.__slots__)))


class Sink(Protocol):
    """A receiver of an object's bytes, such as a digest."""

    @property
    def count(self) -> int:
        """Bytes taken so far."""

    def update(self, piece: memoryview) -> None:
        """Take the next bytes, and use them before others of the thread read on, who share the buffer."""

    def restart(self) -> None:
        """Forget all bytes taken, because the object is read again from its start."""


class ObjectError(FixityError):
    """One object could not be read. `code` is one word for the table, `message` is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class ObjectUnreadable(ObjectError):
    """The bytes could not be read: a failed check. It does not mean that they are wrong."""


class ObjectSkipped(ObjectError):
    """The listed object cannot be checked: it was changed or deleted since, or is archived."""


CHANGED = "ChangedSinceListed"
DELETED = "DeletedSinceListed"


class BucketReader(Protocol):
    """A bucket that can be listed and read, from several threads at once.

    waits_in_turns: whether a read lets other turns of its thread go on while it waits.
    """

    waits_in_turns: bool

    def at_once(self) -> int:
        """How many objects to read at once now. It may be another number later."""

    def list_objects(self) -> Iterator[pa.RecordBatch]:
        """All objects as batches of the inventory's schema, in the store's order.

        Raises BucketUnreachable.
        """

    def read(self, item: ListedObject, sink: Sink) -> None:
        """Give all bytes of an object, as listed, to `sink`. Reading starts at the byte `sink.count`.

        Raises ObjectUnreadable or ObjectSkipped.
        """

    def read_afresh(self, item: ListedObject, sink: Sink) -> None:
        """The same, with nothing of an earlier read: on another connection, and not from a disk's cache."""

    def close(self) -> None:
        """Close all connections."""

    def find(self, key: str, version_id: str | None = None) -> ListedObject | None:
        """One object as listed now, by default its current version; None if there is none.

        Raises BucketUnreachable.
        """
