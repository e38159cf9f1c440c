"""What a fold of a whole bucket adds to which snapshot, and in which parts, by names in the lake.

A plan can be carried out by another process than the one that made it: see `fold_steps`. How a part is folded
is in `fold_ranges`, what is made of the parts in `fold_all`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.lake import Lake
from fixity.lake.database import open_database, quoted
from fixity.lake.proof import sealed, unsealed
from fixity.ledger.by_key import ByKey, Keys, groups_of, ranges_of
from fixity.ledger.files import (
    LedgerFile,
    changed_since_folded,
    ingest_tables,
    ledger_files,
    run_of,
    usable_files,
)
from fixity.ledger.fold import Settings
from fixity.ledger.fold_ranges import Sources, news_of
from fixity.ledger.inventory import fetch_inventory
from fixity.ledger.listing import Listing, inventory_before
from fixity.ledger.repeats import PACKED, unpacked
from fixity.ledger.snapshot import FORMAT, OBJECTS, Snapshot, in_force
from fixity.tables import INVENTORY, TableUnreadable

if TYPE_CHECKING:
    import duckdb

_RANGES_OF_PART = 100
"""Ranges of a part, or half as many more: up to fifteen million objects, whose files have two gigabytes."""
_LEAST_OF_A_RANGE = 20_000  # objects


@dataclass(frozen=True)
class Folding:
    """The bucket to fold, in which lake and workspace; which run does it, and when (UTC)."""

    lake: Lake
    bucket: str
    settings: Settings
    run_id: str
    now: datetime
    workspace: Path


@dataclass(frozen=True)
class FoldPlan:
    """What is folded, by names in the lake, and what the snapshot will say of itself, but for its figures.

    prior: the tables of the snapshot before; or the inventory before, with `listed_at`, when it was listed.
    files, ingested: of the ledger and of ingest, which are not in it yet. replaces: the generation that was
    in force, if any was.
    """

    snapshot: Snapshot
    inventory: str
    prior: list[str]
    listed_at: str | None
    files: list[str]
    ingested: list[str]
    replaces: str | None

    def to_json(self) -> str:
        """The plan as a text, for `from_json`."""
        return sealed(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> FoldPlan:
        """The plan of a text. Raises ValueError, TypeError, KeyError."""
        values = unsealed(text)
        return cls(**values | {"snapshot": Snapshot.of(values["snapshot"])})

    @property
    def ranges(self) -> list[Keys]:
        """The keys of each part."""
        return [(lower or "", upper) for lower, upper in pairwise(["", *self.snapshot.cuts, None])]

    def still_holds(self, lake: Lake, settings: Settings) -> bool:
        """Whether it may be put in force: neither the snapshot nor what the catalog says is another now.

        A run that is re-executed has a plan of days ago, and a newer snapshot knows more. Raises LakeError.
        """
        planned, now = self.snapshot, in_force(lake, self.snapshot.bucket)
        return (
            planned.format == FORMAT
            and self.replaces == (now.generation if now else None)
            and settings.are_of(planned)
        )


def is_one_part(listing: Listing) -> bool:
    """Whether a bucket of this inventory is one part, if its objects have not ten new checks each."""
    return listing.rows < (_RANGES_OF_PART - 1) * _LEAST_OF_A_RANGE


def planned(
    database: duckdb.DuckDBPyConnection, folding: Folding, before: Snapshot | None, listing: Listing
) -> tuple[FoldPlan, Sources]:
    """The plan to add all files that are not in the snapshot `before`; and what it folds, opened.

    Raises LakeError.
    """
    lake, bucket, settings = folding.lake, folding.bucket, folding.settings
    replaces = before.generation if before else None
    if before is not None and before.etag_is_md5 != settings.etag_is_md5:
        before = None  # what checks meant is different now
    if before is not None and not _is_whole(lake, before, folding.workspace):
        before = None  # lost or damaged: the whole ledger is folded again
    listed_before = None if before else _listed_before(folding, listing)
    in_it = dict(before.folded) if before else {}
    ledger = ledger_files(lake, bucket)
    unfolded = [file for file in ledger if run_of(file.name) not in in_it]
    # A file without a proof is read through once, so that a damaged one is reported and breaks no query.
    files, left_out = usable_files(lake, bucket, unfolded, folding.workspace, thoroughly=True)
    not_proved = {
        *(before.not_proved if before else ()),
        *(run_of(file.name) for file in files if not file.is_proved),
    }
    left_out += changed_since_folded(ledger, in_it)
    ingested = dict(before.ingested) if before else {}
    tables = ingest_tables(lake, bucket)
    unread = [file for file in tables if run_of(file.name) not in ingested]
    records, unusable = usable_files(lake, bucket, unread, folding.workspace, thoroughly=True)
    left_out += [*unusable, *changed_since_folded(tables, ingested)]
    snapshot = Snapshot(
        format=FORMAT,
        bucket=bucket,
        generation=f"{folding.now:%Y%m%dT%H%M%S}-{folding.run_id}",
        inventory_run_id=listing.provenance.run_id,
        listed_at=listing.provenance.listed_at.isoformat(),
        folded_at=folding.now.isoformat(),
        every=settings.every.total_seconds(),
        algorithm=settings.algorithm,
        objects=0,
        never=0,
        rows=0,
        queued=0,
        folded=in_it | {run_of(file.name): file.size for file in files},
        ingested=ingested | {run_of(file.name): file.size for file in records},
        left_out={each.name: (each.size, each.why) for each in left_out},
        read_by_day=dict(before.read_by_day) if before else {},
        place=listing.provenance.place,
        etag_is_md5=settings.etag_is_md5,
        not_proved=sorted(not_proved),
        due_by=settings.due_by,
    )
    plan = FoldPlan(
        snapshot,
        listing.name,
        before.names(OBJECTS) if before else [listed_before.name] if listed_before else [],
        listed_before.provenance.listed_at.isoformat() if listed_before else None,
        [file.name for file in files],
        [file.name for file in records],
        replaces,
    )
    sources = _sources(database, folding, plan, files, records)
    cuts = _cuts([lower for lower, _ in ranges_of(sources)])
    return replace(plan, snapshot=replace(snapshot, cuts=cuts)), sources


def _cuts(ranges: Sequence[str]) -> list[str]:
    """The first key of each part but the first. Arguments: the first key of each range.

    Parts are about equal: each writes a queue of its own, which a small one at the end would do, too.
    """
    parts = max(1, round(len(ranges) / _RANGES_OF_PART))
    return [ranges[len(ranges) * number // parts] for number in range(1, parts)]


def _listed_before(folding: Folding, listing: Listing) -> Listing | None:
    before = inventory_before(folding.lake, folding.bucket, listing)
    with suppress(TableUnreadable):
        if before is not None:
            folding.lake.fetch(before.name, folding.workspace)
            return before
    return None


def _is_whole(lake: Lake, before: Snapshot, workspace: Path) -> bool:
    try:
        for name in before.names(OBJECTS):
            pq.read_schema(lake.fetch(name, workspace))
    except (FileNotFoundError, pa.ArrowException, TableUnreadable):
        return False
    return True


def sources_of(database: duckdb.DuckDBPyConnection, folding: Folding, plan: FoldPlan) -> Sources:
    """What a plan folds, opened once more.

    Raises FileNotFoundError or TableUnreadable where a file is no longer what it was, LakeError.
    """
    files, ingested = usable(folding, plan, plan.files), usable(folding, plan, plan.ingested)
    return _sources(database, folding, plan, files, ingested)


def usable(folding: Folding, plan: FoldPlan, names: Sequence[str]) -> list[LedgerFile]:
    """Those files of a plan that have these names. Raises as `sources_of`."""
    lake, bucket = folding.lake, folding.bucket
    sizes = {**plan.snapshot.folded, **plan.snapshot.ingested}
    there = {file.name: file for file in (*ledger_files(lake, bucket), *ingest_tables(lake, bucket))}
    chosen = [there[name] for name in names if name in there and there[name].size == sizes[run_of(name)]]
    files, _ = usable_files(lake, bucket, chosen, folding.workspace)
    if len(files) < len(names):
        raise FileNotFoundError(f"the ledger of '{bucket}' has changed since it was planned to fold it")
    return files


def _sources(
    database: duckdb.DuckDBPyConnection,
    folding: Folding,
    plan: FoldPlan,
    files: Sequence[LedgerFile],
    ingested: Sequence[LedgerFile],
) -> Sources:
    lake, workspace = folding.lake, folding.workspace
    if plan.listed_at is None:
        prior = [lake.fetch(name, workspace) for name in plan.prior]
    else:
        prior = [_as_rows(fetch_inventory(lake, plan.prior[0], workspace), plan.listed_at, workspace)]
    known = (
        ByKey(groups_of(fetch_inventory(lake, plan.inventory, workspace)), INVENTORY),
        ByKey(groups_of(*prior), PACKED, unpacked),
    )
    return Sources(*known, news_of(database, files, ingested, known, workspace))


def _as_rows(inventory: Path, listed_at: str, workspace: Path) -> Path:
    """The inventory before, as rows of a snapshot: what is gone since is known also without one."""
    at, file = f"TIMESTAMPTZ {quoted(listed_at)}", workspace / "listed-before.parquet"
    with open_database(workspace) as database:
        rows = database.from_parquet(str(inventory))
        rows.project(f"*, true AS listed, {at} AS listed_since, {at} AS last_listed_at").write_parquet(
            str(file)
        )
    return file
