"""Notes of bytes that were read of a bucket for checks that the ledger does not keep.

The ledger would not tell of them, and a budget of egress counts what was read. The notes stand in scratch,
whose sweep removes them when no budget counts them any more. What a budget allows does not belong here.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import PurePosixPath
from uuid import uuid4

from fixity.lake import Lake
from fixity.lake.paths import unkept_reads_folder


def note_unkept_read(lake: Lake, bucket: str, size: int, now: datetime) -> None:
    """Note that so many bytes were read, if any were. Arguments: `now` in UTC. Raises LakeError."""
    if size:
        lake.put_text(f"{unkept_reads_folder(bucket)}{now:%Y%m%d}_{size}_{uuid4().hex}.txt", "")


def unkept_reads_since(lake: Lake, bucket: str, first: datetime) -> int:
    """How many bytes were noted from a day (UTC) on. Raises LakeError."""
    notes = [PurePosixPath(file.name).stem.split("_") for file in lake.list(unkept_reads_folder(bucket))]
    return sum(int(size) for day, size, _ in notes if day >= f"{first:%Y%m%d}")
