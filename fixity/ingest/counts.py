"""What the ingest checks of a bucket say together: of each object its newest row, counted.

A run over a few objects says nothing of the others. So the verdict on a bucket rests on the newest run over
all of it and what was read since, as far as the objects are those that are listed now.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq

from fixity.ingest.report import IngestCounts
from fixity.lake import Lake
from fixity.lake.database import open_database
from fixity.lake.latest import latest_table
from fixity.lake.paths import ingest_folder, inventory_file, inventory_folder
from fixity.tables import INVENTORY, Provenance, naming_the_unreadable

_SQL = Path(__file__).with_suffix(".sql")
_CLOCKS = timedelta(hours=1)  # how far the lake's clock may be from ours


def counts_of_bucket(lake: Lake, bucket: str, workspace: Path) -> IngestCounts:
    """Count the newest ingest row of each object of a bucket.

    `compared_with` stays empty. Raises LakeError, TableUnreadable.
    """
    tables = _tables_that_count(lake, bucket, workspace)
    newest = latest_table(lake, inventory_folder(bucket))
    if newest is not None:
        listing = lake.fetch(newest, workspace)
        listed_at = Provenance.read(listing).listed_at
    else:
        listing, listed_at = workspace / "nothing-listed.parquet", None
        pq.write_table(INVENTORY.empty_table(), listing)
    given = {"tables": [str(table) for table in tables], "listing": str(listing), "listed_at": listed_at}
    with naming_the_unreadable(listing, *tables), open_database(workspace) as database:
        found = database.execute(_SQL.read_text(encoding="utf-8"), given).to_arrow_table().to_pylist()[0]
    return IngestCounts(**found)


def _tables_that_count(lake: Lake, bucket: str, workspace: Path) -> list[Path]:
    """The newest table that is of a whole inventory, and those of listings made since."""
    inventories = {file.name for file in lake.list(inventory_folder(bucket))}
    found: list[tuple[Path, Provenance]] = []
    whole: Provenance | None = None
    files = [file for file in lake.list(ingest_folder(bucket)) if file.name.endswith(".parquet")]
    for file in sorted(files, key=lambda file: (file.appeared, file.name), reverse=True):
        # The tables say themselves which is newest; but none is older than its file.
        if whole is not None and file.appeared < whole.listed_at - _CLOCKS:
            break
        table = lake.fetch(file.name, workspace)
        said = Provenance.read(table)
        found.append((table, said))
        of_all = inventory_file(bucket, said.inventory_run_id) in inventories
        if of_all and (whole is None or said.listed_at > whole.listed_at):
            whole = said
    return [table for table, said in found if whole is None or said.listed_at >= whole.listed_at]
