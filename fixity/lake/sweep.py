"""Removes old scratch of runs that failed or were killed and will not be resumed.

What a run keeps in scratch, and its own cleaning up, do not belong here.
"""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime, timedelta

from fixity.lake import Lake
from fixity.lake.paths import ROLLING, scratch_folder

SCRATCH_DAYS = 30
"""How long the scratch of a failed run is kept. Until then the run can be re-executed from failure, and a new
run takes over its checks."""


def sweep(lake: Lake, in_progress: Container[str], now: datetime) -> list[str]:
    """Remove scratch folders without a new file for `SCRATCH_DAYS`.

    Instances that share a lake do not know each other's runs. A run of another instance that wrote nothing
    for so long loses its scratch and then fails, because a table with missing parts is never kept. The
    scratch of rolling runs stays: the bucket's next rolling run takes it over.

    Arguments: `in_progress`, the runs (root run ids) whose scratch stays, however old; `now` in UTC.
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
