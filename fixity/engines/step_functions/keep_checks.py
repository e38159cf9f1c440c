"""Keeping the checks of a map run in the ledger of a bucket, held against a listing that is younger.

What outputs mean is said in `checks`, which results count in `keep_checks.sql`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.buckets import BucketReader
from fixity.catalog import Bucket
from fixity.engines.step_functions.checks import Told
from fixity.lake import Lake
from fixity.lake.database import open_database, view
from fixity.lake.paths import scratch_folder
from fixity.ledger.expected import expected_by_ledger
from fixity.ledger.inventory import Inventory, TableMissing, list_selection, newest_inventory, take_inventory
from fixity.ledger.judge import EXPECTATIONS, judged
from fixity.ledger.write import Checksums, ChecksWriter, kept_before
from fixity.tables import INVENTORY, Provenance

if TYPE_CHECKING:
    import duckdb

_SQL = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
_CUTS, _JUDGE, _COUNT, _ROWS, _LEFT_OUT = _SQL.split(";\n")[:5]

# Little memory for DuckDB, beside what reading the results leaves behind: it spills, and with so little
# one thread is as fast as two. What grows with the rows all the same is bounded by ranges of keys.
_MEMORY, _THREADS = "128MB", 1
_RANGE_ROWS = 400_000
_ROWS_AT_ONCE = 20_000

_MOST_DESCRIBED = 5_000
"""Objects that are looked for one by one, where a listing of the bucket takes more requests than that."""
_PAGE = 1_000  # objects in an answer to a listing

_CLOCKS_DIFFER = timedelta(minutes=5)
"""By how much an inventory must be younger than a manifest: the store's clock need not be ours."""


@dataclass(frozen=True)
class KeptChecks:
    """The checks of a bucket that were kept; `left_out` counts results that are no checks by the reason.

    table: None where no result counted. taken: the inventory that was taken for it, None where the newest
    was young enough.
    """

    bucket: str
    table: Checksums | None
    left_out: Counter[str]
    taken: Inventory | None


def keep_told(
    lake: Lake,
    bucket: Bucket,
    store: BucketReader,
    told: Told,
    run_id: str,
    manifest: str,
    told_at: datetime,
    place: str | None = None,
    listed: Callable[[Inventory], object] = lambda inventory: None,
) -> KeptChecks:
    """Judge what a map run told of a bucket, and keep it as `checksums/<bucket>/<run_id>.parquet`.

    Arguments: `manifest`, where the map run's stands; `told_at`, when it was written (UTC): the bucket
    is listed anew, but for what the catalog excludes, where its newest inventory is not younger or is one
    of another place than `place` (`Catalog.place_of`). Where that would take more requests than looking for
    the told objects one by one, these alone are described, and the bucket's newest inventory stays as it is.
    `listed` hears of the inventory as soon as it is kept.
    Raises BucketUnreachable, LakeError.
    """
    taken = None
    with lake.workspace() as workspace:
        newest = _newest_inventory(lake, bucket.name, workspace, place)
        inventory = newest if newest and _is_young(newest, run_id, told_at) else None
        if inventory is None and newest is not None:
            inventory = _described(
                lake, bucket.name, store, told, run_id, told_at, bucket.exclude, place, newest, workspace
            )
        if inventory is None:
            taken = take_inventory(store, lake, bucket.name, run_id, exclude=bucket.exclude, place=place)
            listed(taken)
            inventory = lake.fetch(taken.file, workspace)
        listed_at = Provenance.read(inventory).listed_at
        # Named after the map, not the inventory: even where it has a row for every object, newer checks
        # of them may stand in the ledger already.
        provenance = Provenance(bucket.name, run_id, manifest, listed_at, place)
        expected = expected_by_ledger(lake, bucket, inventory, run_id, workspace)
        left_out: Counter[str] = Counter()
        with (
            ChecksWriter(lake, provenance, workspace) as checks,
            open_database(workspace, _MEMORY, _THREADS) as database,
        ):
            view(database, "inventory", [expected], INVENTORY.append(EXPECTATIONS))
            for lower, upper in _ranges(database, told.file):
                database.execute(
                    _JUDGE,
                    {
                        "told": str(told.file),
                        "bucket": bucket.name,
                        "told_at": told_at,
                        "lower": lower,
                        "upper": upper,
                    },
                )
                database.execute(_COUNT)
                reader = database.execute(_ROWS, {"told_at": told_at, "run_id": run_id})
                for batch in reader.to_arrow_reader(_ROWS_AT_ONCE):
                    rows = pa.Table.from_batches([batch])
                    checks.write(judged(rows, rows.column(EXPECTATIONS.name)))
                left_out.update(dict(database.execute(_LEFT_OUT).fetchall()))
        kept = (kept_before(lake, provenance, workspace) or checks.keep()) if checks.rows else None
    return KeptChecks(bucket.name, kept, left_out, taken)


def _newest_inventory(lake: Lake, bucket: str, workspace: Path, place: str | None) -> Path | None:
    """The bucket's newest inventory, if it is one of this place."""
    try:
        inventory = lake.fetch(newest_inventory(lake, bucket), workspace)
    except TableMissing:
        return None
    return inventory if Provenance.read(inventory).place == place else None


def _is_young(inventory: Path, run_id: str, told_at: datetime) -> bool:
    said = Provenance.read(inventory)
    # An attempt of this run before may have taken it, when it saw the manifest.
    margin = timedelta(0) if said.run_id == run_id else _CLOCKS_DIFFER
    return said.listed_at >= told_at + margin


def _described(
    lake: Lake,
    bucket: str,
    store: BucketReader,
    told: Told,
    run_id: str,
    told_at: datetime,
    exclude: Sequence[str],
    place: str | None,
    newest: Path,
    workspace: Path,
) -> Path | None:
    """The told objects as they are listed now; None where a listing of the bucket is not slower."""
    if pq.read_metadata(told.file).num_rows > _MOST_DESCRIBED:
        return None
    table = pq.read_table(told.file, columns=["key", "version_id"], filters=[("bucket", "==", bucket)])
    wanted = {(row["key"], row["version_id"]) for row in table.to_pylist()}
    if len(wanted) > pq.read_metadata(newest).num_rows // _PAGE:
        return None
    name = f"{scratch_folder(run_id)}described/{bucket}.parquet"
    try:
        described = lake.fetch(name, workspace)
        if _is_young(described, run_id, told_at):
            return described  # by an attempt before, whose checks may be kept already
    except FileNotFoundError:
        pass
    file = workspace / "described.parquet"
    there = [each for each in wanted if not any(fnmatchcase(each[0], pattern) for pattern in exclude)]
    list_selection(store, bucket, there, run_id, file, place)
    lake.put(name, file, replace=True)
    return lake.fetch(name, workspace / "anew")  # an older one may have been fetched above


def _ranges(database: duckdb.DuckDBPyConnection, told: Path) -> list[tuple[str, str | None]]:
    """Ranges of keys that follow each other, of about _RANGE_ROWS results each; the last has no end."""
    number = -(-int(pq.read_metadata(told).num_rows) // _RANGE_ROWS)
    if number <= 1:
        return [("", None)]
    sample = [key for (key,) in database.execute(_CUTS, {"told": str(told)}).fetchall()]
    cuts = ["", *dict.fromkeys(sample[len(sample) * place // number] for place in range(1, number))]
    return list(zip(cuts, [*cuts[1:], None], strict=True))
