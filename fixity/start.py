"""How a program starts quickly that uses the engine: a fifth of its time is saved.

Which modules a program imports does not belong here.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

# New objects: more than are made while all is imported, and Python looks in vain for garbage among them.
_FEW_COLLECTIONS = 1_000_000


@contextmanager
def started_quickly() -> Iterator[None]:
    """What is imported in the `with` block stays: Python does not look through it for garbage, neither now
    nor later, not even when the process ends. Nor does pydantic look for plugins in all packages.
    """
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    usual = gc.get_threshold()
    gc.set_threshold(_FEW_COLLECTIONS)
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(*usual)
