"""How much of what differs a run reads twice: `second_look: {objects: 10000, bytes: 1TiB}`.

Reading does not belong here.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictInt

from fixity.catalog.base import Part
from fixity.catalog.units import ByteSize


class SecondLook(Part):
    """How much of what differs from what is expected a run reads a second time, at most."""

    objects: Annotated[StrictInt, Field(ge=0)] = 10_000
    """How many objects a run reads a second time, at most; 0: none."""
    bytes: ByteSize = 1024**4
    """How many bytes a run reads a second time, at most."""
