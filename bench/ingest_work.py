"""Digests that `bench.ingest` measures, as a process of its own.

Usage: python -m bench.ingest_work resumable|hashlib BYTES FOLDER.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

from fixity.buckets import ListedObject
from fixity.engines.stream.checkpoints import Checkpoints
from fixity.lake import LocalLake

_PIECE = memoryview(bytearray(256 * 1024))


def _feed(update: Callable[[memoryview], object], size: int) -> None:
    for _ in range(size // len(_PIECE)):
        update(_PIECE)


def resumable(size: int, folder: Path) -> str:
    """Digest so many bytes, the state kept in a lake at each quarter."""
    item = ListedObject("a", None, True, size, "an-etag", None, None)
    digest = Checkpoints(LocalLake(folder), "scratch/r/rehashes/", size // 4).digest(item, "SHA256")
    _feed(digest.update, size)
    return digest.hexdigest()


def plain(size: int) -> str:
    """Digest so many bytes by hashlib."""
    digest = hashlib.sha256()
    _feed(digest.update, size)
    return digest.hexdigest()


def main(work: str, *arguments: str) -> None:
    """Do one piece of work."""
    if work == "resumable":
        print(resumable(int(arguments[0]), Path(arguments[1])))
    elif work == "hashlib":
        print(plain(int(arguments[0])))
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
