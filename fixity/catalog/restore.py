"""How a bucket's archived objects are restored: `restore: {tier: Bulk, days: 7, at_once: 10TiB}`.

Requesting restores does not belong here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictInt

from fixity.catalog.base import Part
from fixity.catalog.units import ByteSize

Tier = Literal["Expedited", "Standard", "Bulk"]
"""How fast an archived object is restored, in S3's spelling."""


class Restore(Part):
    """How archived objects are restored."""

    tier: Tier = "Bulk"
    """Expedited, Standard or Bulk. A storage class without Expedited uses Standard."""
    days: Annotated[StrictInt, Field(ge=1, le=365)] = 7
    """How long the restored copies are kept, in days (not used by Intelligent-Tiering)."""
    at_once: Annotated[ByteSize, Field(gt=0)] = 10 * 1024**4
    """How many bytes may be restored, and not read yet, at a time."""
