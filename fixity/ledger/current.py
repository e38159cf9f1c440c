"""The newest check of each object of a bucket, from all files of the ledger.

How checks are made, and how two buckets are compared, does not belong here.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.clock import CLOCKS_AGREE, CLOCKS_DIFFER, utc_now
from fixity.lake import Lake, LakeFile
from fixity.lake.database import open_database, view
from fixity.lake.footer import newest_time, oldest_in
from fixity.lake.latest import pointed_table
from fixity.lake.paths import LOOKED_AGAIN, checksums_folder
from fixity.lake.writer import ROW_GROUP_ROWS, TableWriter
from fixity.ledger.files import LedgerFile, LeftOut, ledger_files, run_of, usable_files
from fixity.ledger.inventory import TableMissing, fetch_inventory, newest_inventory
from fixity.ledger.listing import listing_checked
from fixity.ledger.repeats import view_rows
from fixity.ledger.snapshot import OBJECTS, in_force
from fixity.tables import (
    CHECKSUMS,
    Provenance,
    TableUnreadable,
    naming_the_unreadable,
)

_SQL = Path(__file__).with_suffix(".sql")


def current_checksums(
    lake: Lake,
    bucket: str,
    workspace: Path,
    now: Callable[[], datetime] = utc_now,
    on_left_out: Callable[[LeftOut], None] = lambda left_out: None,
    thoroughly: bool = False,
) -> tuple[Path, Provenance]:
    """`checksums[bucket]` as users query it: the newest check of each object in the newest inventory.

    An object that the listing lacks is in it too, if a second look found it since.

    Returns a local path of the table, sorted by key, and its provenance. If the newest run checked
    all of the newest inventory, this is its file; otherwise the table is made in `workspace` from
    the whole ledger, and objects without a check are rows with the status `skipped`.
    `on_left_out` takes the files of the ledger that cannot be read; the table may then rest on older
    checks. `thoroughly`: whether the newest file is read through before it is returned.
    Raises TableMissing, TableUnreadable (an inventory), LakeError.
    """
    ledger = ledger_files(lake, bucket)
    if not ledger:
        raise TableMissing(f"there are no checksums of '{bucket}' yet: materialize checksums[{bucket}] first")
    # Without the pointer nobody knows which was kept last: then all files are used.
    newest = pointed_table(lake, checksums_folder(bucket))
    files = [file for file in ledger if file.name == newest]
    usable, _ = usable_files(lake, bucket, files, workspace, thoroughly=thoroughly)
    usable = [file for file in usable if _has_the_newest(lake, file, ledger)]
    inventory = fetch_inventory(lake, newest_inventory(lake, bucket), workspace)
    listed = Provenance.read(inventory)
    for table in usable:
        provenance = Provenance.read(table.path)
        if provenance.inventory_run_id == listed.run_id and listing_checked(lake, table.path):
            return table.path, provenance
    return _put_together(lake, bucket, inventory, workspace, now(), on_left_out)


def _has_the_newest(lake: Lake, table: LedgerFile, ledger: list[LakeFile]) -> bool:
    """Whether no other file of the ledger has a newer check than one of a table: S3 reads for days.

    Files that appeared clearly before the first check of the table have none; of others the times of their
    checks decide, as where all files are put together. A row without a time is older than any.
    """
    first = oldest_in(pq.read_metadata(table.path))
    if first is None:
        return False
    others = sorted((file for file in ledger if file.name != table.name), key=lambda each: each.appeared)
    near = [file for file in reversed(others) if file.appeared + CLOCKS_AGREE >= first]
    with suppress(TableUnreadable, FileNotFoundError):
        return all(newest_time(lake, file.name) < first for file in near)
    return False


def _put_together(
    lake: Lake,
    bucket: str,
    inventory: Path,
    workspace: Path,
    now: datetime,
    on_left_out: Callable[[LeftOut], None],
) -> tuple[Path, Provenance]:
    files, algorithm = _all_checks(lake, bucket, workspace, on_left_out)
    provenance = replace(Provenance.read(inventory), bucket=bucket)
    looked = _second_looks(lake, provenance, workspace)
    file = workspace / f"{bucket}-current.parquet"
    writer = TableWriter(file, CHECKSUMS, provenance)
    with naming_the_unreadable(inventory, *files), open_database(workspace) as database:
        view_rows(database, "ledger", files)  # among them is the snapshot
        view(database, "looked_again", looked, CHECKSUMS)
        reader = database.execute(
            _SQL.read_text(encoding="utf-8"),
            {
                "inventory": str(inventory),
                "run_id": provenance.run_id,
                "algorithm": algorithm,
                "horizon": now + CLOCKS_DIFFER,
            },
        ).to_arrow_reader(ROW_GROUP_ROWS)
        for batch in reader:
            for piece in pa.Table.from_batches([batch]).cast(CHECKSUMS).to_batches():
                writer.write(piece)
    writer.close()
    return file, provenance


def _second_looks(lake: Lake, listed: Provenance, workspace: Path) -> list[Path]:
    """Files of second looks after a listing. They may have found objects that it lacks."""
    files = [
        file
        for file in ledger_files(lake, listed.bucket)
        if LOOKED_AGAIN in file.name and file.appeared >= listed.listed_at - CLOCKS_DIFFER
    ]
    usable, _ = usable_files(lake, listed.bucket, files, workspace)
    return [each.path for each in usable if Provenance.read(each.path).inventory_run_id == listed.run_id]


def _all_checks(
    lake: Lake, bucket: str, workspace: Path, on_left_out: Callable[[LeftOut], None]
) -> tuple[list[Path], str | None]:
    """Files that hold the newest check of each object: the snapshot, and the files that are not in it.

    Returns also the bucket's algorithm, None without a snapshot.
    """
    files: list[Path] = []
    algorithm: str | None = None
    folded: set[str] = set()
    snapshot = in_force(lake, bucket)
    if snapshot is not None:
        with suppress(FileNotFoundError, pa.ArrowException, TableUnreadable):
            names = [*snapshot.names(OBJECTS), *(each.name for each in snapshot.since(lake))]
            fetched = [lake.fetch(name, workspace) for name in names]
            for file in fetched:
                pq.read_schema(file)
            files, algorithm = fetched, snapshot.algorithm
            folded = set(snapshot.folded)
    rest = [file for file in ledger_files(lake, bucket) if run_of(file.name) not in folded]
    usable, left_out = usable_files(lake, bucket, rest, workspace, thoroughly=True)
    for each in left_out:
        on_left_out(each)
    return [*files, *(file.path for file in usable)], algorithm
