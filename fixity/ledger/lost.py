"""Which objects of a bucket vanished: listed or checked before, and gone now.

Which objects are damaged is in `damage`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from fixity.catalog import Bucket
from fixity.clock import CLOCKS_DIFFER
from fixity.lake import Lake
from fixity.lake.database import open_database, opened_when_needed, quoted
from fixity.ledger.selection import is_excluded
from fixity.ledger.snapshot import SNAPSHOT, Snapshot
from fixity.ledger.views import view_now_if_any

if TYPE_CHECKING:
    import duckdb

_SQL = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")

LOST = SNAPSHOT.append(pa.field("last_seen", SNAPSHOT.field("last_listed_at").type))
"""The columns of lost objects. last_seen: the last listing with it, or the last check that read it (UTC)."""
_SHOWN = 100


def lost_among(rows: str, listed_at: datetime, now: datetime) -> str:
    """A query for the lost ones of a view with rows of a snapshot.

    Arguments: `listed_at`, of the snapshot's inventory; `now`, when it was folded (UTC).
    """
    horizon = now + CLOCKS_DIFFER
    return _SQL.format(rows=rows, listed_at=_timestamp(listed_at), horizon=_timestamp(horizon))


def lost_now(lake: Lake, bucket: Bucket, snapshot: Snapshot) -> pa.Table:
    """The objects of a bucket that are lost by its snapshot, by key, as LOST.

    Keys that the catalog excludes are not lost. Raises LakeError.
    """
    with lake.workspace() as workspace, opened_when_needed(partial(open_database, workspace)) as opened:
        return lost_by(opened, lake, bucket, snapshot, workspace)


def lost_by(
    opened: Callable[[], duckdb.DuckDBPyConnection],
    lake: Lake,
    bucket: Bucket,
    snapshot: Snapshot,
    workspace: Path,
) -> pa.Table:
    """What `lost_now` gives, by a database that may be open. It may make the view `now` anew."""
    database = view_now_if_any(opened, lake, snapshot, "lost", workspace)
    if database is None:
        return LOST.empty_table()
    listed_at, folded_at = (datetime.fromisoformat(at) for at in (snapshot.listed_at, snapshot.folded_at))
    rows = database.execute(
        f"SELECT *, greatest(last_listed_at, verified_at) AS last_seen "
        f"FROM ({lost_among('now', listed_at, folded_at)}) ORDER BY key, version_id NULLS FIRST"
    )
    lost = rows.to_arrow_table().select(LOST.names).cast(LOST)
    keys = lost.column("key").to_pylist()
    return lost.filter(pa.array([not is_excluded(bucket, key) for key in keys], pa.bool_()))


def lost_rows(lost: pa.Table) -> list[dict[str, Any]]:
    """What is shown of the first lost objects."""
    rows: list[dict[str, Any]] = lost.slice(0, _SHOWN).to_pylist()
    return rows


def known_damaged(lost: pa.Table) -> int:
    """How many lost objects were known to be damaged before they were lost."""
    return int(lost.num_rows - lost.column("damaged_at").null_count)


def _timestamp(moment: datetime) -> str:
    return f"TIMESTAMPTZ {quoted(moment.isoformat())}"
