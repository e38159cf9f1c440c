"""Rolling fixity: choosing a batch from a large bucket with a long ledger, what a run adds, PREMIS events.

The bucket and its ledger are made up: every object checked once in 90 days of half-hourly runs.

    python -m bench.rolling --objects 10000000 --events 1000000
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from bench import data
from bench.data import Collections
from bench.measure import Row, Usage, run, table
from bench.ours import MadeUpStore
from fixity.buckets import ListedObject, Sink
from fixity.catalog import Bucket
from fixity.digests.algorithms import Digest
from fixity.engines.stream.engine import check_objects
from fixity.engines.stream.pace import usual_limits
from fixity.lake import Lake, LocalLake
from fixity.lake.database import open_database
from fixity.lake.latest import point_to_latest
from fixity.lake.paths import SNAPSHOTS, checksums_file, inventory_file, inventory_folder
from fixity.lake.writer import ROW_GROUP_ROWS, TableWriter
from fixity.ledger import Settings, ready
from fixity.ledger.damage import damaged_now, keep_with_snapshot
from fixity.reports.premis import Subject, export_events
from fixity.rolling import Limits, Order, RollingRun, choose
from fixity.rolling.batches import check_shard
from fixity.rolling.roll import begin, end, release
from fixity.tables import CHECKSUMS, INVENTORY, Provenance

BUCKET, BATCH, RUNS = "bench", 2500, 90 * 48
LISTED = datetime(2026, 3, 1, tzinfo=UTC)
BEGUN = datetime(2026, 3, 1, 0, 30, tzinfo=UTC)
NOW = BEGUN + timedelta(days=98)  # ten million objects are all checked within these 90 days, and some twice
SETTINGS = Settings(timedelta(days=90), "SHA256")
_DATA = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")


def _rows(
    database: duckdb.DuckDBPyConnection,
    first: int,
    last: int,
    run_number: int,
    again: bool = False,
    step: int = 1,
) -> pa.Table:
    parameters = {"first": first, "last": last, "step": step, "run": run_number, "begun": BEGUN}
    parameters |= {"again": again}
    return database.execute(_DATA, parameters).to_arrow_table()


def make_lake(folder: Path, objects: int) -> Path:
    """A lake with an inventory of so many objects and a ledger of all of them, made where there is none.

    Its runs have checked every object once, and a few of very many twice.
    """
    if not (folder / "made").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with open_database(folder, "1GB") as database:
            _make_lake(database, folder, objects)
        (folder / "made").touch()
    return folder


def _make_lake(database: duckdb.DuckDBPyConnection, folder: Path, objects: int) -> None:
    each = max(BATCH, -(-objects // RUNS // BATCH) * BATCH)  # as many objects a run as the term wants
    runs = RUNS if objects > each * RUNS // 2 else -(-objects // each)
    lake, file = LocalLake(folder), folder / "unfinished.parquet"
    listed = Provenance(BUCKET, "inventory", "inventory", LISTED)
    writer = TableWriter(file, INVENTORY, listed)
    for first in range(0, objects, ROW_GROUP_ROWS):
        rows = _rows(database, first, min(objects, first + ROW_GROUP_ROWS), 0)
        rows = rows.append_column("checksum_algorithm", pa.nulls(rows.num_rows, pa.string()))
        for batch in rows.select(INVENTORY.names).cast(INVENTORY).to_batches():
            writer.write(batch)
    writer.close()
    lake.put(inventory_file(BUCKET, "inventory"), file)
    point_to_latest(lake, inventory_folder(BUCKET), listed)
    for number in range(runs):
        first = number * each % objects
        schema = Provenance(BUCKET, f"run-{number:06d}", "inventory", LISTED).attach(CHECKSUMS)
        again = number * each >= objects
        rows = _rows(database, first, min(objects, first + each), number, again)
        pq.write_table(rows.select(CHECKSUMS.names).cast(schema), file, compression="zstd")
        lake.put(checksums_file(BUCKET, f"run-{number:06d}"), file)


def fold(folder: Path) -> None:
    """Fold the whole ledger, as the first run of all does."""
    ready(LocalLake(folder), BUCKET, SETTINGS, "fold", lambda: NOW)


def choose_batch(folder: Path) -> None:
    """What a rolling run does before it reads: look whether the snapshot is behind, and choose."""
    lake = LocalLake(folder)
    snapshot = ready(lake, BUCKET, SETTINGS, "choose", lambda: NOW)
    assert snapshot.generation.endswith("fold"), "the snapshot was to be there"
    with lake.workspace() as workspace:
        batch = choose(lake, snapshot, [], NOW, Limits(BATCH), workspace)
    assert batch.rows.num_rows == BATCH


class _RightStore(MadeUpStore):
    """What it is asked for, it has, with the bytes that the ledger's checksums are of."""

    def read(self, item: ListedObject, sink: Sink) -> None:
        """Give the text whose checksum rolling.sql makes up."""
        _, _, fifty, name = item.key.split("/")
        body = f"object {int(fifty) * 50 + int(name[-10:-4]) % 50}".encode()
        sink.update(memoryview(body))

    read_afresh = read


