"""How much of a bucket is read, after a run of any engine over all objects or over some.

`all_read` and whether the bucket was checked as a whole are decided here, and nowhere else. Of which objects
a file of the ledger has checks is in `fixity.ledger.listing`, what was not read in `fixity.ledger.unread`.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import dagster as dg

from fixity.catalog import Bucket
from fixity.lake import Lake
from fixity.lake.paths import inventory_file
from fixity.ledger import ready
from fixity.ledger.fold import settings_of
from fixity.ledger.inventory import TableMissing, newest_inventory
from fixity.ledger.listing import Listing, inventory_in_force, listing_checked
from fixity.ledger.unread import (
    EMPTIED,
    UNREAD_BEFORE,
    all_unread,
    failed_now,
    nothing_there,
    passed_over,
    unread,
    unread_now,
    was_all_checked,
)
from fixity.status import Listed, is_red, kept_of
from fixity.status.now import COVERAGE
from fixity.tables import Provenance
from fixity_assets.bucket_checks import ALL_READ, ASSET, passed_over_text


class ReadSoFar(NamedTuple):
    """What of a bucket could not be read, and when each listed object had a check.

    not_read: objects that could not be read, by reason. passed_over: what was there and was not read although
    nothing failed, for people; '' for nothing. is_of_all: whether the run checked all objects of a listing.
    whole_at: when each listed object had a check (UTC), None where that is not known; objects: how many were
    listed then, in which `listing`.
    """

    not_read: dict[str, int]
    passed_over: str = ""
    is_of_all: bool = False
    whole_at: datetime | None = None
    objects: int | None = None
    listing: Listed | None = None


def read_so_far(
    context: dg.OpExecutionContext | dg.AssetExecutionContext,
    lake: Lake,
    bucket: Bucket,
    place: str,
    run_file: Path | None,
    began: datetime,
    is_batch: bool = False,
) -> ReadSoFar:
    """How much of a bucket is read after a run.

    Arguments: `place`, where the bucket is; `run_file`, the run's file of the ledger, None if it has none;
    `began`, when the run began to look at the ledger (UTC); `is_batch`, whether it checked what was due.
    Raises TableUnreadable, LakeError.
    """
    listing = listing_checked(lake, run_file) if run_file else None
    if run_file and listing:
        return _after_all(context, lake, bucket, place, run_file, listing, began)
    not_read = unread(run_file) if run_file else {}
    over = passed_over_text(passed_over(run_file)) if run_file and not is_batch else ""
    if bucket.fixity_every is not None:  # `coverage` says what was never checked
        if is_red(lake, ASSET, bucket.name, ALL_READ):
            return ReadSoFar(not_read or _unread_within_term(context, lake, bucket), over)
        return ReadSoFar(not_read, ("" if not_read else _told_before(lake, bucket)) or over)
    return _after_some(context, lake, bucket, place, ReadSoFar(not_read, over), began)


def _after_all(
    context: dg.OpExecutionContext | dg.AssetExecutionContext,
    lake: Lake,
    bucket: Bucket,
    place: str,
    run_file: Path,
    listing: Listing,
    began: datetime,
) -> ReadSoFar:
    of_listing, over = _of_listing(context, inventory_in_force(lake, bucket.name), bucket, place)
    over = over or passed_over_text(passed_over(run_file))
    is_newest = inventory_file(bucket.name, listing.provenance.run_id) == newest_inventory(lake, bucket.name)
    at, objects, of = began, listing.rows, _listed(listing.provenance)
    if not is_newest and bucket.fixity_every is None:  # as after a job of S3 that took days
        snapshot = ready(lake, bucket.name, settings_of(bucket), context.run.run_id, log=context.log.warning)
        is_whole = was_all_checked(lake, snapshot)
        if is_whole:
            objects, of = snapshot.objects, _listed(snapshot.provenance)
        else:
            at = listing.provenance.listed_at
    return ReadSoFar(all_unread(run_file) | of_listing, over, True, at, objects, of)


def _after_some(
    context: dg.OpExecutionContext | dg.AssetExecutionContext,
    lake: Lake,
    bucket: Bucket,
    place: str,
    run: ReadSoFar,
    began: datetime,
) -> ReadSoFar:
    """What earlier runs could not read, or passed over, is as it was: the run has not read these objects."""
    try:
        listing = inventory_in_force(lake, bucket.name)
        snapshot = ready(lake, bucket.name, settings_of(bucket), context.run.run_id, log=context.log.warning)
    except TableMissing:  # it was never listed
        return run
    of_listing, over = _of_listing(context, listing, bucket, place)
    not_read = run.not_read | of_listing
    kept = kept_of(lake, ASSET, bucket.name).checks
    warns = any(each.name == ALL_READ and not each.passed for each in kept)
    if not not_read and (warns or is_red(lake, ASSET, bucket.name, ALL_READ)):
        found = unread_now(lake, snapshot)
        not_read = {UNREAD_BEFORE: found.failed} if found.failed else {}
        over = over or passed_over_text(found.passed_over)
    is_whole = was_all_checked(lake, snapshot)
    at, objects = (began, snapshot.objects) if is_whole else (None, None)
    # A newer listing that is empty is not believed, and told.
    of = _listed(snapshot.provenance) if is_whole and not listing.refused else None
    return ReadSoFar(not_read, over or run.passed_over, False, at, objects, of)


def _listed(table: Provenance) -> Listed:
    """The listing that a table rests on."""
    return Listed(table.inventory_run_id, table.listed_at)


def _of_listing(
    context: dg.OpExecutionContext | dg.AssetExecutionContext, listing: Listing, bucket: Bucket, place: str
) -> tuple[dict[str, int], str]:
    """What is not read because nothing is listed: an error where objects were, else a warning for people."""
    if listing.refused:
        context.log.warning(listing.refused)
        return {EMPTIED: listing.rows}, ""
    return {}, nothing_there(place, bucket.name) if listing.is_doubtful else ""


def _unread_within_term(
    context: dg.OpExecutionContext | dg.AssetExecutionContext, lake: Lake, bucket: Bucket
) -> dict[str, int]:
    """What could not be read of a bucket with a term whose newest run is red, and was not read since.

    Each run that could not read an object is red, and so are those after it until it is read: where the
    newest one is not, there is none. Batches come all the time, so they must not read all rows.
    """
    try:
        snapshot = ready(lake, bucket.name, settings_of(bucket), context.run.run_id, log=context.log.warning)
    except TableMissing:  # it was never listed
        return {}
    failed = failed_now(lake, snapshot)
    return {UNREAD_BEFORE: failed} if failed else {}


def _told_before(lake: Lake, bucket: Bucket) -> str:
    """What a run over all of a bucket with a term passed over, until `coverage` is counted; for people.

    It is asked where nothing is red. The next batches read the others again, and `coverage` says when they
    are overdue.
    """
    kept = kept_of(lake, ASSET, bucket.name)
    warnings = [each.description for each in kept.checks if each.name == ALL_READ and not each.passed]
    if not warnings:
        return ""
    counted = kept_of(lake, COVERAGE, bucket.name).at
    is_told = kept.whole_at is None or (counted is not None and counted > kept.whole_at)
    return "" if is_told else warnings[0]
