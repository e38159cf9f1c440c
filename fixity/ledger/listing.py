"""Which inventory a snapshot uses: the newest, unless it is empty and the one before was not.

In most cases an empty listing means a wrong prefix or a lost permission, not an empty bucket. Until a user
confirms it, the inventory before is used.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq

from fixity.clock import EPOCH
from fixity.errors import WrongUsage
from fixity.lake import Lake
from fixity.lake.footer import read_footer
from fixity.lake.paths import inventory_file, inventory_folder, snapshot_folder
from fixity.ledger.inventory import newest_inventory
from fixity.tables import Provenance, TableUnreadable


@dataclass(frozen=True)
class Listing:
    """An inventory: its name in the lake, its number of rows, its provenance.

    refused: why a newer one is not used; None if this is the newest. is_confirmed: whether a user has
    said that it is rightly empty.
    """

    name: str
    rows: int
    provenance: Provenance
    refused: str | None = None
    is_confirmed: bool = False

    @property
    def is_doubtful(self) -> bool:
        """Whether it has no object, and nobody has said that this is right: a prefix may be mistyped."""
        return not self.rows and not self.is_confirmed


def inventory_in_force(lake: Lake, bucket: str) -> Listing:
    """The inventory to use. Raises TableMissing, TableUnreadable, LakeError."""
    name = newest_inventory(lake, bucket)
    newest = _listing(lake, name)
    if newest.rows:
        return newest
    confirmed = _confirmed(lake, bucket)
    listings = [_listing(lake, name) for name in _names(lake, bucket)]
    filled = [each for each in listings if each.rows]
    last = max(filled, key=lambda each: (each.provenance.listed_at, each.name), default=None)
    since = last.provenance.listed_at if last else EPOCH
    is_confirmed = any(
        each.provenance.run_id == confirmed and each.provenance.listed_at >= since for each in listings
    )
    if last is None or is_confirmed:  # it never had objects, or a user confirmed that it is empty
        return replace(newest, is_confirmed=is_confirmed)
    why = (
        f"the newest inventory of '{bucket}' ({lake.location(name)}) is empty, and the one before had "
        f"{last.rows:,} objects: the empty one is not used. If the bucket really was emptied, confirm "
        f"it: fixity due {bucket} --confirm-empty"
    )
    return Listing(last.name, last.rows, last.provenance, why)


def inventory_before(lake: Lake, bucket: str, listing: Listing) -> Listing | None:
    """The newest inventory before this one, of the same place; None if there is none. Raises LakeError."""
    of = listing.provenance
    found: Listing | None = None
    for name in _names(lake, bucket):
        with suppress(TableUnreadable):
            each = _listing(lake, name)
            since = found.provenance.listed_at if found else EPOCH
            if since < each.provenance.listed_at < of.listed_at and each.provenance.place == of.place:
                found = each
    return found


def listing_checked(lake: Lake, run_file: Path) -> Listing | None:
    """The inventory of which a file of the ledger has a check of each object; None if it has those of some.

    A run over named objects lists only them, and a map or a job over some has fewer rows. So nothing but this
    says that a run was over the whole bucket. Arguments: `run_file`, a local copy. Raises TableUnreadable,
    LakeError.
    """
    of = Provenance.read(run_file)
    if of.partial:
        return None
    with suppress(FileNotFoundError):
        listing = _listing(lake, inventory_file(of.bucket, of.inventory_run_id))
        if int(pq.read_metadata(run_file).num_rows) == listing.rows:
            return listing
    return None


class NothingToConfirm(WrongUsage):
    """A user confirmed an inventory as empty, but it has objects."""


def confirm_empty(lake: Lake, bucket: str) -> None:
    """Confirm that the newest inventory, which is empty, is right.

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
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def _names(lake: Lake, bucket: str) -> list[str]:
    return [file.name for file in lake.list(inventory_folder(bucket)) if file.name.endswith(".parquet")]


def _listing(lake: Lake, name: str) -> Listing:
    return Listing(name, *read_footer(lake, name))
