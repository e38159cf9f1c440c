"""Checks with the baselines of their objects, range of keys by range: memory does not grow with the bucket.

What events are made of them stands in `events.sql`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pyarrow as pa

from fixity import compute as pc
from fixity.in_order import in_order
from fixity.lake.database import open_database, view
from fixity.ledger.align import align, is_same, marked
from fixity.ledger.by_key import ByKey, Keys, ranges_of, sorted_by_key, sorted_copy, tables_by_key
from fixity.ledger.files import LedgerFile
from fixity.ledger.snapshot import SNAPSHOT
from fixity.ledger.views import NowByKey
from fixity.tables import CHECKSUMS

_SQL = Path(__file__).with_suffix(".sql")
_ROWS_AT_ONCE = 20_480  # so that all threads of DuckDB have some, and none holds a whole range
_UNUSED = {"storage_class", "is_latest", "expectations"}
_CHECKS = pa.schema([*(field for field in CHECKSUMS if field.name not in _UNUSED), ("filename", pa.string())])

BASELINE = ("baseline", "baseline_algorithm", "baseline_from", "baseline_at", "baseline_run")
"""The columns of a snapshot that say what an object's checks are held against."""

KNOWN = pa.schema([*_CHECKS, *map(SNAPSHOT.field, BASELINE)])
"""The columns of a check that its event needs, its file's path, and its object's baseline, if it has one."""


class Baselines:
    """The checks of some files of the ledger, each with the baseline that its object has now."""

    def __init__(self, objects: NowByKey, files: Sequence[LedgerFile], workspace: Path) -> None:
        self._objects, self._files, self._workspace = objects, files, workspace
        self._without_check = 0

    @property
    def checks(self) -> int:
        """How many checks the files have, by their footers and not by what was streamed. Right after that."""
        return sum(file.rows for file in self._files) - self._without_check

    @contextmanager
    def stream(self) -> Iterator[object]:
        """The rows, of the schema KNOWN: a stream of Arrow's C interface that DuckDB reads in this context.

        Raises what ended the reading: DuckDB tells only its text.
        """
        others = [self._objects.folded]
        checks = tables_by_key(self._files, _CHECKS, others, self._sorted)
        ranges = ranges_of([*others, checks])
        errors = list[BaseException]()

        def batches(tables: Iterator[pa.Table]) -> Iterator[pa.RecordBatch]:
            try:
                for rows in tables:
                    yield from rows.to_batches(max_chunksize=_ROWS_AT_ONCE)
                    del rows  # before the next ones are waited for
            except GeneratorExit:  # it was not read to its end
                raise
            except BaseException as error:
                errors.append(error)
                raise

        # Two at once would take as much memory again.
        with closing(in_order(partial(self._of_range, checks), ranges, 1)) as tables:
            # The reader itself would be read by Arrow's scanner, ahead of DuckDB and without a limit.
            reader = pa.RecordBatchReader.from_batches(KNOWN, batches(tables))
            try:
                yield reader.__arrow_c_stream__()
            except Exception as error:
                if errors:
                    raise errors[0] from error
                raise

    def _of_range(self, checks: ByKey, keys: Keys) -> pa.Table:
        rows = checks.rows(*keys)
        self._without_check += rows.column("checked_at").null_count
        if not rows.num_rows:
            return KNOWN.empty_table()
        objects = self._objects.rows(*keys)
        known, is_plain = self._plain(rows, objects)
        if pc.all(is_plain).as_py():
            return known
        others = self._joined(rows.filter(pc.invert(is_plain)), objects)
        return sorted_by_key(pa.concat_tables([known.filter(is_plain), others]).combine_chunks())

    def _plain(self, checks: pa.Table, objects: pa.Table) -> tuple[pa.Table, pa.ChunkedArray]:
        """Checks with the objects of their keys, and which of them are right.

        It is the plain case of the statement in baselines.sql: a key that has one object, of the content that
        was checked.
        """
        keys = checks.column("key")
        now = align(keys, marked(objects))
        known = pa.table([*checks.columns, *(now.column(name) for name in BASELINE)], schema=KNOWN)
        is_changed = pc.is_in(keys, value_set=self._objects.changed)
        return known, pc.and_(is_same(checks, now), pc.invert(is_changed))

    def _joined(self, checks: pa.Table, objects: pa.Table) -> pa.Table:
        objects = objects.filter(pc.is_in(objects.column("key"), value_set=checks.column("key")))
        with open_database(self._workspace, threads=1) as database:
            database.register("checks", checks)
            self._objects.view(database, objects, "checks")
            return database.execute(_SQL.read_text(encoding="utf-8")).to_arrow_table().cast(KNOWN)

    def _sorted(self, files: list[Path]) -> Path | None:
        if not files:
            return None
        with open_database(self._workspace) as database:
            view(database, "checks", files, CHECKSUMS)
            return sorted_copy(database, "FROM checks", self._workspace / "checks-sorted.parquet")
