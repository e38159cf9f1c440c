"""The files of the ledger: those that can be read, and those that cannot, with the reason.

A truncated or foreign file is left out and reported. All other files are still used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Container
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.lake import Lake, LakeFile
from fixity.lake.known_columns import with_known_columns
from fixity.lake.paths import checksums_folder, ingest_folder, records_folder
from fixity.lake.proof import accepted_on
from fixity.lake.times import as_counted, counted_as
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
    file was compared with its proof.
    """

    name: str
    path: Path
    rows: int
    size: int
    software: str | None
    is_proved: bool


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


def proofs_there(lake: Lake, bucket: str) -> tuple[set[str], dict[str, int]]:
    """The names of the proofs of a bucket's ledger, and how many files people accepted on which day.

    Raises LakeError.
    """
    there = {file.name for file in lake.list(records_folder(checksums_folder(bucket)))}
    days = Counter(day for day in map(accepted_on, sorted(there)) if day)
    return there, dict(days)


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
            rows, software = _look(path, bucket, through, schema)
            path = with_known_columns(path, schema, workspace / "known-columns" / file.name)
            if (at := counted.get(file.name.removesuffix(".parquet"))) is not None:
                path = as_counted(path, at, workspace / "as-counted" / file.name)
            return LedgerFile(file.name, path, rows, file.size, software, is_proved)
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


def _look(path: Path, bucket: str, thoroughly: bool, wanted: pa.Schema) -> tuple[int, str | None]:
    needed = [name for name in wanted.names if name not in _NOT_ALWAYS_KEPT]
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        missing = [name for name in needed if name not in schema.names]
        if missing:
            raise ValueError(f"it has no column {', '.join(missing)}")
        for name in needed:
            if not _alike(schema.field(name).type, wanted.field(name).type):
                raise ValueError(f"its column {name} is {schema.field(name).type}")
        provenance = Provenance.from_metadata(schema.metadata, path)
        if provenance.bucket != bucket:
            raise ValueError(f"it is of the bucket '{provenance.bucket}'")
        if thoroughly:
            for number in range(file.num_row_groups):
                file.read_row_group(number)
        return int(file.metadata.num_rows), provenance.software


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