def added_seconds(folder: Path) -> float:
    """Seconds that a rolling run takes beyond the hashing of its batch."""
    lake = LocalLake(folder)
    snapshot = ready(lake, BUCKET, SETTINGS, "added", lambda: NOW)
    with lake.workspace() as workspace:
        rows = choose(lake, snapshot, [], NOW, Limits(BATCH), workspace).rows
    columns = [rows.column(name).to_pylist() for name in ListedObject.__slots__]
    items = [ListedObject(*values) for values in zip(*columns, strict=True)]
    store = _RightStore(0)
    begun = time.perf_counter()
    hashed = len(list(check_objects(store, enumerate(items), lambda position, item: Digest("SHA256"), 16)))
    hashing = time.perf_counter() - begun
    begun = time.perf_counter()
    order = Order(BUCKET, SETTINGS, Limits(BATCH), 1800.0)
    run = RollingRun(store, lake, f"bench-{time.time_ns()}", 16, now=lambda: NOW)
    plan = begin(order, run, usual_limits())
    for shard in plan.shards:
        check_shard(order, run, plan, shard)
    rolled = end(lake, plan, order.settings, run.now())
    release(lake, plan, run.now())
    assert rolled.objects == hashed == BATCH
    assert not rolled.damaged
    return time.perf_counter() - begun - hashing


def batch_seconds(folder: Path) -> tuple[float, float, int]:
    """Seconds to fold a batch from all over the bucket into its snapshot, and then to say what is damaged.

    The third value is how many bytes the fold wrote. The batch's rows are taken away again, and its file is
    not put into the ledger.
    """
    lake, run_id = LocalLake(folder), f"bench-{time.time_ns()}"
    snapshot = ready(lake, BUCKET, SETTINGS, "batch")
    with lake.workspace() as workspace:
        file = workspace / "batch.parquet"
        with open_database(workspace) as database:
            rows = _rows(database, 0, snapshot.objects, RUNS, True, snapshot.objects // BATCH)
        schema = Provenance(BUCKET, run_id, "inventory", LISTED, partial=True).attach(CHECKSUMS)
        pq.write_table(rows.select(CHECKSUMS.names).cast(schema), file, compression="zstd")
        before = {each.name for each in lake.list(SNAPSHOTS)}
        begun = time.perf_counter()
        keep_with_snapshot(lake, Bucket(name=BUCKET, fixity_every=SETTINGS.every), file, workspace)
    folded = time.perf_counter()
    assert any(each.run_id == run_id for each in snapshot.since(lake)), "it was to be kept"
    damaged_now(lake, ready(lake, BUCKET, SETTINGS, "after"))
    ended = time.perf_counter()
    written = sum(each.size for each in lake.list(SNAPSHOTS) if each.name not in before)
    lake.remove(f"{snapshot.folder}since/")
    return folded - begun, ended - folded, written


def premis(folder: Path) -> None:
    """Export the events of all of a ledger."""
    shutil.rmtree(folder / "premis", ignore_errors=True)
    assert export_all(LocalLake(folder))


def export_all(lake: Lake) -> int:
    """Export the events that were not exported yet, as a run does. Returns how many there were."""
    bucket = Bucket(name=BUCKET, fixity_every=SETTINGS.every)
    return export_events(lake, Subject(bucket), "bench", now=lambda: NOW).events


def measure(objects: int, events: int) -> list[Row]:
    """The rows of the results: seconds, and peak memory in GB."""
    large = make_lake(data.ROOT / f"ledger-{objects}", objects)
    shutil.rmtree(large / "standing", ignore_errors=True)
    folded = _run("fold", large)
    chosen = _run("choose", large)
    into, after, _ = batch_seconds(large)
    added = added_seconds(large)
    small = make_lake(data.ROOT / f"ledger-{events}-whole", events)
    ready(LocalLake(small), BUCKET, SETTINGS, "fold", lambda: NOW)
    exported = _run("premis", small)
    fold_of_all = f"folding the checks of {objects:,} objects"
    return [
        Row(f"{fold_of_all}: wall time", folded.wall, None, None, 2e-6 * objects, "s"),
        Row(f"{fold_of_all}: peak memory", folded.peak / 1e9, None, None, 1, "GB"),
        Row(f"a batch of {BATCH:,} into it", into, None, None, 2, "s"),
        Row("`no_damage` after it", after, None, None, 2, "s"),
        Row(f"choosing {BATCH:,} of {objects:,} due", chosen.wall, None, None, 3, "s"),
        Row(f"choosing {BATCH:,} of {objects:,} due: peak memory", chosen.peak / 1e9, None, None, 1, "GB"),
        Row("a rolling run beyond its hashing", added, None, None, 2, "s"),
        Row(f"{events:,} PREMIS events: ms a thousand", exported.wall / events * 1e6, None, None, 10, "ms"),
    ]


def rows(collections: Collections, rounds: int, scratch: Path) -> list[Row]:
    """The part `rolling` of `make bench`; one round, since nobody is beside it."""
    return measure(collections.compared, collections.compared // 10)


def _run(what: str, folder: Path) -> Usage:
    return run([sys.executable, "-m", "bench.rolling", "--only", what, str(folder)])


def main() -> None:
    """Measure and print, or, in a process of its own, do the one thing that is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=10_000_000)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--only", nargs=2, metavar=("WHAT", "LAKE"))
    asked = parser.parse_args()
    if asked.only:
        what, folder = asked.only
        {"fold": fold, "choose": choose_batch, "premis": premis}[what](Path(folder))
    else:
        print(table(measure(asked.objects, asked.events)))


if __name__ == "__main__":
    main()
