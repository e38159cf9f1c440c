"""Keeps the checks of a map run in the ledger of a bucket, after comparing them with a newer listing.

`checks` extracts them from the map's outputs; `keep_checks.sql` decides which results count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.buckets import BucketReader
from fixity.engines.step_functions.checks import MapChecks
from fixity.lake.database import open_database, view
from fixity.lake.paths import scratch_folder
from fixity.ledger.bucket_run import BucketRun
from fixity.ledger.expected import expected_by_ledger
from fixity.ledger.inventory import (
    Inventory,
    TableMissing,
    fetch_inventory,
    list_selection,
    newest_inventory,
    take_inventory,
)
from fixity.ledger.judge import EXPECTATIONS, LookAgain, dated, judged
from fixity.ledger.selection import is_excluded
from fixity.ledger.write import Checksums, ChecksWriter, kept_before
from fixity.ledger.written_since import WRITTEN_SINCE_SQL
from fixity.tables import INVENTORY, Provenance

if TYPE_CHECKING:
    import duckdb

_SQL = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
_CUTS, _JUDGE, _COUNT, _ROWS, _LEFT_OUT = _SQL.split(";\n")[:5]

# Reading the results already takes memory, so DuckDB gets little: it spills, and then one thread is as fast
# as two. Ranges of keys bound the memory that grows with the rows.
_MEMORY, _THREADS = "128MB", 1
_RANGE_ROWS = 400_000
_ROWS_AT_ONCE = 20_000

_MOST_LOOKED_UP = 5_000
"""At most this many objects are looked up one by one, if listing the bucket takes more requests."""
_PAGE = 1_000  # objects in one response of a listing

_LISTED_LATER_BY = timedelta(minutes=5)
"""An inventory must be this much newer than a manifest: the store's clock may differ from ours."""


class MapManifest(NamedTuple):
    """The manifest of a map run: its URL, and when it was written (UTC)."""

    url: str
    written_at: datetime


@dataclass(frozen=True)
class KeptChecks:
    """The checks of a bucket that were kept.

    table: None if no result was accepted. left_out: counts of results that are not checks, by reason.
    taken: a new inventory of the bucket; None if the newest one was new enough.
    """

    bucket: str
    table: Checksums | None
    left_out: Counter[str]
    taken: Inventory | None


def keep_checks(
    run: BucketRun,
    store: BucketReader,
    found: MapChecks,
    manifest: MapManifest,
    listed: Callable[[Inventory], object] = lambda inventory: None,
    look_again: LookAgain = lambda checks, expectations: checks,
) -> KeptChecks:
    """Judge a map run's results for a bucket, and keep them as `checksums/<bucket>/<run_id>.parquet`.

    If the bucket's newest inventory is not newer than the manifest, or is of another place, the bucket is
    listed again. If that takes more requests than looking up the map's objects one by one, only these are
    looked up, and the newest inventory stays.
    Arguments: `manifest`, the map run's; `listed` is called with a new inventory as soon as it is kept;
    `look_again` reads objects that differ.
    Raises BucketUnreachable, LakeError.
    """
    taken = None
    lake, bucket, run_id, written_at = run.lake, run.bucket, run.run_id, manifest.written_at
    with lake.workspace() as workspace:
        newest = _newest_inventory(run, workspace)
        inventory = newest if newest and _is_new_enough(newest, run_id, written_at) else None
        if inventory is None and newest is not None:
            inventory = _looked_up(run, store, found, written_at, newest, workspace)
        if inventory is None:
            taken = take_inventory(store, run)
            listed(taken)
            inventory = lake.fetch(taken.file, workspace)
        listed_at = Provenance.read(inventory).listed_at
        # Named after the map, not the inventory: even if the table has a row for every object, the ledger may
        # already have newer checks.
        provenance = Provenance(bucket.name, run_id, manifest.url, listed_at, run.place)
        expected = expected_by_ledger(lake, bucket, inventory, run_id, workspace)
        left_out: Counter[str] = Counter()
        with (
            ChecksWriter(lake, provenance, workspace) as checks,
            open_database(workspace, _MEMORY, _THREADS) as database,
        ):
            view(database, "inventory", [expected], INVENTORY.append(EXPECTATIONS))
            database.execute(WRITTEN_SINCE_SQL)
            for lower, upper in _ranges(database, found.file):
                database.execute(
                    _JUDGE,
                    {
                        "results": str(found.file),
                        "bucket": bucket.name,
                        "written_at": written_at,
                        "lower": lower,
                        "upper": upper,
                    },
                )
                database.execute(_COUNT)
                reader = database.execute(_ROWS, {"written_at": written_at, "run_id": run_id})
                for batch in reader.to_arrow_reader(_ROWS_AT_ONCE):
                    rows = pa.Table.from_batches([batch])
                    expectations = rows.column(EXPECTATIONS.name)
                    found_by_map = dated(judged(rows, expectations), rows.column("told_at"))
                    checks.write(look_again(found_by_map, expectations))
                left_out.update(dict(database.execute(_LEFT_OUT).fetchall()))
        kept = (kept_before(lake, provenance, workspace) or checks.keep()) if checks.rows else None
    return KeptChecks(bucket.name, kept, left_out, taken)


