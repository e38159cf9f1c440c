"""What is kept of some keys of one bucket: their checks, their records, and how they are listed.

A file that cannot be read or proved does not count. What follows from it does not belong here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fixity import compute as pc
from fixity.catalog import Bucket
from fixity.clock import CLOCKS_DIFFER
from fixity.incidents.known import Expected
from fixity.lake import Lake
from fixity.lake.database import open_database, view
from fixity.lake.paths import baselines_folder
from fixity.ledger.files import ledger_files, usable_files
from fixity.ledger.inventory import TableMissing, fetch_inventory, newest_inventory
from fixity.ledger.judge import ETAG
from fixity.tables import BASELINES, CHECKSUMS, INVENTORY, Provenance, TableUnreadable, columns_of

_SQL = Path(__file__).with_suffix(".sql")
_Rows = dict[str, list[tuple[Any, ...]]]
_UNUSABLE = (pa.ArrowException, OSError, TableUnreadable, TableMissing)


class Content(NamedTuple):
    """What is written under a key: by its version, or where there is none, by ETag, time (UTC) and size."""

    version_id: str | None
    etag: str | None
    last_modified: datetime | None
    size: int | None

    @classmethod
    def of(
        cls, version_id: str | None, etag: str | None, last_modified: datetime | None, size: int | None
    ) -> Content:
        """The content that a row of a table with these columns is of."""
        version = named(version_id)
        return cls(version, None, None, None) if version else cls(None, etag, last_modified, size)


class Read(NamedTuple):
    """Bytes that checks found: their checksums by algorithm, the first and the last such check (UTC), how
    often they were read; and those checks (UTC) at which this was the current version, None if it never was.
    """

    digests: dict[str, str]
    first_at: datetime
    last_at: datetime
    times: int
    current_from: datetime | None = None
    current_until: datetime | None = None


class Recorded(NamedTuple):
    """A recorded checksum of a version of a key, from a look at the bucket as it was at `listed_at` (UTC)."""

    version_id: str | None
    expected: Expected
    listed_at: datetime


class Listed(NamedTuple):
    """A row of an inventory."""

    key: str
    version_id: str | None
    etag: str | None
    last_modified: datetime | None
    size: int
    is_latest: bool


@dataclass
class ObjectHistory:
    """What the ledger says of one content. told: the records that checks were compared with, oldest first."""

    version_id: str | None
    last_modified: datetime | None
    is_latest: bool | None = None
    reads: list[Read] = field(default_factory=list)
    told: list[Expected] = field(default_factory=list)


class OfKey(NamedTuple):
    """What is kept of a key of a bucket. listed: its rows of the newest inventory."""

    objects: dict[Content, ObjectHistory]
    records: list[Recorded]
    listed: list[Listed]


class History:
    """What is kept of some keys of a bucket. tables: what each statement of history.sql gives."""

    def __init__(self, bucket: Bucket, tables: list[pa.Table]) -> None:
        self.tables, self._bucket = tables, bucket
        self._rows: list[_Rows] = []
        self._there: set[str] | None = set()
        self._made: dict[str, OfKey] = {}

    def choose(self, keys: Iterable[str] | None) -> None:
        """Have the rows of some keys at hand, None for all: those of one key are not found at once."""
        self._there = None if keys is None else set(keys)
        self._rows = []
        for table in self.tables:
            if self._there is not None:
                table = table.filter(pc.is_in(table["key"], pa.array(sorted(self._there), pa.string())))
            rows: _Rows = defaultdict(list)
            for row in zip(*columns_of(table), strict=True):
                rows[row[0]].append(row)
            self._rows.append(rows)

    def of(self, key: str) -> OfKey:
        """What is kept of a key."""
        if key not in self._made:
            if self._there is not None and key not in self._there:
                self.choose(None)
            self._made[key] = self._make(*(of_statement.get(key, ()) for of_statement in self._rows))
        return self._made[key]

    def _make(
        self,
        reads: Iterable[tuple[Any, ...]],
        told: Iterable[tuple[Any, ...]],
        recorded: Iterable[tuple[Any, ...]],
        listed: Iterable[tuple[Any, ...]],
    ) -> OfKey:
        objects: dict[Content, ObjectHistory] = {}
        for _, *of, algorithm, checksum, others, first, last, begin, end, count, is_latest in reads:
            history = _object(objects, *of)
            digests = {**dict(others or ()), algorithm: checksum}
            history.reads.append(Read(digests, first, last, count, begin, end))
            history.is_latest = is_latest
        for _, *of, source, algorithm, checksum, since, until, _ in told:
            if self._counts(source):
                _object(objects, *of).told.append(Expected(algorithm, checksum, source, since, until))
        records = [
            Recorded(version_id, Expected(algorithm, checksum, source), listed_at)
            for _, version_id, source, algorithm, checksum, listed_at in recorded
            if self._counts(source)
        ]
        return OfKey(objects, records, [Listed(*row) for row in listed])

    def _counts(self, source: str) -> bool:
        return source != ETAG or self._bucket.etag_is_md5 is not False


def named(version_id: str | None) -> str | None:
    """The id of a version; None for that of objects from before versioning."""
    return None if version_id in (None, "", "null") else version_id


def history_of(lake: Lake, bucket: Bucket, keys: Iterable[str], now: datetime, workspace: Path) -> History:
    """What is kept of some keys of a bucket, in files that can be read and proved. Raises LakeError."""
    checks, _ = usable_files(lake, bucket.name, ledger_files(lake, bucket.name), workspace, thoroughly=True)
    tables = _tables_of_records(lake, bucket.name, workspace)
    with open_database(workspace) as database:
        view(database, "checks", [file.path for file in checks], CHECKSUMS)
        view(database, "records", [file for file, _ in tables], BASELINES)
        view(database, "inventory", _inventory(lake, bucket.name, workspace), INVENTORY)
        database.register("keys", pa.table({"key": pa.array(sorted(set(keys)), pa.string())}))
        times = [listed_at for _, listed_at in tables]
        database.register(
            "looks",
            pa.table(
                {
                    "filename": pa.array([str(file) for file, _ in tables], pa.string()),
                    "listed_at": pa.array(times, pa.timestamp("us", "UTC")),
                }
            ),
        )
        keep, *statements = database.extract_statements(_SQL.read_text(encoding="utf-8"))
        database.execute(keep, {"horizon": now + CLOCKS_DIFFER})
        found = [database.execute(statement).to_arrow_table() for statement in statements]
    return History(bucket, found)


def _object(
    of_key: dict[Content, ObjectHistory],
    version_id: str | None,
    etag: str | None,
    last_modified: datetime | None,
    size: int | None,
) -> ObjectHistory:
    content = Content.of(version_id, etag, last_modified, size)
    found = of_key.get(content)
    if found is None:
        found = of_key[content] = ObjectHistory(version_id, last_modified)
    return found


def _inventory(lake: Lake, bucket: str, workspace: Path) -> list[Path]:
    """A local copy of the newest inventory; none if there is none that can be used."""
    try:
        file = fetch_inventory(lake, newest_inventory(lake, bucket), workspace)
        _read_through(lake, file)
    except _UNUSABLE:
        return []
    return [file]


def _tables_of_records(lake: Lake, bucket: str, workspace: Path) -> list[tuple[Path, datetime]]:
    """Local copies of a bucket's usable tables of records, and when the bucket was listed for each."""
    found: list[tuple[Path, datetime]] = []
    for each in lake.list(baselines_folder(bucket)):
        if each.name.endswith(".parquet"):
            try:
                file = lake.fetch(each.name, workspace)
                provenance = Provenance.read(file)
                _read_through(lake, file)
            except _UNUSABLE:
                continue
            found.append((file, provenance.listed_at))
    return found


def _read_through(lake: Lake, file: Path) -> None:
    """Read a file that has no proof. Raises OSError or an error of Arrow if it is damaged."""
    if not lake.is_proved(file):
        with pq.ParquetFile(file) as table:
            for number in range(table.num_row_groups):
                table.read_row_group(number)
