"""Counts the ingest results of a bucket: the newest row of each object, from all its runs.

A run over a few objects has no results for the others. So the counts use the newest run over the whole bucket
and all later runs, without objects that changed or were deleted. Each run has a table of records; runs of
earlier versions kept their results in tables of their own.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq

from fixity.clock import CLOCKS_DIFFER
from fixity.ingest.report import FIRST, IngestCounts, IngestRun, report_table
from fixity.lake import Lake, LakeFile
from fixity.lake.database import open_database, view
from fixity.lake.footer import read_footer
from fixity.lake.latest import latest_table
from fixity.lake.paths import EXPIRED, baselines_folder, inventory_file, inventory_folder
from fixity.ledger.files import ingest_tables, ledger_files, run_of
from fixity.ledger.inventory import fetch_inventory
from fixity.tables import BASELINES, INGEST, INVENTORY, Provenance, naming_the_unreadable

_SQL = Path(__file__).with_suffix(".sql")
_LONGEST_RUN = timedelta(days=14)  # with all its re-executions; scratch is deleted earlier


def counts_of_bucket(lake: Lake, bucket: str, workspace: Path) -> IngestCounts:
    """Count the newest ingest row of each object of a bucket.

    `compared_with` stays empty. Raises LakeError, TableUnreadable.
    """
    tables = _Runs(lake, bucket, workspace).tables_that_count()
    newest = latest_table(lake, inventory_folder(bucket))
    if newest is not None:
        listing = fetch_inventory(lake, newest, workspace)
        listed_at = Provenance.read(listing).listed_at
    else:
        listing, listed_at = workspace / "nothing-listed.parquet", None
        pq.write_table(INVENTORY.empty_table(), listing)
    parameters = {"listing": str(listing), "listed_at": listed_at, "first": FIRST}
    with naming_the_unreadable(listing, *tables), open_database(workspace) as database:
        view(database, "tables", tables, INGEST)
        found = database.execute(_SQL.read_text(encoding="utf-8"), parameters).to_arrow_table().to_pylist()[0]
    return IngestCounts(**found)


class _Runs:
    """The ingest runs of a bucket, with a table of rows for each."""

    def __init__(self, lake: Lake, bucket: str, workspace: Path) -> None:
        self._lake = lake
        self._bucket = bucket
        self._workspace = workspace
        self._ledger = ledger_files(lake, bucket)
        self._inventories = {file.name for file in lake.list(inventory_folder(bucket))}

    def tables_that_count(self) -> list[Path]:
        """The rows of the newest run over the whole bucket, and of later runs."""
        files = [
            *((file, self._of_records) for file in self._tables_of_records()),
            *((file, self._of_expired) for file in self._ledger if EXPIRED in file.name),
            *((file, self._as_it_is) for file in ingest_tables(self._lake, self._bucket)),
        ]
        tables: list[tuple[Path, Provenance]] = []
        whole: Provenance | None = None
        for file, table_of in sorted(files, key=lambda each: (each[0].appeared, each[0].name), reverse=True):
            # The footers decide which is newest, but no table is newer than its file.
            if whole is not None and file.appeared < whole.listed_at - CLOCKS_DIFFER:
                break
            provenance = read_footer(self._lake, file.name).provenance
            if whole is not None and provenance.listed_at < whole.listed_at:
                continue
            table = table_of(file, provenance)
            if table is not None:
                tables.append((table, provenance))
                whole = provenance if self._is_whole(provenance) else whole
        return [table for table, of in tables if whole is None or of.listed_at >= whole.listed_at]

    def _is_whole(self, provenance: Provenance) -> bool:
        return inventory_file(self._bucket, provenance.inventory_run_id) in self._inventories

    def _tables_of_records(self) -> list[LakeFile]:
        files = self._lake.list(baselines_folder(self._bucket))
        return [file for file in files if file.name.endswith(".parquet")]

    def _as_it_is(self, file: LakeFile, provenance: Provenance) -> Path:
        """The results of a run of an earlier version."""
        return self._lake.fetch(file.name, self._workspace)

    def _of_expired(self, file: LakeFile, provenance: Provenance) -> Path:
        """Failed checks of restores, which have no records."""
        records = self._workspace / "no-records.parquet"
        pq.write_table(provenance.attach(BASELINES).empty_table(), records)
        return self._table(file, self._lake.fetch(file.name, self._workspace), records)

    def _of_records(self, file: LakeFile, provenance: Provenance) -> Path | None:
        """The rows of a run; None if it made no checks, or if an earlier version kept their results."""
        checks_file = self._checks(file, provenance)
        if checks_file is None:
            return None
        checks = self._lake.fetch(checks_file.name, self._workspace)
        with naming_the_unreadable(checks):
            if "verdict" not in pq.read_schema(checks).names:
                return None
        return self._table(checks_file, checks, self._lake.fetch(file.name, self._workspace))

    def _checks(self, records: LakeFile, provenance: Provenance) -> LakeFile | None:
        """The run's file of the ledger. A re-execution's file has another name, but the same inventory."""
        for file in self._ledger:
            if run_of(file.name) == run_of(records.name):
                return file
        for file in reversed(self._ledger):
            if -CLOCKS_DIFFER <= file.appeared - records.appeared <= _LONGEST_RUN:
                of = read_footer(self._lake, file.name).provenance
                is_part = of.partial and self._is_whole(of)
                if of.inventory_run_id == provenance.inventory_run_id and not is_part:
                    return file
        return None

    def _table(self, file: LakeFile, checks: Path, records: Path) -> Path:
        run = IngestRun(self._bucket, run_of(file.name), file.name, checks, records)
        table = self._workspace / f"rows-{run.run_id}.parquet"
        return report_table(self._lake, run, self._workspace, table)
