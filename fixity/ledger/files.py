"""The files of the ledger: those that can be read, and those that cannot, with the reason.

A truncated or foreign file is left out and reported. All other files are still used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Container, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.clock import utc_now
from fixity.lake import Lake, LakeFile
from fixity.lake.known_columns import with_known_columns
from fixity.lake.latest import pointed_runs
from fixity.lake.paths import checksums_folder, ingest_folder, records_folder
from fixity.lake.proof import BEING_PUT, accepted_as_lost, accepted_on, proved_file
from fixity.lake.ranges import Piece, pieces_in_footer
from fixity.lake.times import as_counted, counted_as
from fixity.lake.withdrawn import withdrawn_from
from fixity.tables import CHECKSUMS, INGEST, Provenance, TableUnreadable

_NOT_ALWAYS_KEPT = frozenset(
    (
        "storage_class",
        "is_latest",
        "checksum_type",
        "evidence",
        "expected",
        "expected_algorithm",
        "expected_from",
        "verdict",
        "reads",
        "other_checksums",
        "lost_records",
    )
)
"""Columns that files of earlier versions lack."""


@dataclass(frozen=True)
class LedgerFile:
    """A file of the ledger as it can be read: its name in the lake, a local path, its rows and bytes.

    At `path` are the platform's own columns alone, with times as they count (`fixity.lake.times`).
    software: what made its checks, with the version; None where it does not say so. is_proved: whether the
    file was compared with its proof. pieces: its row groups, if its footer shows them in the order of keys.
    """

    name: str
    path: Path
    rows: int
    size: int
    software: str | None
    is_proved: bool
    pieces: tuple[Piece, ...] | None


@dataclass(frozen=True)
class LeftOut:
    """A file of the ledger that cannot be read: its name, its size in bytes, and why."""

    name: str
    size: int
    why: str


def ledger_files(lake: Lake, bucket: str) -> list[LakeFile]:
    """All files of a bucket's ledger, by name. Raises LakeError."""
    return [file for file in lake.list(checksums_folder(bucket)) if file.name.endswith(".parquet")]


def ingest_tables(lake: Lake, bucket: str) -> list[LakeFile]:
    """All tables of a bucket's ingest runs, by name. Raises LakeError."""
    return [file for file in lake.list(ingest_folder(bucket)) if file.name.endswith(".parquet")]


class Proofs(NamedTuple):
    """The proofs of a bucket's ledger: when each appeared (UTC), and the files that people accepted as lost.

    accepted: how many files, or losses, people accepted on which day.
    """

    there: dict[str, datetime]
    lost: set[str]
    accepted: dict[str, int]


def proofs_there(lake: Lake, bucket: str) -> Proofs:
    """The proofs of a bucket's ledger, by their names alone. Raises LakeError."""
    there = {file.name: file.appeared for file in lake.list(records_folder(checksums_folder(bucket)))}
    days = Counter(day for day in map(accepted_on, sorted(there)) if day)
    return Proofs(there, {name for name in map(accepted_as_lost, there) if name}, dict(days))


def gone_from_ledger(
    lake: Lake, bucket: str, folded: Iterable[str], files: Iterable[LakeFile], proofs: Proofs
) -> list[LeftOut]:
    """Files of a bucket's ledger that are named somewhere, but are gone, and not withdrawn or given up.

    Named they are by their proofs, the folder's pointer, and what was folded.
    Arguments: `folded`, the runs of the snapshot; `files`, those of the ledger. Raises LakeError.
    """
    folder, before = checksums_folder(bucket), utc_now() - BEING_PUT
    runs = {*folded, *pointed_runs(lake, folder)}
    named = {f"{folder}{run}.parquet": "it was there once" for run in runs}
    for record, appeared in proofs.there.items():
        name = proved_file(record)
        if name and name.endswith(".parquet") and appeared < before:
            named[name] = f"its record {record} is there"
    gone = named.keys() - {file.name for file in files} - proofs.lost
    if gone:  # a run may have put one since
        gone -= {file.name for file in ledger_files(lake, bucket)} | withdrawn_from(lake)
    to_do = "restore it from a copy of the lake. If it is lost for good: fixity lake accept --lost"
    return [LeftOut(name, 0, f"is gone, though {named[name]}: {to_do}") for name in sorted(gone)]


