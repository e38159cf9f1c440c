"""Folding a few keys of a bucket: only their rows are read, whatever the size of its ledger.

How checks are folded is in `fold`; which keys are folded is decided in `damage` and `expected`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fixity import compute as pc
from fixity.catalog import Bucket
from fixity.clock import EPOCH, utc_now
from fixity.lake import Lake
from fixity.lake.database import open_database, quoted, view
from fixity.ledger.files import ingest_tables, ledger_files, run_of, usable_files
from fixity.ledger.fold import NEWS, Settings, folded, settings_of
from fixity.ledger.fold_plain import NEW_CHECKS, Tables, plain_rows, with_others
from fixity.ledger.snapshot import OBJECTS, SNAPSHOT, Snapshot, in_force
from fixity.ledger.views import view_now_of
from fixity.tables import CHECKSUMS, INGEST, INVENTORY, Provenance

if TYPE_CHECKING:
    import duckdb

_LISTED = [name for name in INVENTORY.names if name in SNAPSHOT.names]
# DuckDB skips row groups by these bounds; those that it finds itself do not get through all views.
_SOME = "WHERE key BETWEEN $least AND $most) SEMI JOIN keys USING (key)"


class Known(NamedTuple):
    """What a ledger has of some keys. rows: of the snapshot, as it would be if it were rebuilt.

    files: the snapshot's files that have just these rows, None where checks were folded in besides.
    """

    rows: pa.Table
    files: list[str] | None = None


class Before(NamedTuple):
    """What checks are folded into: a lake's snapshot, None without one. workspace: for what is fetched."""

    lake: Lake
    snapshot: Snapshot | None
    workspace: Path


def known_of_some(
    lake: Lake,
    bucket: Bucket,
    inventory: Path,
    workspace: Path,
    log: Callable[[str], None] = lambda text: None,
) -> Known:
    """The rows of a bucket's snapshot, as it would be if it were rebuilt now, for the keys of some objects.

    Arguments: `inventory`, a local file of these objects; `log` takes what is left out, and why.
    Of an object that was never checked there may be no row. Nothing is kept. Raises LakeError.
    """
    settings, snapshot = settings_of(bucket), in_force(lake, bucket.name)
    if snapshot is not None and not _may_be_used(lake, snapshot, settings):
        snapshot = None
    in_it = snapshot.ingested if snapshot else {}
    old = [file for file in ingest_tables(lake, bucket.name) if run_of(file.name) not in in_it]
    ingested, left_out = usable_files(lake, bucket.name, old, workspace, thoroughly=True)
    for each in left_out:
        log(f"left out: {lake.location(each.name)} {each.why}")
    files = unfolded(lake, snapshot, bucket.name, workspace, thoroughly=True, log=log)
    keys = f"SELECT key FROM read_parquet({quoted(inventory)})"
    of_snapshot = files_of(lake, snapshot) if snapshot else None
    before = Before(lake, snapshot, workspace)
    with open_database(workspace) as database:
        if not (files or ingested) and snapshot is not None and snapshot.algorithm == settings.algorithm:
            _choose_keys(database, keys)  # there is nothing to fold
            _view_known(database, before)
            rows = database.execute("FROM known ORDER BY key, version_id NULLS FIRST")
            return Known(rows.to_arrow_table().cast(SNAPSHOT), of_snapshot)
        view(database, "checks", files, CHECKSUMS)
        view(database, "ingested", [file.path for file in ingested], INGEST)
        return Known(fold_keys(database, settings, before, inventory, keys))


def files_of(lake: Lake, snapshot: Snapshot) -> list[str]:
    """The files that have the rows of a snapshot as it is now. Raises LakeError."""
    return [*snapshot.names(OBJECTS), *(each.name for each in snapshot.since(lake))]


def _may_be_used(lake: Lake, snapshot: Snapshot, settings: Settings) -> bool:
    """Whether new checks may be folded into a snapshot: it is there, and checks mean what they meant then."""
    there = {file.name for file in lake.list(snapshot.folder)}
    return snapshot.etag_is_md5 == settings.etag_is_md5 and there.issuperset(snapshot.files)


