"""The base of all parts of the catalog: unknown keys are refused, and values never change after loading.

Keys of one part do not belong here.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A mapping of the catalog. The docstring of a field explains it; errors about a missing key show it."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