def _newest_inventory(run: BucketRun, workspace: Path) -> Path | None:
    """The bucket's newest inventory, if it is of the run's place."""
    try:
        inventory = fetch_inventory(run.lake, newest_inventory(run.lake, run.bucket.name), workspace)
    except TableMissing:
        return None
    return inventory if Provenance.read(inventory).place == run.place else None


def _is_new_enough(inventory: Path, run_id: str, written_at: datetime) -> bool:
    provenance = Provenance.read(inventory)
    # An earlier attempt of this run may have taken it, after it saw the manifest.
    margin = timedelta(0) if provenance.run_id == run_id else _LISTED_LATER_BY
    return provenance.listed_at >= written_at + margin


def _looked_up(
    run: BucketRun,
    store: BucketReader,
    found: MapChecks,
    written_at: datetime,
    newest: Path,
    workspace: Path,
) -> Path | None:
    """An inventory of the map's objects as they are listed now; None if listing the bucket is not slower."""
    lake, bucket = run.lake, run.bucket.name
    if pq.read_metadata(found.file).num_rows > _MOST_LOOKED_UP:
        return None
    table = pq.read_table(found.file, columns=["key", "version_id"], filters=[("bucket", "==", bucket)])
    wanted = {(row["key"], row["version_id"]) for row in table.to_pylist()}
    if len(wanted) > pq.read_metadata(newest).num_rows // _PAGE:
        return None
    name = f"{scratch_folder(run.run_id)}described/{bucket}.parquet"
    try:
        earlier = lake.fetch(name, workspace)
        if _is_new_enough(earlier, run.run_id, written_at):
            return earlier  # from an earlier attempt, whose checks may be kept already
    except FileNotFoundError:
        pass
    file = workspace / "described.parquet"
    there = [each for each in wanted if not is_excluded(run.bucket, each[0])]
    list_selection(store, run, there, file)
    lake.put(name, file, replace=True)
    return lake.fetch(name, workspace / "new")  # an older one may have been fetched above


def _ranges(database: duckdb.DuckDBPyConnection, results: Path) -> list[tuple[str, str | None]]:
    """Consecutive ranges of keys, each with about _RANGE_ROWS results; the last has no end."""
    number = -(-int(pq.read_metadata(results).num_rows) // _RANGE_ROWS)
    if number <= 1:
        return [("", None)]
    sample = [key for (key,) in database.execute(_CUTS, {"results": str(results)}).fetchall()]
    cuts = ["", *dict.fromkeys(sample[len(sample) * place // number] for place in range(1, number))]
    return list(zip(cuts, [*cuts[1:], None], strict=True))
