"""Accepts tables of the lake whose proofs are lost, as they are now.

What a proof is, and how one table is accepted, do not belong here; they are in `proof` and `base`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from fixity.lake import Lake
from fixity.lake.paths import SNAPSHOTS
from fixity.lake.proof import has_proof
from fixity.tables import TableUnreadable


def accept_all(lake: Lake, now: datetime) -> Iterator[tuple[str, str | None]]:
    """Accept all tables whose proofs are lost or damaged, without snapshots and scratch, which are made anew.

    Arguments: `now` in UTC. Yields the name of each, and why it cannot be accepted, None if it was.
    Raises LakeError.
    """
    for file in lake.list(""):
        if not has_proof(file.name) or file.name.startswith((SNAPSHOTS, "scratch/")):
            continue
        with lake.workspace() as workspace:
            try:
                if lake.accept(file.name, workspace, now):
                    yield file.name, None
            except TableUnreadable as error:
                yield file.name, str(error)
