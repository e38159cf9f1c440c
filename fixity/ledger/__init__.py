"""The snapshot of a bucket: what its ledger says of each object, folded into one row.

The ledger grows by a file a run and is never changed. So that nobody has to read all of it, its files
are folded into a table of their own, kept below `standing/`: derived from the ledger, and made anew
where it is lost. Choosing what to check, and checking it, does not belong here.
"""

from __future__ import annotations

from fixity.ledger.files import LedgerFile, LeftOut, usable_files
from fixity.ledger.fold import Settings, fold_checks, keep_since
from fixity.ledger.listing import confirm_empty
from fixity.ledger.refresh import known_so_far, ready
from fixity.ledger.snapshot import SNAPSHOT, Snapshot

__all__ = [
    "SNAPSHOT",
    "LedgerFile",
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
