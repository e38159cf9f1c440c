"""Which inventory a snapshot rests on: the newest, unless it says that everything vanished.

A listing that finds nothing in a bucket that had objects is far more often a wrong prefix or a lost
permission than an emptied bucket. Until somebody confirms it, the one before stays in force.
"""

from __future__ import annotations

from dataclasses import dataclass

from fixity.errors import WrongUsage
from fixity.lake import Lake
from fixity.lake.footer import read_footer
from fixity.lake.paths import inventory_folder, snapshot_folder
from fixity.ledger.inventory import newest_inventory
from fixity.tables import Provenance


@dataclass(frozen=True)
class Listing:
    """An inventory: its name in the lake, its rows, what it says of itself.

    refused: why a newer one is not taken in its place, None where it is the newest.
    """

    name: str
    rows: int
    provenance: Provenance
    refused: str | None = None


def inventory_in_force(lake: Lake, bucket: str) -> Listing:
    """The inventory to go by. Raises TableMissing, TableUnreadable, LakeError."""
    name = newest_inventory(lake, bucket)
    newest = _listing(lake, name)
    if newest.rows:
        return newest
    confirmed = _confirmed(lake, bucket)
    listings = [
        _listing(lake, file.name)
        for file in lake.list(inventory_folder(bucket))
        if file.name.endswith(".parquet")
    ]
    filled = [each for each in listings if each.rows]
    last = max(filled, key=lambda each: (each.provenance.listed_at, each.name), default=None)
    if last is None or any(
        each.provenance.run_id == confirmed and each.provenance.listed_at >= last.provenance.listed_at
        for each in listings
    ):
        return newest  # it never had any, or is as empty as somebody confirmed since it had
    why = (
        f"the newest inventory of '{bucket}' ({lake.location(name)}) is empty, and the one before had "
        f"{last.rows:,} objects: it is not taken to mean that all of them are gone. If the bucket "
        f"was emptied, say so: fixity due {bucket} --confirm-empty"
    )
    return Listing(last.name, last.rows, last.provenance, why)


class NothingToConfirm(WrongUsage):
    """An inventory was to be confirmed as empty, and has objects."""


def confirm_empty(lake: Lake, bucket: str) -> None:
    """Say that the newest inventory, which is empty, is right.

    Raises TableMissing, LakeError; NothingToConfirm when it is not empty.
    """
    newest = _listing(lake, newest_inventory(lake, bucket))
    if newest.rows:
        raise NothingToConfirm(
            f"the newest inventory of '{bucket}' has {newest.rows:,} objects: nothing to confirm"
        )
    lake.put_text(_confirmation(bucket), newest.provenance.run_id, replace=True)


def _confirmation(bucket: str) -> str:
    return f"{snapshot_folder(bucket)}CONFIRMED-EMPTY"


def _confirmed(lake: Lake, bucket: str) -> str | None:
    try:
        return lake.read_text(_confirmation(bucket)).strip()
    except FileNotFoundError:
        return None


def _listing(lake: Lake, name: str) -> Listing:
    return Listing(name, *read_footer(lake, name))
