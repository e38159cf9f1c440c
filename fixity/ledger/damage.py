"""Which objects are damaged: by the snapshot, or after a run without folding the whole ledger.

What makes a check differ is in `judge`, which of several checks counts in `fold`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from fixity import compute as pc
from fixity.catalog import Bucket
from fixity.clock import EPOCH, utc_now
from fixity.lake import Lake
from fixity.lake.database import open_database, opened_when_needed
from fixity.ledger.fold import Settings, keep_since, settings_of
from fixity.ledger.fold_some import Before, Known, files_of, fold_keys, fold_known, unfolded, view_news
from fixity.ledger.inventory import fetch_inventory, newest_inventory
from fixity.ledger.snapshot import SNAPSHOT, Snapshot, in_force
from fixity.ledger.views import fetch_since, reading_of, view_now, view_now_if_any
from fixity.tables import (
    DIFFERS,
    MATCHED,
    NOT_COMPARED,
    NOT_TWICE,
    REGISTERED,
    Provenance,
    TableUnreadable,
    naming_the_unreadable,
)

if TYPE_CHECKING:
    import duckdb

_SQL = Path(__file__).with_suffix(".sql")


DAMAGE_COLUMNS = ("bucket", "key", "version_id", "algorithm", "expected", "actual", "good_at", "damaged_at")
"""What is shown of damaged objects."""
_SHOWN = 100
_OF_DAMAGE = (
    *("key", "version_id", "verdict", "error_message", "reads", "good_at", "damaged_at", "found_at"),
    *("found", "found_algorithm", "found_against"),
)


@dataclass(frozen=True)
class Damage:
    """An object whose bytes have changed although nobody replaced it.

    The bytes changed between `good_at`, the last check that found them right, and `damaged_at` (UTC).
    `good_at` is None if no check ever found them right, for example if the first one differs from a record.
    `found_at`: when they were last seen to be wrong (UTC). `reads`: how often the newest check read them, if
    it found them wrong.
    `suspect`: the newest check says that the object was not read a second time.
    """

    key: str
    version_id: str | None
    algorithm: str
    expected: str
    actual: str
    good_at: datetime | None
    damaged_at: datetime
    found_at: datetime
    reads: int = 0
    suspect: bool = False


def damage_after(
    lake: Lake, settings: Settings, run_file: Path, inventory: Path, workspace: Path
) -> list[Damage]:
    """All objects that are damaged after a run over a whole bucket, by key.

    Arguments: `run_file`, the run's file of the ledger, and `inventory`, what it read: local files.
    Only what the run found to differ, and what was known to be damaged, is folded. Raises LakeError.
    """
    run = Provenance.read(run_file)
    snapshot = in_force(lake, run.bucket)
    files = [*unfolded(lake, snapshot, run.bucket, workspace, own=run.run_id), run_file]
    return _folded(lake, settings, snapshot, files, inventory, workspace)


def known_damage(lake: Lake, bucket: str, settings: Settings, workspace: Path) -> list[Damage]:
    """All objects of a bucket that are damaged, by every check that was kept and can be read.

    Raises TableMissing without an inventory, LakeError.
    """
    snapshot = in_force(lake, bucket)
    inventory = fetch_inventory(lake, newest_inventory(lake, bucket), workspace)
    try:
        files = unfolded(lake, snapshot, bucket, workspace)
        return _folded(lake, settings, snapshot, files, inventory, workspace)
    except TableUnreadable:  # damaged inside, though its footer is whole
        files = unfolded(lake, snapshot, bucket, workspace, thoroughly=True)
        return _folded(lake, settings, snapshot, files, inventory, workspace)


def _folded(
    lake: Lake,
    settings: Settings,
    snapshot: Snapshot | None,
    files: Sequence[Path],
    inventory: Path,
    workspace: Path,
) -> list[Damage]:
    with naming_the_unreadable(inventory, *files):
        if not (_knows_damage(lake, snapshot, workspace) or any(map(_may_differ, files))):
            return []  # the usual case, without the tenth of a second that a database takes
        with open_database(workspace) as database:
            _define_suspects(database, lake, snapshot, files, workspace)
            rows = fold_keys(
                database, settings, Before(lake, snapshot, workspace), inventory, "FROM suspects"
            )
        return damages(_there(rows, Provenance.read(inventory).listed_at))


def damage_after_some(
    lake: Lake, snapshot: Snapshot | None, settings: Settings, run_file: Path, workspace: Path
) -> list[Damage]:
    """The same after a run over a few objects. Their new rows are kept with the snapshot.

    So the next run does not have to fold the whole bucket. Raises LakeError.
    """
    with open_database(workspace) as database:
        _define_suspects(database, lake, snapshot, [run_file], workspace)
        before = Before(lake, snapshot, workspace)
        rows = fold_keys(database, settings, before, None, "FROM checks")
        others = fold_keys(database, settings, before, None, "FROM suspects ANTI JOIN checks USING (key)")
    if snapshot is not None:
        _keep_with(lake, snapshot, rows, run_file, workspace)
    listed_at = snapshot.provenance.listed_at if snapshot else EPOCH
    return damages(_there(pa.concat_tables([rows, others]).sort_by("key"), listed_at))


def keep_with_snapshot(
    lake: Lake, bucket: Bucket, run_file: Path, workspace: Path, known: Known | None = None
) -> None:
    """Keep the new rows of a run over a few objects with the bucket's snapshot, if it has one.

    So the next run does not have to fold the whole bucket.
    Arguments: `known`, what the ledger had of all these objects before the run. It is used only if no other
    run has changed the snapshot since. Raises LakeError.
    """
    snapshot = in_force(lake, bucket.name)
    if snapshot is None:
        return
    if known is not None and known.files == files_of(lake, snapshot):
        listed_at = snapshot.provenance.listed_at
        rows = fold_known(settings_of(bucket), known.rows, listed_at, run_file, workspace)
    else:
        with open_database(workspace) as database:
            view_news(database, [run_file])
            before = Before(lake, snapshot, workspace)
            rows = fold_keys(database, settings_of(bucket), before, None, "FROM checks")
    _keep_with(lake, snapshot, rows, run_file, workspace)


def _keep_with(lake: Lake, snapshot: Snapshot, rows: pa.Table, run_file: Path, workspace: Path) -> None:
    if _is_in_force(lake, snapshot):
        changed = workspace / "changed.parquet"
        pq.write_table(rows, changed)
        keep_since(lake, snapshot, changed, Provenance.read(run_file).run_id, utc_now())


def _knows_damage(lake: Lake, snapshot: Snapshot | None, workspace: Path) -> bool:
    """Whether a snapshot may have damaged objects."""
    if snapshot is None:
        return False
    with reading_of(lake, snapshot):
        since = fetch_since(lake, snapshot, workspace)
        damaged = [pq.read_metadata(lake.fetch(name, workspace)) for name in snapshot.names("damaged")]
        return any(each.num_rows for each in damaged) or any(
            pq.read_table(file, columns=["damaged_at"])["damaged_at"].null_count
            < pq.read_metadata(file).num_rows
            for file in since
        )


def _may_differ(file: Path) -> bool:
    """Whether a file has a check that may differ; checks of earlier versions have no verdict."""
    with pq.ParquetFile(file) as table:
        if "verdict" not in table.schema_arrow.names:
            return True
        harmless = pa.array([MATCHED, REGISTERED, NOT_COMPARED])
        return not all(
            pc.all(pc.is_in(batch["verdict"], harmless)).as_py()
            for batch in table.iter_batches(columns=["verdict"])
        )


def _define_suspects(
    database: duckdb.DuckDBPyConnection,
    lake: Lake,
    snapshot: Snapshot | None,
    files: Sequence[Path],
    workspace: Path,
) -> None:
    """The views that `fold_keys` goes by, and the table `suspects` of keys."""
    view_news(database, files)
    view_now(database, lake, snapshot, "damaged", workspace)
    database.execute(_SQL.read_text(encoding="utf-8"))


def _is_in_force(lake: Lake, snapshot: Snapshot) -> bool:
    newest = in_force(lake, snapshot.bucket)
    return newest is not None and newest.generation == snapshot.generation


def _there(rows: pa.Table, listed_at: datetime) -> pa.Table:
    """The rows of objects that exist: listed, or checked after the listing, so that they may be newer."""
    checked_since = pc.greater_equal(
        rows.column("checked_at"), pa.scalar(listed_at, SNAPSHOT.field("checked_at").type)
    )
    return rows.filter(pc.or_(rows.column("listed"), pc.fill_null(checked_since, False)))


def damages(rows: pa.Table) -> list[Damage]:
    """The damaged ones among rows of a snapshot."""
    damaged = rows.select(_OF_DAMAGE).filter(pc.is_valid(rows.column("damaged_at")))
    return [
        Damage(
            row["key"],
            row["version_id"],
            row["found_algorithm"],
            row["found_against"],
            row["found"],
            row["good_at"],
            row["damaged_at"],
            row["found_at"],
            row["reads"] or 0 if row["verdict"] == DIFFERS else 0,
            (row["error_message"] or "").startswith(NOT_TWICE),
        )
        for row in damaged.to_pylist()
    ]


def damaged_now(lake: Lake, snapshot: Snapshot) -> list[Damage]:
    """All existing objects that are damaged by the snapshot, sorted by key. Raises LakeError."""
    with lake.workspace() as workspace, opened_when_needed(partial(open_database, workspace)) as opened:
        return damaged_by(opened, lake, snapshot, workspace)


def damaged_by(
    opened: Callable[[], duckdb.DuckDBPyConnection], lake: Lake, snapshot: Snapshot, workspace: Path
) -> list[Damage]:
    """What `damaged_now` gives, by a database that may be open. It may make the view `now` anew."""
    database = view_now_if_any(opened, lake, snapshot, "damaged", workspace)
    if database is None:
        return []
    rows = database.execute("FROM now WHERE damaged_at IS NOT NULL ORDER BY key, version_id")
    table = rows.to_arrow_table().select(SNAPSHOT.names).cast(SNAPSHOT)
    return damages(_there(table, snapshot.provenance.listed_at))


def damage_rows(bucket: str, damaged: Sequence[Damage]) -> list[dict[str, object]]:
    """What is shown of the first damaged objects of a bucket."""
    return [
        {"bucket": bucket, **{name: getattr(each, name) for name in DAMAGE_COLUMNS[1:]}}
        for each in damaged[:_SHOWN]
    ]
