"""Scratch that nobody will take up again: of runs that failed and were left, of processes that were killed.

What a run keeps there, and that it clears up after itself, is said in `shards` and `ledger`.
"""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime, timedelta

from fixity.lake import Lake
from fixity.lake.paths import ROLLING, scratch_folder

SCRATCH_DAYS = 30
"""How long the parts of a run that failed are kept: so long can it be re-executed from failure."""


def sweep(lake: Lake, in_progress: Container[str], now: datetime) -> list[str]:
    """Remove the scratch in which nothing has appeared for `SCRATCH_DAYS`.

    Arguments: `in_progress` are the runs (root run ids) whose scratch stays, however old; `now` in UTC.
    A lake may be shared by instances that do not know of each other's runs: one that wrote nothing for
    so long, and is swept, fails and says so, since a table that lacks parts is never kept.
    What a rolling run left is kept, however old: the bucket's next one takes it over.
    Returns: the folders' names below scratch/. Raises LakeError.
    """
    newest: dict[str, datetime] = {}
    for file in lake.list("scratch/"):
        folder = file.name.split("/")[1]
        newest[folder] = max(file.appeared, newest.get(folder, file.appeared))
    left = [
        folder
        for folder, appeared in newest.items()
        if now - appeared > timedelta(days=SCRATCH_DAYS) and folder not in in_progress and folder != ROLLING
    ]
    for folder in left:
        lake.remove(scratch_folder(folder))
    return left
