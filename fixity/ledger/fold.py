"""Folding checks: one row of the snapshot for each object, from its listing, the row before and new checks.

A whole bucket is folded in `fold_all`, a few keys in `fold_some`. How checks are made, and which objects are
chosen for one, does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from fixity import compute as pc
from fixity.catalog import Algorithm, Bucket
from fixity.clock import CLOCKS_DIFFER
from fixity.lake import Lake
from fixity.lake.database import open_database, view
from fixity.lake.writer import ROW_GROUP_ROWS
from fixity.ledger.judge import STRENGTH_SQL
from fixity.ledger.snapshot import SNAPSHOT, Since, Snapshot
from fixity.ledger.views import define_content
from fixity.tables import CHECKSUMS, INVENTORY

if TYPE_CHECKING:
    import duckdb

_SQL = "WITH " + ",\n".join(
    Path(__file__).with_name(f"{name}.sql").read_text(encoding="utf-8")
    for name in ("fold_checks", "fold_damage", "fold")
)
_DRAWN = Path(__file__).with_name("sample.sql").read_text(encoding="utf-8")
_NO_TERM = timedelta(days=36_500)
# Earlier versions kept the checks of ingest in tables of their own.
NEWS = """
    SELECT *, false AS only_verdict FROM checks
    UNION ALL BY NAME
    SELECT
        key, version_id, size, etag, last_modified, storage_class, algorithm, checksum, checked_at, run_id,
        expected,
        'FULL_OBJECT' AS checksum_type,
        'succeeded' AS status,
        size AS bytes_read,
        'streamed' AS evidence,
        algorithm AS expected_algorithm,
        compared_with AS expected_from,
        CASE WHEN checksum = expected THEN 'matched' ELSE 'differs' END AS verdict,
        true AS only_verdict
    FROM ingested
    WHERE checksum IS NOT NULL AND expected IS NOT NULL
"""
"""New checks, from the views `checks` and `ingested`, as `folded` wants them."""
_DAY = timedelta(days=1) / timedelta(microseconds=1)


@dataclass(frozen=True)
class Settings:
    """A bucket's term (how old a check may be), and the algorithm of its checksums.

    etag_is_md5: if not, no check that was compared with an ETag counts as that. sample: the share of the
    objects that is read each day besides. seed: of that sample; another one draws others. is_rolled: whether
    the platform reads what is due by the term; if not, only the sample is due.
    """

    every: timedelta
    algorithm: Algorithm
    etag_is_md5: bool = True
    sample: float | None = None
    seed: str = ""
    is_rolled: bool = True

    def are_of(self, snapshot: Snapshot) -> bool:
        """Whether a snapshot was folded by these settings."""
        return (
            snapshot.every == self.every.total_seconds()
            and snapshot.algorithm == self.algorithm
            and snapshot.due_by == self.due_by
            and snapshot.etag_is_md5 == self.etag_is_md5
        )

    @property
    def due_by(self) -> str:
        """What besides the term says when an object is due, as one text; empty where nothing does."""
        sample = f"sample {self.sample} {self.seed}" if self.sample else ""
        return f"{sample}{'' if self.is_rolled else ' read by others'}".strip()


def settings_of(bucket: Bucket) -> Settings:
    """A bucket's settings; for a bucket without a term, one by which nothing is chosen again."""
    policy = bucket.schedule
    return Settings(
        bucket.fixity_every or _NO_TERM,
        bucket.algorithm,
        bucket.etag_is_md5 is not False,
        policy.sample if policy else None,
        bucket.name,
        bucket.engine == "stream" or policy is None,
    )


def fold_checks(
    settings: Settings, listed_at: datetime, rows: Path, file: Path, changed: Path, now: datetime
) -> None:
    """Fold the checks of a run's file into rows of a snapshot, and write the new rows to `changed`.

    Arguments: `rows`, the rows of the checked objects when they were chosen; `listed_at` (UTC), of the
    inventory that they were chosen from.
    """
    with open_database(changed.parent) as database, pq.ParquetWriter(changed, SNAPSHOT) as writer:
        view(database, "prior", [rows], SNAPSHOT)
        view(database, "listing", [rows], INVENTORY.remove(INVENTORY.get_field_index("checksum_algorithm")))
        view(database, "checks", [file], CHECKSUMS)
        database.execute("CREATE TEMP VIEW news AS SELECT *, false AS only_verdict FROM checks")
        for batch in folded(database, settings, listed_at, now, "", None):
            writer.write_batch(batch)


def keep_since(lake: Lake, snapshot: Snapshot, changed: Path, run_id: str, now: datetime) -> None:
    """Keep the rows that a run changed with the snapshot that it used, so that it need not be rebuilt.

    Raises LakeError.
    """
    since = snapshot.since(lake)
    if run_id in snapshot.folded or any(each.run_id == run_id for each in since):
        return
    number = 1 + max((each.number for each in since), default=0)
    rows = pq.read_metadata(changed).num_rows
    lake.put(Since.called(snapshot, number, now, rows, run_id), changed, replace=True, keep=True)


def define_macros(database: duckdb.DuckDBPyConnection) -> None:
    """Define the macros that fold.sql uses: those of `define_content`, `strength` and `drawn_after`.

    See `judge` and sample.sql.
    """
    define_content(database)
    database.execute(STRENGTH_SQL)
    database.execute(_DRAWN)


def folded(
    database: duckdb.DuckDBPyConnection,
    settings: Settings,
    listed_at: datetime,
    now: datetime,
    lower: str,
    upper: str | None,
) -> Iterator[pa.RecordBatch]:
    """The rows of the snapshot for the keys from `lower` up to `upper`, by the views that fold.sql names."""
    define_macros(database)
    rows = database.execute(
        _SQL,
        {
            "lower": lower,
            "upper": upper,
            "algorithm": settings.algorithm,
            "etag_is_md5": settings.etag_is_md5,
            "every": settings.every // timedelta(microseconds=1),
            "is_rolled": settings.is_rolled,
            "sample": settings.sample and settings.sample / _DAY,
            "seed": settings.seed,
            "listed_at": listed_at,
            "horizon": now + CLOCKS_DIFFER,
        },
    ).to_arrow_table()
    # DuckDB would take a quarter of the time for this: it moves all columns of a row at each step.
    in_order = pc.sort_indices(rows, [(name, "ascending", "at_start") for name in ("key", "version_id")])
    yield from rows.combine_chunks().take(in_order).cast(SNAPSHOT).to_batches(ROW_GROUP_ROWS)
