"""What all parts of the catalog have in common: no unknown keys, nothing changed once it is read."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A mapping of the catalog. The text below a field is its meaning, shown where the key is missing."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
