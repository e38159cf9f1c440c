"""S3's archives: which storage classes have to be restored, how fast, for how long, and for how much."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from fixity.buckets.s3.attributes import Head
from fixity.catalog import Restore, Tier

Archive = Literal["GLACIER", "DEEP_ARCHIVE", "ARCHIVE_ACCESS", "DEEP_ARCHIVE_ACCESS"]
"""Where an archived object lies: a storage class, or one of the archive tiers of Intelligent-Tiering."""

MAYBE_ARCHIVED = ("GLACIER", "DEEP_ARCHIVE", "INTELLIGENT_TIERING")
"""Storage classes whose objects are archived, or may be. Those of GLACIER_IR can be read at once."""

_DEEP = ("DEEP_ARCHIVE", "DEEP_ARCHIVE_ACCESS")
_TIERED: tuple[Archive, ...] = ("ARCHIVE_ACCESS", "DEEP_ARCHIVE_ACCESS")
_GB = 1024**3
# Dollars, list prices of us-east-1: a GB retrieved, a thousand requests.
_PRICES: dict[tuple[Archive, Tier], tuple[float, float]] = {
    ("GLACIER", "Expedited"): (0.03, 10.0),
    ("GLACIER", "Standard"): (0.01, 0.05),
    ("GLACIER", "Bulk"): (0.0, 0.0),
    ("DEEP_ARCHIVE", "Standard"): (0.02, 0.10),
    ("DEEP_ARCHIVE", "Bulk"): (0.0025, 0.025),
    ("ARCHIVE_ACCESS", "Expedited"): (0.03, 10.0),
    ("ARCHIVE_ACCESS", "Standard"): (0.0, 0.0),
    ("ARCHIVE_ACCESS", "Bulk"): (0.0, 0.0),
    ("DEEP_ARCHIVE_ACCESS", "Standard"): (0.0, 0.0),
    ("DEEP_ARCHIVE_ACCESS", "Bulk"): (0.0, 0.0),
}
_COPY_A_GB_AND_MONTH = 0.023


def archive_of(storage_class: str | None, head: Head | None) -> Archive | None:
    """Where an object lies, None where it can be read without a restore.

    Arguments: `head`, needed for Intelligent-Tiering only.
    """
    if storage_class == "GLACIER":
        return "GLACIER"
    if storage_class == "DEEP_ARCHIVE":
        return "DEEP_ARCHIVE"
    if storage_class == "INTELLIGENT_TIERING" and head is not None:
        return next((tier for tier in _TIERED if tier == head.archive_status), None)
    return None


def tier_for(archive: Archive, wanted: Tier) -> tuple[Tier, str | None]:
    """The tier to ask for, and what to say where it is not the wanted one."""
    if wanted == "Expedited" and archive in _DEEP:
        return "Standard", f"{archive} has no Expedited: Standard was asked for"
    return wanted, None


def days_for(archive: Archive, restore: Restore) -> int | None:
    """For how many days to ask; None where there is no such time."""
    return None if archive in _TIERED else restore.days


def wait_for(archive: Archive, tier: Tier) -> timedelta:
    """After how long to look what became of a restore, where no event tells of it."""
    if tier == "Expedited":
        return timedelta(minutes=4)
    return timedelta(hours=12 if archive in _DEEP and tier == "Bulk" else 4)


@dataclass
class Estimate:
    """What a restore comes to: objects, bytes, and dollars by list price of us-east-1."""

    objects: int = 0
    size: int = 0
    retrieval: float = 0.0
    requests: float = 0.0
    copies: float = 0.0

    @property
    def total(self) -> float:
        """All dollars."""
        return self.retrieval + self.requests + self.copies


def estimate(objects: Iterable[tuple[Archive, int]], restore: Restore) -> Estimate:
    """What it costs to restore objects (archive, size in bytes): retrieving, asking, the copies' storage.

    Reading them, and transfer out of the region, come on top.
    """
    found = Estimate()
    for archive, size in objects:
        tier, _ = tier_for(archive, restore.tier)
        a_gb, a_thousand = _PRICES[archive, tier]
        found.objects += 1
        found.size += size
        found.retrieval += a_gb * size / _GB
        found.requests += a_thousand / 1000
        if days_for(archive, restore) is not None:
            found.copies += _COPY_A_GB_AND_MONTH * size / _GB * restore.days / 30
    return found
