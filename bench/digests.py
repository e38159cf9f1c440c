"""Digests of the same bytes in one pass, in memory: what several cost beside one. Reading is in `reading`."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from bench.data import MIB, Collections
from bench.measure import Row, beside
from fixity.catalog import Algorithm
from fixity.digests.algorithms import digest_by

_SIZE, _PIECE = 8 * MIB, MIB  # as they are read from S3
_ALL: tuple[Algorithm, ...] = ("SHA256", "MD5", "CRC64NVME")


def rows(collections: Collections, rounds: int, scratch: Path) -> list[Row]:
    """Wall time of one object after the other, in this process: the slowest digest is the limit."""
    objects = min(50, collections.medium.objects)
    piece = memoryview(os.urandom(_PIECE))
    work: list[Sequence[Algorithm]] = [_ALL, ["SHA256"], ["MD5"]]
    for each in work:  # imports what it needs
        _seconds(each, objects, piece)
    together, sha256, md5 = zip(
        *([_seconds(each, objects, piece) for each in work] for _ in range(rounds)), strict=True
    )
    name = f"SHA-256, MD5 and CRC64NVME of {objects} of {_SIZE // MIB} MiB in one pass, wall"
    return [
        beside(name, "s", together, md5, 1.1, "MD5 alone"),
        beside(name, "s", together, sha256, 2.7, "SHA-256 alone"),
    ]


def _seconds(algorithms: Sequence[Algorithm], objects: int, piece: memoryview) -> float:
    begun = time.perf_counter()
    for _ in range(objects):
        digest = digest_by(algorithms[0], algorithms[1:])
        for _ in range(_SIZE // _PIECE):
            digest.update(piece)
        digest.hexdigest()
    return time.perf_counter() - begun
