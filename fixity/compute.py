"""`pyarrow.compute`, imported when the first of its functions is used: 15 ms, which many commands never need.

It has nothing of its own: use it as `pyarrow.compute`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:  # noqa: ANN401 - as Arrow has no types
    """One of its functions, which is an attribute of this module from then on."""
    globals()[name] = found = getattr(import_module("pyarrow.compute"), name)
    return found
