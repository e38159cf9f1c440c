"""The page of a bucket: what is wrong with it, how long ago its objects were read, and which are damaged."""

from __future__ import annotations

from dataclasses import asdict

from fixity.catalog import Bucket
from fixity.errors import FixityError
from fixity.humanize import seconds_text
from fixity.lake import LakeError
from fixity.lake.paths import status_file
from fixity.ledger import ready
from fixity.ledger.damage import Damage, damaged_now
from fixity.ledger.fold import settings_of
from fixity.ledger.inventory import TableMissing
from fixity.ledger.snapshot import OBJECTS, Snapshot
from fixity.pages.ages import LastRead, cells
from fixity.pages.charts import trend
from fixity.pages.making import Making, Page, by_day, findings, link, state_of
from fixity.pages.render import render, rows
from fixity.pages.sources import Sources
from fixity.status import OF_BUCKETS, PROBLEM, UNKNOWN, VERIFIED, WARNING, StatusRow, history_of

_SAID = {
    PROBLEM: "Something is wrong with this bucket",
    UNKNOWN: "It is not known whether this bucket is right",
    WARNING: "Nothing wrong was found, but there are warnings",
    VERIFIED: "Every object was read, and is right",
}


def bucket_page(making: Making, bucket: Bucket, row: StatusRow) -> Page:
    """Make the page of a bucket. Raises LakeError."""
    sources = making.sources(*(status_file(asset, bucket.name) for asset in OF_BUCKETS))
    lost: list[str] = []
    read: LastRead | None = None
    damage: list[Damage] = []
    no_heat = "it was never listed"
    try:
        read, damage = _known(making, bucket, sources, lost)
    except TableMissing:
        if row.checked_at is not None:
            lost.append("its inventories are lost")
    except FixityError as error:
        no_heat = str(error)
        lost.append(no_heat)
    red = {
        day.at.date().isoformat(): len(day.red) for day in history_of(making.lake, "checksums", bucket.name)
    }
    state = state_of(row, lost)
    shown, count = rows("damaged", map(asdict, damage))
    html = render(
        "bucket.html",
        making.now,
        name=bucket.name,
        state=state,
        said="This bucket is empty" if state == VERIFIED and read and not read.objects else _SAID[state],
        more=[bucket.description] if bucket.description else [],
        found=findings(making, row, lost),
        place=making.catalog.place_of(bucket),
        facts=_facts(bucket, row, read),
        pairs=[link("pair", pair.name) for pair in making.catalog.pairs_of(bucket.name)],
        heat=cells(read.by_age(making.now)) if read and read.objects else None,
        no_heat="it is empty" if read else no_heat,
        damaged=len(damage),
        rows=shown,
        shown=count,
        chart=trend(by_day(red), making.now.date(), "How many checks were red, day by day"),
        sources=sources,
    )
    return Page(html, tuple(lost), red, read)


def _known(
    making: Making, bucket: Bucket, sources: Sources, lost: list[str]
) -> tuple[LastRead, list[Damage]]:
    """What the snapshot says. Raises TableMissing, LakeError."""

    def counted() -> tuple[Snapshot, LastRead]:
        snapshot = ready(making.lake, bucket.name, settings_of(bucket), making.run_id, log=lost.append)
        return snapshot, LastRead.of(making.lake, snapshot, making.now, making.database, making.workspace)

    try:
        snapshot, read = counted()
    except LakeError:  # it was damaged, and is removed: it is folded again from the ledger
        lost.clear()
        snapshot, read = counted()
    sources.name(*snapshot.names(OBJECTS), *(each.name for each in snapshot.since(making.lake)))
    return read, damaged_now(making.lake, snapshot)


def _facts(bucket: Bucket, row: StatusRow, read: LastRead | None) -> list[tuple[str, object]]:
    """What is known in short, with its names."""
    return [
        ("Objects", read.objects if read else "unknown"),
        ("Last result", row.checked_at or "never"),
        ("Oldest check", row.oldest_evidence or "unknown"),
        ("Algorithm", bucket.algorithm),
        *(
            [("Checked every", seconds_text(bucket.fixity_every.total_seconds()))]
            if bucket.fixity_every
            else []
        ),
        *([("Within that term", f"{row.coverage:.1%}")] if row.coverage is not None else []),
        *([("Waiting", ", ".join(row.waiting))] if row.waiting else []),
        *([("Whom to ask", ", ".join(bucket.owners))] if bucket.owners else []),
    ]