def run_of(name: str) -> str:
    """The run that wrote a file of the ledger, as its name says."""
    return name.rpartition("/")[2].removesuffix(".parquet")


def usable_files(
    lake: Lake,
    bucket: str,
    files: Collection[LakeFile],
    workspace: Path,
    thoroughly: bool = False,
    doubted: Container[str] = (),
) -> tuple[list[LedgerFile], list[LeftOut]]:
    """Fetch files of the ledger or of ingest, and separate those that can be read from those that cannot.

    Columns that another program added are left out.

    Arguments: `thoroughly`, whether files of earlier versions, which have no proof, are read through, or only
    their footers; `doubted`, names of files that are read through in any case. Raises LakeError.
    """

    folders = {file.name.rpartition("/")[0] + "/" for file in files}
    counted = {folder + run: at for folder in folders for run, at in counted_as(lake, folder).items()}

    def look(file: LakeFile) -> LedgerFile | LeftOut:
        schema = INGEST if file.name.startswith(ingest_folder(bucket)) else CHECKSUMS
        path = Path(lake.location(file.name))
        try:
            path = lake.fetch(file.name, workspace)
            is_proved = lake.is_proved(path)
            through = not is_proved and (thoroughly or file.name in doubted)
            with pq.ParquetFile(path) as table:
                software = _look(table, path, bucket, through, schema)
                rows, pieces = int(table.metadata.num_rows), pieces_in_footer(table.metadata)
                path = with_known_columns(table, schema, workspace / "known-columns" / file.name) or path
            if (at := counted.get(file.name.removesuffix(".parquet"))) is not None:
                path = as_counted(path, at, workspace / "as-counted" / file.name)
            return LedgerFile(file.name, path, rows, file.size, software, is_proved, pieces)
        except FileNotFoundError:
            raise
        except (pa.ArrowException, OSError, TableUnreadable, ValueError) as error:
            why = str(error).replace(str(path), "it").replace(lake.location(file.name), "it")
            return LeftOut(file.name, file.size, f"cannot be used: {why}")

    with ThreadPoolExecutor(lake.at_once) as pool:
        looked = list(pool.map(look, files))
    return (
        [file for file in looked if isinstance(file, LedgerFile)],
        [file for file in looked if isinstance(file, LeftOut)],
    )


def _look(table: pq.ParquetFile, path: Path, bucket: str, thoroughly: bool, wanted: pa.Schema) -> str | None:
    """What made a table's checks. Raises where it is not what it should be."""
    needed = [name for name in wanted.names if name not in _NOT_ALWAYS_KEPT]
    schema = table.schema_arrow
    there = set(schema.names)
    missing = [name for name in needed if name not in there]
    if missing:
        raise ValueError(f"it has no column {', '.join(missing)}")
    for name in needed:
        if not _alike(schema.field(name).type, wanted.field(name).type):
            raise ValueError(f"its column {name} is {schema.field(name).type}")
    provenance = Provenance.from_metadata(schema.metadata, path)
    if provenance.bucket != bucket:
        raise ValueError(f"it is of the bucket '{provenance.bucket}'")
    if thoroughly:
        for number in range(table.num_row_groups):
            table.read_row_group(number)
    return provenance.software


def _alike(found: pa.DataType, wanted: pa.DataType) -> bool:
    if pa.types.is_dictionary(found):
        found = found.value_type
    if pa.types.is_string(wanted):
        return bool(pa.types.is_string(found) or pa.types.is_large_string(found) or pa.types.is_null(found))
    if pa.types.is_timestamp(wanted):
        return bool(pa.types.is_null(found) or (pa.types.is_timestamp(found) and found.tz is not None))
    return bool(found == wanted)


def changed_since_folded(ledger: list[LakeFile], folded: dict[str, int]) -> list[LeftOut]:
    """Files of the ledger that have changed since they were folded: what was folded still counts."""
    return [
        LeftOut(
            file.name,
            file.size,
            f"cannot be used: it had {folded[run_of(file.name)]:,} bytes when it was folded, and has "
            f"{file.size:,} now; restore it from a copy of the lake",
        )
        for file in ledger
        if folded.get(run_of(file.name), file.size) != file.size
    ]
