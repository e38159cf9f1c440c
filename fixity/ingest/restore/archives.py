"""S3's archives: which storage classes need a restore, how long it takes, and what it costs.

Requesting restores does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from fixity.buckets.s3.attributes import Head
from fixity.catalog import Restore, Tier
from fixity.tables import ARCHIVES

Archive = Literal["GLACIER", "DEEP_ARCHIVE", "ARCHIVE_ACCESS", "DEEP_ARCHIVE_ACCESS"]
"""The archive of an object: a storage class, or one of the archive tiers of Intelligent-Tiering."""

MAYBE_ARCHIVED = (*ARCHIVES, "INTELLIGENT_TIERING")
"""Storage classes whose objects are archived, or may be. Objects in GLACIER_IR can be read at once."""

_DEEP = ("DEEP_ARCHIVE", "DEEP_ARCHIVE_ACCESS")
_TIERED: tuple[Archive, ...] = ("ARCHIVE_ACCESS", "DEEP_ARCHIVE_ACCESS")
_GB = 1024**3
# List prices of us-east-1 in dollars: for each GB retrieved, and for a thousand requests.
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
    """The archive of an object; None if it can be read without a restore.

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
    """The tier to request, and a note for people if it is not the wanted one."""
    if wanted == "Expedited" and archive in _DEEP:
        return "Standard", f"{archive} has no Expedited: Standard was requested"
    return wanted, None


def days_for(archive: Archive, restore: Restore) -> int | None:
    """The days to request; None for an archive without such a time."""
    return None if archive in _TIERED else restore.days


def wait_for(archive: Archive, tier: Tier) -> timedelta:
    """How long to wait before looking at a restore, if no event came."""
    if tier == "Expedited":
        return timedelta(minutes=4)
    return timedelta(hours=12 if archive in _DEEP and tier == "Bulk" else 4)


@dataclass
class Estimate:
    """The cost of a restore: objects, bytes, and dollars at the list prices of us-east-1."""

    objects: int = 0
    size: int = 0
    retrieval: float = 0.0
    requests: float = 0.0
    copies: float = 0.0

    @property
    def total(self) -> float:
        """The sum of all costs, in dollars."""
        return self.retrieval + self.requests + self.copies


def estimate(objects: Iterable[tuple[Archive, int]], restore: Restore) -> Estimate:
    """Estimate the cost of restoring objects: retrieval, requests, and storage of the restored copies.

    Arguments: `objects`, the archive and the size in bytes of each. Reading the objects, and transfer out of
    the region, cost extra.
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
