"""Signs that the schedule runs: when a rolling run ended last, also where nothing was due."""

from __future__ import annotations

from datetime import datetime

from fixity.lake import Lake
from fixity.lake.paths import snapshot_folder


def say_rolled(lake: Lake, bucket: str, now: datetime) -> None:
    """Note that a rolling run of a bucket ended. Raises LakeError."""
    lake.put_text(_sign(bucket), now.isoformat(), replace=True)


def last_roll(lake: Lake, bucket: str) -> datetime | None:
    """When a rolling run of a bucket ended last (UTC). Raises LakeError."""
    try:
        return datetime.fromisoformat(lake.read_text(_sign(bucket)))
    except (FileNotFoundError, ValueError):
        return None


def _sign(bucket: str) -> str:
    return f"{snapshot_folder(bucket)}ROLLED"
