"""What writing a bucket means: an object is replaced as a whole, and only if it is still what it is to
replace.

`local_writer` and `s3.writer` do it. Deciding what to write does not belong here. Only repairs and
drills write to buckets.
"""

from __future__ import annotations

from typing import Protocol

from fixity.buckets.base import ObjectError, Sink


class NotWritten(ObjectError):
    """An object could not be written, or the bad bytes could not be set aside. Nothing has changed."""


class NotAsExpected(ObjectError):
    """What is there now is not what was to be replaced. Nothing was written over it."""

    def __init__(self, message: str) -> None:
        super().__init__("ChangedMeanwhile", message)


class Upload(Sink, Protocol):
    """The bytes of an object on their way. Nobody sees it until `finish`."""

    def finish(self) -> None:
        """Put the object in its place, whole. Raises NotAsExpected, NotWritten, BucketUnreachable."""

    def abandon(self) -> None:
        """Remove what was sent, unless it is finished. Never raises."""
