"""DuckDB over the lake for people: views over all buckets, created when a statement names them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from fixity.catalog import Catalog
from fixity.clock import utc_now
from fixity.errors import WrongUsage
from fixity.lake import Lake, LocalLake
from fixity.lake.csv_files import read_rows, reading_with_duckdb
from fixity.lake.database import new_database, own_table, quoted, view
from fixity.lake.paths import INCIDENTS, copies_file, report_file
from fixity.ledger import SNAPSHOT, LeftOut, ready, usable_files
from fixity.ledger.current import current_checksums
from fixity.ledger.files import ledger_files
from fixity.ledger.fold import settings_of
from fixity.ledger.inventory import TableMissing, fetch_inventory, newest_inventory
from fixity.ledger.snapshot import in_force
from fixity.ledger.views import view_now
from fixity.reports import COLUMNS
from fixity.reports.columns import COPIES_COLUMNS
from fixity.tables import CHECKSUMS, INCIDENT_EVENTS, INVENTORY, TableUnreadable

if TYPE_CHECKING:
    import duckdb

VIEWS = ("inventory", "checksums", "checks", "reports", "copies", "due", "incidents")
"""inventory and checksums: the newest of each bucket. checks: every check ever made. reports: the newest
of each pair. copies: the newest report of all copies of each pair with several replicas. due: the objects
that are due, of buckets with `fixity_every`, in the order of their checks. incidents: every event of each
incident."""


class Explorer:
    """A database with the views of a catalog. `log` gets a message for each file that is left out."""

    def __init__(
        self,
        database: duckdb.DuckDBPyConnection,
        catalog: Catalog,
        lake: Lake,
        workspace: Path,
        log: Callable[[str], None],
        unrestricted: bool,
    ) -> None:
        self._database = database
        self._catalog = catalog
        self._lake = lake
        self._workspace = workspace
        self._log = log
        self._unrestricted = unrestricted
        self._made: set[str] = set()

    def ask(self, statement: str) -> duckdb.DuckDBPyRelation | None:
        """Run a statement. Returns None if it gives no rows. Raises duckdb.Error, LakeError.

        Raises WrongUsage for a statement that may write files, unless the explorer is unrestricted.
        """
        if re.fullmatch(r"\s*show\s+tables\s*;?\s*", statement, re.IGNORECASE):
            return self._database.sql(f"{_TABLES} UNION SELECT unnest({list(VIEWS)}) ORDER BY name")
        if not self._unrestricted:
            self._refuse_writing(statement)
        for name in VIEWS:
            if name not in self._made and re.search(rf"\b{name}\b", statement, re.IGNORECASE):
                getattr(self, f"_{name}")()
                self._made.add(name)
        return self._database.sql(statement)

    def _refuse_writing(self, statement: str) -> None:
        # Not EXPLAIN: with ANALYZE it runs what it explains. What is created is in memory.
        for each in self._database.extract_statements(statement):
            if each.type.name not in ("SELECT", "CREATE"):
                raise WrongUsage(
                    f"{each.type.name} is not a query: only SELECT and CREATE are run, unless you give "
                    "--unrestricted"
                )

    def _inventory(self) -> None:
        files = []
        for bucket in self._catalog.buckets:
            try:
                files.append(
                    (
                        bucket,
                        fetch_inventory(self._lake, newest_inventory(self._lake, bucket), self._workspace),
                    )
                )
            except TableMissing:
                continue
        self._of_buckets("inventory", files, INVENTORY)

    def _checksums(self) -> None:
        files = []
        for bucket in self._catalog.buckets:
            try:
                table, _ = current_checksums(self._lake, bucket, self._workspace, on_left_out=self._left_out)
                files.append((bucket, table))
            except TableMissing:
                continue
        self._of_buckets("checksums", files, CHECKSUMS)

    def _checks(self) -> None:
        files = []
        for bucket in self._catalog.buckets:
            snapshot = in_force(self._lake, bucket)
            usable, left_out = usable_files(
                self._lake,
                bucket,
                ledger_files(self._lake, bucket),
                self._workspace,
                doubted=snapshot.left_out if snapshot else (),
            )
            for each in left_out:
                self._left_out(each)
            files += [(bucket, each.path) for each in usable]
        self._of_buckets("checks", files, CHECKSUMS)

    def _left_out(self, file: LeftOut) -> None:
        self._log(f"left out: {self._lake.location(file.name)} {file.why}")

    def _of_buckets(self, name: str, files: list[tuple[str, Path]], schema: pa.Schema) -> None:
        view(self._database, f"{name}_files", [path for _, path in files], schema)
        places = pa.table(
            {"filename": [str(path) for _, path in files], "bucket": [each for each, _ in files]}
        )
        own_table(self._database, f"{name}_places", places.cast(_PLACES))
        self._database.execute(
            f"CREATE TEMP VIEW {name} AS SELECT bucket, {name}_files.* EXCLUDE (filename) "
            f"FROM {name}_files JOIN {name}_places USING (filename)"
        )

    def _reports(self) -> None:
        self._of_pairs("reports", {pair: report_file(pair, None) for pair in self._catalog.pairs}, COLUMNS)

    def _copies(self) -> None:
        files = {name: copies_file(name, None) for name in self._catalog.copies}
        self._of_pairs("copies", files, COPIES_COLUMNS)

    def _of_pairs(self, name: str, files: Mapping[str, str], least: Iterable[str]) -> None:
        """A view over the CSVs of pairs. Arguments: `least`, the columns that it has without any."""
        parts = [f"SELECT {', '.join(f'NULL::VARCHAR AS {each}' for each in ('pair', *least))} LIMIT 0"]
        for pair, report in files.items():
            try:
                file = self._lake.fetch(report, self._workspace)
            except FileNotFoundError:
                continue
            with file.open(encoding="utf-8", newline="") as text:
                columns, _ = read_rows(text)  # a report of an earlier version has fewer
            parts.append(f"SELECT {quoted(pair)} AS pair, * FROM {reading_with_duckdb(file, columns)}")
        self._database.execute(
            f"CREATE TEMP VIEW {name} AS {' UNION ALL BY NAME '.join(f'({part})' for part in parts)}"
        )

    def _incidents(self) -> None:
        files = []
        for file in self._lake.list(INCIDENTS):
            try:
                files.append(self._lake.fetch(file.name, self._workspace))
            except TableUnreadable as error:
                self._log(f"left out: {error}")
        view(self._database, "incident_events", files, INCIDENT_EVENTS)
        self._database.execute(
            "CREATE TEMP VIEW incidents AS SELECT * EXCLUDE (filename) FROM incident_events"
        )

    def _due(self) -> None:
        own_table(self._database, "due", SNAPSHOT.insert(0, pa.field("bucket", pa.string())).empty_table())
        columns = ", ".join(SNAPSHOT.names)
        for bucket in self._catalog.buckets.values():
            if bucket.fixity_every is None:
                continue
            try:
                snapshot = ready(
                    self._lake, bucket.name, settings_of(bucket), str(uuid.uuid4()), log=self._log
                )
            except TableMissing:
                continue
            view_now(self._database, self._lake, snapshot, "objects", self._workspace)
            self._database.execute(
                f"INSERT INTO due SELECT $bucket, {columns} FROM now WHERE listed AND left_out IS NULL "
                "AND (due_at IS NULL OR due_at <= $now) ORDER BY due_at NULLS FIRST, key",
                {"bucket": bucket.name, "now": utc_now()},
            )


# Not the views, which are made when they are named, nor what they rest on.
_TABLES = "SELECT table_name AS name FROM information_schema.tables WHERE table_catalog <> 'temp'"
_PLACES = pa.schema([("filename", pa.string()), ("bucket", pa.string())])


@contextmanager
def exploring(
    catalog: Catalog, lake: Lake, log: Callable[[str], None], unrestricted: bool = False
) -> Iterator[Explorer]:
    """An explorer for a `with` block.

    Arguments: `unrestricted`, whether statements may read and write any file; else they only read those of
    the lake. Raises LakeError.
    """
    with lake.workspace() as workspace, new_database(workspace) as database:
        if not unrestricted:
            places = [str(workspace), *([lake.location("")] if isinstance(lake, LocalLake) else [])]
            database.execute(f"SET allowed_directories = [{', '.join(map(quoted, places))}]")
            database.execute("SET enable_external_access = false")
            database.execute("SET lock_configuration = true")
        yield Explorer(database, catalog, lake, workspace, log, unrestricted)
