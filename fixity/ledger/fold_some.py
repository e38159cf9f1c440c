"""Folding a few keys of a bucket.

How checks are folded is in `fold`; which keys are folded is decided in `damage`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from fixity.clock import utc_now
from fixity.lake import Lake
from fixity.lake.database import view
from fixity.ledger.fold import Settings, folded
from fixity.ledger.snapshot import SNAPSHOT, Snapshot
from fixity.ledger.views import view_now
from fixity.tables import CHECKSUMS, INVENTORY, Provenance

if TYPE_CHECKING:
    import duckdb


def define_known(
    database: duckdb.DuckDBPyConnection,
    lake: Lake,
    snapshot: Snapshot | None,
    files: Sequence[Path],
    workspace: Path,
) -> None:
    """Make the views `known`, the snapshot as it is now, and `checks`, of files that are not in it.

    Raises LakeError.
    """
    view_now(database, lake, snapshot, "objects", workspace)
    database.execute(f"CREATE OR REPLACE TEMP VIEW known AS SELECT {', '.join(SNAPSHOT.names)} FROM now")
    view(database, "checks", files, CHECKSUMS)


def fold_keys(
    database: duckdb.DuckDBPyConnection, settings: Settings, inventory: Path | None, keys: str
) -> pa.Table:
    """The new rows of the snapshot for some keys, from the views `known` and `checks`.

    Arguments: `inventory`, a local file, None to use the one of the snapshot; `keys`, a query for them.
    """
    database.execute(f"CREATE OR REPLACE TEMP TABLE keys AS SELECT DISTINCT key FROM ({keys})")
    found = database.execute("SELECT count(*) FROM keys").fetchone()
    if not found or not found[0]:
        return SNAPSHOT.empty_table()
    columns = ", ".join(name for name in INVENTORY.names if name in SNAPSHOT.names)
    listing = "known WHERE listed"
    if inventory is not None:
        view(database, "listed_now", [inventory], INVENTORY)
        listing = "listed_now"
    for name, query in (
        ("listing", f"SELECT {columns} FROM (FROM {listing}) SEMI JOIN keys USING (key)"),
        ("prior", "FROM known SEMI JOIN keys USING (key)"),
        ("news", "SELECT *, false AS only_verdict FROM checks SEMI JOIN keys USING (key)"),
    ):
        database.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {query}")
    now = utc_now()
    listed_at = Provenance.read(inventory).listed_at if inventory is not None else now
    return pa.Table.from_batches(list(folded(database, settings, listed_at, now, "", None)), SNAPSHOT)
