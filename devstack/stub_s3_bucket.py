"""The buckets of `StubS3`: objects that a test put there, or synthetic ones. HTTP does not belong here."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import overload

LONG_AGO = datetime(2024, 2, 29, 12, 34, 56, 789000, tzinfo=UTC)


@dataclass(frozen=True)
class StoredVersion:
    """A version of an object, or a delete marker (`body` is None)."""

    body: bytes | None
    etag: str
    size: int
    last_modified: datetime = LONG_AGO
    version_id: str = "null"
    storage_class: str = "STANDARD"
    checksum_algorithm: str | None = None


@dataclass
class Bucket:
    """Keys in order, with their versions, newest first.

    Python orders strings by code point, which equals S3's order by UTF-8 bytes.
    """

    keys: Sequence[str] = field(default_factory=list)
    stored: dict[str, list[StoredVersion]] = field(default_factory=dict)

    def versions(self, key: str) -> list[StoredVersion]:
        return self.stored.get(key, [])

    def put(self, key: str, version: StoredVersion) -> None:
        assert isinstance(self.keys, list), "a synthetic bucket takes no objects of its own"
        if key not in self.stored:
            insort(self.keys, key)
            self.stored[key] = []
        others = [old for old in self.stored[key] if old.version_id != version.version_id]
        self.stored[key] = [version, *others]


class _SyntheticKeys(Sequence[str]):
    """Keys that are computed when needed."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError(index)
        return f"synthetic/{index:010d}"


class SyntheticBucket(Bucket):
    """`count` objects of `size` bytes each, computed when needed."""

    def __init__(self, count: int, size: int) -> None:
        super().__init__(keys=_SyntheticKeys(count))
        self._size = size

    def versions(self, key: str) -> list[StoredVersion]:
        digits = key[-10:]
        index = int(digits) if digits.isdecimal() else -1
        if not 0 <= index < len(self.keys) or self.keys[index] != key:
            return []
        return [StoredVersion(body=b"", etag=f'"{index:032x}"', size=self._size)]

    def body(self, key: str) -> bytes:
        pattern = key.encode()
        return (pattern * (self._size // len(pattern) + 1))[: self._size]
