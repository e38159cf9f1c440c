"""The ledger: inventories, checks, and the snapshot that folds all checks into one row for each object.

The ledger grows by one file for each run, and no file is changed. The snapshot (below `standing/`) saves
reading all of them. It is derived from the ledger and rebuilt if it is lost. How objects are chosen and read
does not belong here.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fixity.ledger.files import LeftOut, usable_files
    from fixity.ledger.fold import Settings, fold_checks, keep_since
    from fixity.ledger.listing import confirm_empty
    from fixity.ledger.refresh import known_so_far, ready
    from fixity.ledger.snapshot import SNAPSHOT, Snapshot

__all__ = [
    "SNAPSHOT",
    "LeftOut",
    "Settings",
    "Snapshot",
    "confirm_empty",
    "fold_checks",
    "keep_since",
    "known_so_far",
    "ready",
    "usable_files",
]

_MODULES = {
    "files": ["LeftOut", "usable_files"],
    "fold": ["Settings", "fold_checks", "keep_since"],
    "listing": ["confirm_empty"],
    "refresh": ["known_so_far", "ready"],
    "snapshot": ["SNAPSHOT", "Snapshot"],
}


def __getattr__(name: str) -> object:
    """One of the names above. Whoever lists and reads objects needs none of them, nor their modules."""
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(name)
