"""Checks with the baselines of their objects, range of keys by range: memory does not grow with the bucket.

What events are made of them stands in `events.sql`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import pyarrow as pa

from fixity.in_order import in_order
from fixity.lake.database import open_database, view
from fixity.ledger.by_key import ByKey, ranges_of, sorted_copy, tables_by_key
from fixity.ledger.files import LedgerFile
from fixity.ledger.snapshot import SNAPSHOT
from fixity.ledger.views import NowByKey
from fixity.tables import CHECKSUMS

_SQL = Path(__file__).with_suffix(".sql")
_UNUSED = {"storage_class", "is_latest", "expectations"}
_CHECKS = pa.schema([*(field for field in CHECKSUMS if field.name not in _UNUSED), ("filename", pa.string())])

BASELINE = ("baseline", "baseline_algorithm", "baseline_from", "baseline_at", "baseline_run")
"""The columns of a snapshot that say what an object's checks are held against."""

KNOWN = pa.schema([*_CHECKS, *map(SNAPSHOT.field, BASELINE)])
"""The columns of a check that its event needs, its file's path, and its object's baseline, if it has one."""


class Baselines:
    """The checks of some files of the ledger, each with the baseline that its object has now.

    error: what ended the reading, if anything did: DuckDB, which reads them, tells only its text.
    """

    def __init__(self, objects: NowByKey, files: Sequence[LedgerFile], workspace: Path) -> None:
        self._objects, self._files, self._workspace = objects, files, workspace
        self.error: BaseException | None = None

    def stream(self) -> pa.RecordBatchReader:
        """The rows, of the schema KNOWN."""
        return pa.RecordBatchReader.from_batches(KNOWN, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        try:
            others = [self._objects.folded]
            tables = {file.path: file.rows for file in self._files}
            checks = tables_by_key(tables, _CHECKS, others, self._sorted)
            ranges = ranges_of([*others, checks])
            # Two at once would take as much memory again.
            with closing(in_order(partial(self._of_range, checks), ranges, 1)) as tables_of_ranges:
                for rows in tables_of_ranges:
                    yield from rows.to_batches()
        except BaseException as error:
            self.error = error
            raise

    def _of_range(self, checks: ByKey, keys: tuple[str, str | None]) -> pa.Table:
        rows = checks.rows(*keys)
        if not rows.num_rows:
            return KNOWN.empty_table()
        with open_database(self._workspace, threads=1) as database:
            database.register("checks", rows)
            self._objects.view(database, *keys, keys="checks")
            return database.execute(_SQL.read_text(encoding="utf-8")).to_arrow_table().cast(KNOWN)

    def _sorted(self, files: list[Path]) -> Path | None:
        if not files:
            return None
        with open_database(self._workspace) as database:
            view(database, "checks", files, CHECKSUMS)
            return sorted_copy(database, "FROM checks", self._workspace / "checks-sorted.parquet")
