"""Which objects are damaged: as the snapshot says, and as a run leaves it, without folding all of the ledger.

What makes a check differ is in `judge`, which of several checks counts in `fold`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fixity.clock import utc_now
from fixity.lake import Lake
from fixity.lake.database import open_database
from fixity.ledger.fold import Settings, folded, keep_since
from fixity.ledger.snapshot import SNAPSHOT, Snapshot, in_force
from fixity.ledger.views import view, view_now
from fixity.tables import CHECKSUMS, DIFFERS, INVENTORY, Provenance

if TYPE_CHECKING:
    import duckdb

_SQL = Path(__file__).with_suffix(".sql")


@dataclass(frozen=True)
class Damage:
    """An object whose bytes are not what they were, with nothing rewritten.

    Its bytes changed between `good_at`, when they were last seen to be right, and `damaged_at` (UTC). What
    was wrong by its record when it was read first was never seen to be right: `good_at` is None.
    """

    key: str
    version_id: str | None
    algorithm: str
    expected: str
    actual: str
    good_at: datetime | None
    damaged_at: datetime


def damage_after(
    lake: Lake,
    snapshot: Snapshot | None,
    settings: Settings,
    run_file: Path,
    inventory: Path,
    workspace: Path,
) -> list[Damage]:
    """All objects that are damaged after a run over a whole bucket, by key.

    Arguments: `snapshot`, from before the run, None where the ledger was empty; `run_file`, the run's file of
    the ledger, and `inventory`, what it read: local files.
    Only what the run found to differ, and what was known to be damaged, is folded. Raises LakeError.
    """
    with open_database(workspace) as database:
        _define_views(database, lake, snapshot, run_file, workspace)
        view(database, "listed_now", [inventory], INVENTORY)
        rows = _fold(database, settings, run_file, "listed_now", "suspects")
    return damages(rows)


def damage_after_some(
    lake: Lake, snapshot: Snapshot | None, settings: Settings, run_file: Path, workspace: Path
) -> list[Damage]:
    """The same after a run over a few objects; what they became is kept beside the snapshot.

    So the next one need not fold the whole bucket. Objects that are newer than the inventory are damaged
    where this run found them so. Raises LakeError.
    """
    run_id = Provenance.read(run_file).run_id
    with open_database(workspace) as database:
        _define_views(database, lake, snapshot, run_file, workspace)
        database.execute("CREATE TEMP TABLE looked_at AS SELECT DISTINCT key FROM checks")
        rows = _fold(database, settings, run_file, "known WHERE listed", "looked_at")
        others = _fold(
            database, settings, run_file, "known WHERE listed", "suspects ANTI JOIN looked_at USING (key)"
        )
    if snapshot is not None and _is_in_force(lake, snapshot):
        changed = workspace / "changed.parquet"
        pq.write_table(rows, changed)
        keep_since(lake, snapshot, changed, run_id, utc_now())
    told = pa.concat_tables([rows, others]).sort_by("key")
    found_now = pc.and_(pc.equal(told.column("run_id"), run_id), pc.equal(told.column("verdict"), DIFFERS))
    return damages(told.filter(pc.or_(told.column("listed"), pc.fill_null(found_now, False))))


def _define_views(
    database: duckdb.DuckDBPyConnection,
    lake: Lake,
    snapshot: Snapshot | None,
    run_file: Path,
    workspace: Path,
) -> None:
    """The views `checks` and `known` (the snapshot as it is now), and the table `suspects` of keys."""
    view(database, "checks", [run_file], CHECKSUMS)
    names = ", ".join(SNAPSHOT.names)
    if snapshot is None:
        view(database, "known", [])
        database.execute("CREATE OR REPLACE TEMP VIEW now AS FROM known")
    else:
        view_now(database, lake, snapshot, "damaged", workspace)
    database.execute(_SQL.read_text(encoding="utf-8"))
    if snapshot is not None:
        view_now(database, lake, snapshot, "objects", workspace)
        database.execute(f"CREATE OR REPLACE TEMP VIEW known AS SELECT {names} FROM now")


def _fold(
    database: duckdb.DuckDBPyConnection, settings: Settings, run_file: Path, listing: str, keys: str
) -> pa.Table:
    """The rows of the snapshot that these keys have after the run."""
    database.execute(f"CREATE OR REPLACE TEMP TABLE keys AS SELECT key FROM {keys}")
    found = database.execute("SELECT count(*) FROM keys").fetchone()
    if not found or not found[0]:
        return SNAPSHOT.empty_table()
    listed = ", ".join(name for name in INVENTORY.names if name in SNAPSHOT.names)
    database.execute(
        f"CREATE OR REPLACE TEMP TABLE listing AS SELECT {listed} FROM (FROM {listing}) "
        "SEMI JOIN keys USING (key)"
    )
    database.execute("CREATE OR REPLACE TEMP TABLE prior AS FROM known SEMI JOIN keys USING (key)")
    database.execute(
        "CREATE OR REPLACE TEMP TABLE news AS "
        "SELECT *, false AS only_verdict FROM checks SEMI JOIN keys USING (key)"
    )
    listed_at = Provenance.read(run_file).listed_at
    batches = list(folded(database, settings, listed_at, utc_now(), "", None))
    return pa.Table.from_batches(batches, SNAPSHOT)


def _is_in_force(lake: Lake, snapshot: Snapshot) -> bool:
    newest = in_force(lake, snapshot.bucket)
    return newest is not None and newest.generation == snapshot.generation


def damages(rows: pa.Table) -> list[Damage]:
    """The damaged ones among rows of a snapshot."""
    return [
        Damage(
            row["key"],
            row["version_id"],
            row["found_algorithm"],
            row["found_against"],
            row["found"],
            row["good_at"],
            row["damaged_at"],
        )
        for row in rows.filter(pc.is_valid(rows.column("damaged_at"))).to_pylist()
    ]


def damaged_now(lake: Lake, snapshot: Snapshot) -> list[Damage]:
    """All listed objects that are damaged, as far as the ledger knows, by key. Raises LakeError."""
    with lake.workspace() as workspace, open_database(workspace) as database:
        view_now(database, lake, snapshot, "damaged", workspace)
        rows = database.execute("FROM now WHERE listed AND damaged_at IS NOT NULL ORDER BY key, version_id")
        return damages(rows.to_arrow_table().select(SNAPSHOT.names).cast(SNAPSHOT))