def unfolded(
    lake: Lake,
    snapshot: Snapshot | None,
    bucket: str,
    workspace: Path,
    own: str = "",
    thoroughly: bool = False,
    log: Callable[[str], None] = lambda text: None,
) -> list[Path]:
    """Local files of the ledger that are not in the snapshot, without that of the run `own`.

    Arguments: `thoroughly` as for `usable_files`; `log` takes what is left out, and why. Raises LakeError.
    """
    known = {own}
    if snapshot is not None:
        known |= {*snapshot.folded, *(each.run_id for each in snapshot.since(lake))}
    files = [file for file in ledger_files(lake, bucket) if run_of(file.name) not in known]
    usable, left_out = usable_files(lake, bucket, files, workspace, thoroughly)
    for each in left_out:
        log(f"left out: {lake.location(each.name)} {each.why}")
    return [file.path for file in usable]


def view_news(database: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> None:
    """Make the views `checks`, of local files that are not in the snapshot, and `ingested`, empty."""
    view(database, "checks", files, CHECKSUMS)
    view(database, "ingested", [], INGEST)


def _view_known(database: duckdb.DuckDBPyConnection, before: Before) -> None:
    """Make the view `known`, the snapshot as it is now for the table `keys`."""
    view_now_of(database, before.lake, before.snapshot, "keys", before.workspace)
    database.execute(f"CREATE OR REPLACE TEMP VIEW known AS SELECT {', '.join(SNAPSHOT.names)} FROM now")


def fold_known(
    settings: Settings, known: pa.Table, listed_at: datetime, run_file: Path, workspace: Path
) -> pa.Table:
    """The new rows of the snapshot for the objects of a run, by key.

    Arguments: `known`, all rows of their keys, and perhaps of others, in the snapshot before, sorted;
    `listed_at` (UTC), of its listing; `run_file`, a local file of the run's checks.
    """
    now = utc_now()
    checks = pq.read_table(run_file).cast(CHECKSUMS)
    news = checks.append_column(NEW_CHECKS.field("only_verdict"), pa.repeat(False, checks.num_rows))
    # It may have read fewer than were known: of the others it says nothing.
    are_checked = pc.is_in(known.column("key"), value_set=checks.column("key").combine_chunks())
    known = known.filter(are_checked).combine_chunks()
    listing = known.filter(known.column("listed")).select(_LISTED)
    plain, others = plain_rows(settings, listed_at, now, Tables(listing, known, news))
    if not any(table.num_rows for table in others):
        return plain  # the usual case, without a database
    with open_database(workspace) as database:
        return with_others(plain, others, database, settings, listed_at, now)


def _choose_keys(database: duckdb.DuckDBPyConnection, keys: str) -> dict[str, str | None]:
    """Make the table `keys`; returns the parameters of _SOME, None without any."""
    database.execute(f"CREATE OR REPLACE TEMP TABLE keys AS SELECT DISTINCT key FROM ({keys})")
    found = database.execute("SELECT min(key), max(key) FROM keys").fetchone()
    return dict(zip(("least", "most"), found or (None, None), strict=True))


def fold_keys(
    database: duckdb.DuckDBPyConnection, settings: Settings, before: Before, inventory: Path | None, keys: str
) -> pa.Table:
    """The new rows of the snapshot for some keys, from what was known and the views `checks` and `ingested`.

    Arguments: `inventory`, a local file, None to use the one of the snapshot; `keys`, a query for them.
    Raises LakeError.
    """
    bounds = _choose_keys(database, keys)
    if bounds["least"] is None:
        return SNAPSHOT.empty_table()
    columns = ", ".join(_LISTED)
    _view_known(database, before)
    database.execute("CREATE OR REPLACE TEMP TABLE prior AS FROM known")
    database.execute(f"CREATE OR REPLACE TEMP TABLE news AS FROM (FROM ({NEWS}) {_SOME}", bounds)
    if inventory is None:  # the snapshot is not read a second time
        database.execute(f"CREATE OR REPLACE TEMP TABLE listing AS SELECT {columns} FROM prior WHERE listed")
    else:
        view(database, "listed_now", [inventory], INVENTORY)
        listing = f"SELECT {columns} FROM (FROM listed_now {_SOME}"
        database.execute(f"CREATE OR REPLACE TEMP TABLE listing AS {listing}", bounds)
    if inventory is not None:
        listed_at = Provenance.read(inventory).listed_at
    else:  # without a snapshot, nothing was listed
        listed_at = before.snapshot.provenance.listed_at if before.snapshot else EPOCH
    rows = folded(database, settings, listed_at, utc_now(), "", None)
    return pa.Table.from_batches(list(rows), SNAPSHOT)
