"""What is known of a bucket before a run over all of it, without folding the ledger for that alone.

A run over a whole bucket holds each object against what was known before. So its file says by itself what is
known after it, of every object that was right; only the others, and new objects, are folded. A bucket that is
checked as a whole again and again is folded every thirtieth time, or when somebody needs the snapshot.

    snapshot ─► file of run 1 ─► file of run 2 …      each says in its footer what it rests on

Where a file of the ledger does not stand in this line (of a batch, a run in parallel, an earlier version),
the snapshot is folded as for everybody else. What is expected of objects is in `expected`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.compute as pc
import pyarrow.parquet as pq

from fixity.lake import Lake
from fixity.lake.database import view
from fixity.lake.footer import read_footer
from fixity.lake.ranges import key_ranges
from fixity.ledger.files import ingest_tables, ledger_files, run_of
from fixity.ledger.fold import TABLES, Settings
from fixity.ledger.fold_some import define_known, fold_keys
from fixity.ledger.refresh import known_so_far
from fixity.ledger.snapshot import SNAPSHOT, Snapshot, in_force
from fixity.ledger.views import view_now
from fixity.tables import CHECKSUMS, INVENTORY, MATCHED, REGISTERED, TableUnreadable

if TYPE_CHECKING:
    import duckdb

_SQL = Path(__file__).with_suffix(".sql")
_MOST_FILES = 30
_MOST_ODD = 100_000  # objects of a file that were not right, and are folded by themselves
_MOST_SINCE = 50
_RANGE_BYTES = 128 * 1024 * 1024


@dataclass(frozen=True)
class Known:
    """What the ledger says of a bucket: a snapshot, None before the first, and the files after it, in line.

    rests_on: what the file of a run over the whole bucket that starts from here says in its footer.
    settings: of the bucket, where there are files.
    """

    snapshot: Snapshot | None
    files: tuple[str, ...]
    rests_on: str | None
    settings: Settings | None = None


def known_before(
    lake: Lake, bucket: str, settings: Settings, run_id: str, log: Callable[[str], None]
) -> Known:
    """What is known of a bucket now; the snapshot is folded only if its files are not all in line.

    Arguments: `run_id` names what is folded; `log` takes what is left out, and why. Raises LakeError.
    """
    line = _line(lake, bucket, settings)
    if line is not None:
        return line
    snapshot = known_so_far(lake, bucket, settings, run_id, log)
    return Known(snapshot, (), _state(lake, snapshot))


def _state(lake: Lake, snapshot: Snapshot | None) -> str:
    if snapshot is None:
        return "nothing"
    since = snapshot.since(lake)
    return f"{snapshot.generation}+{since[-1].number if since else 0}"


def _line(lake: Lake, bucket: str, settings: Settings) -> Known | None:
    """The snapshot and the files after it, None where these are not all in line."""
    snapshot = in_force(lake, bucket)
    if snapshot is not None and not _is_usable(lake, snapshot, settings):
        return None
    ingested = {**snapshot.ingested} if snapshot else {}
    if any(run_of(file.name) not in ingested for file in ingest_tables(lake, bucket)):
        return None
    folded = set(snapshot.folded) | {each.run_id for each in snapshot.since(lake)} if snapshot else set()
    left = [file.name for file in ledger_files(lake, bucket) if run_of(file.name) not in folded]
    if len(left) > _MOST_FILES:
        return None
    try:
        by_what = {read_footer(lake, name).provenance.rests_on: name for name in left}
    except (TableUnreadable, FileNotFoundError):
        return None
    rests_on = _state(lake, snapshot)
    files: list[str] = []
    while rests_on in by_what:
        files.append(by_what[rests_on])
        rests_on = run_of(files[-1])
    if len(files) < len(left) or (files and _odd(lake, files[-1], settings) > _MOST_ODD):
        return None
    return Known(snapshot, tuple(files), rests_on, settings)


def _is_usable(lake: Lake, snapshot: Snapshot, settings: Settings) -> bool:
    there = {file.name for file in lake.list(snapshot.folder)}
    sizes = {run_of(file.name): file.size for file in ledger_files(lake, snapshot.bucket)}
    return (
        snapshot.algorithm == settings.algorithm
        and not snapshot.doubted
        and not snapshot.left_out
        and there.issuperset(map(snapshot.name, TABLES))
        and len(there) - len(TABLES) <= _MOST_SINCE
        and all(sizes.get(run, size) == size for run, size in snapshot.folded.items())
    )


def _odd(lake: Lake, name: str, settings: Settings) -> int:
    """How many rows of a file do not say by themselves what is expected of their objects."""
    count = 0
    with lake.workspace() as workspace, pq.ParquetFile(lake.fetch(name, workspace)) as file:
        for batch in file.iter_batches(batch_size=500_000, columns=["verdict", "algorithm"]):
            right = pc.or_(pc.equal(batch["verdict"], MATCHED), pc.equal(batch["verdict"], REGISTERED))
            plain = pc.and_(pc.fill_null(right, False), pc.equal(batch["algorithm"], settings.algorithm))
            count += batch.num_rows - (pc.sum(plain).as_py() or 0)
    return count


def view_known(
    database: duckdb.DuckDBPyConnection,
    lake: Lake,
    known: Known,
    inventory: Path,
    workspace: Path,
) -> Path:
    """Make the view `now`, with the columns of a snapshot by which something is expected of an object.

    Returns a sorted local table with the same keys. Raises LakeError.
    """
    if known.files and known.settings:
        files = [lake.fetch(name, workspace) for name in known.files]
        _view_after(database, lake, known.snapshot, files, known.settings, inventory, workspace)
        return files[-1]
    if known.snapshot is not None:
        view_now(database, lake, known.snapshot, "objects", workspace)
        return lake.fetch(known.snapshot.name("objects"), workspace)
    view(database, "now", [], SNAPSHOT)
    database.execute("CREATE OR REPLACE TEMP VIEW now AS SELECT *, 0::UBIGINT AS content FROM now_empty")
    return inventory


def _view_after(
    database: duckdb.DuckDBPyConnection,
    lake: Lake,
    snapshot: Snapshot | None,
    files: Sequence[Path],
    settings: Settings,
    inventory: Path,
    workspace: Path,
) -> None:
    define_known(database, lake, snapshot, files, workspace)
    view(database, "newest_file", files[-1:], CHECKSUMS)
    view(database, "objects_now", [inventory], INVENTORY)
    right = f"verdict IN ('{MATCHED}', '{REGISTERED}') AND algorithm = '{settings.algorithm}'"
    database.execute(
        f"CREATE OR REPLACE TEMP TABLE odd_keys AS SELECT key FROM newest_file WHERE NOT ({right}) "
        "OR verdict IS NULL"
    )
    if snapshot is not None or len(files) > 1:  # else nobody knows anything of new objects
        for keys in key_ranges(inventory, files[-1], _RANGE_BYTES):
            given = {"lower": keys.lower, "upper": keys.upper}
            database.execute(
                "INSERT INTO odd_keys SELECT key FROM (FROM objects_now WHERE key >= $lower AND "
                "($upper IS NULL OR key < $upper)) AS i ANTI JOIN (FROM newest_file WHERE key >= $lower AND "
                "($upper IS NULL OR key < $upper)) AS f ON f.key = i.key AND "
                "content(f.version_id, f.etag, f.last_modified, f.size) "
                "= content(i.version_id, i.etag, i.last_modified, i.size)",
                given,
            )
    database.register("odd", fold_keys(database, settings, inventory, "FROM odd_keys"))
    database.execute(_SQL.read_text(encoding="utf-8"))
