"""Reads the data files of a provider's list into one table of the inventory's columns, sorted by key.

`rows.sql` says what a row means. Files are in no order, nor are their rows: DuckDB sorts, and spills. Finding
lists does not belong here.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import orc

from fixity.catalog import Bucket
from fixity.humanize import printable
from fixity.inventories.folder import ListFolder, ListRefused
from fixity.inventories.s3_inventory import (
    DataFile,
    ProvidedList,
    newest_list,
    read_manifest,
    refuse_other_prefix,
)
from fixity.lake.database import new_database, quoted
from fixity.lake.writer import ROW_GROUP_ROWS
from fixity.tables import INVENTORY

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_SQL = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
_NOT_CURRENT = Path(__file__).with_name("not_current.sql").read_text(encoding="utf-8")
_MEMORY = "700MB"
_CHUNK = 1 << 20  # bytes
_AT_ONCE = 4  # downloads
_MAGIC = {"CSV": b"\x1f\x8b", "ORC": b"ORC", "Parquet": b"PAR1"}
COLUMNS = (
    "bucket",
    "key",
    "version_id",
    "is_latest",
    "is_delete_marker",
    "size",
    "last_modified_date",
    "e_tag",
    "storage_class",
    "checksum_algorithm",
)
"""The columns of a list that an inventory is made of, spelled as in ORC and Parquet."""
_MARK = "refused: "

LISTED = pa.schema([*INVENTORY, pa.field("written", pa.string())])
"""The rows of a list. written: the key as it stands in a URL-encoded list, where that is another text."""


@dataclass(frozen=True)
class S3Inventory:
    """The lists of S3 Inventory in a folder. s3: asks AWS for their configuration; None elsewhere."""

    folder: ListFolder
    s3: S3Client | None = None

    def describe(self, name: str | None, bucket: Bucket, now: datetime) -> ProvidedList:
        """See `fixity.inventories.take.Provider`."""
        name, notes = (name, ()) if name else newest_list(self.folder, now)
        provided = read_manifest(self.folder, name, bucket, now)
        notes += refuse_other_prefix(self.s3, bucket) if self.s3 else ()
        return replace(provided, notes=notes)

    def rows(
        self, provided: ProvidedList, bucket: Bucket, workspace: Path, note: Callable[[str], None]
    ) -> Path:
        """See `fixity.inventories.take.Provider`."""
        return sorted_rows(self.folder, provided, bucket, workspace, note)


def sorted_rows(
    folder: ListFolder,
    provided: ProvidedList,
    bucket: Bucket,
    workspace: Path,
    note: Callable[[str], None],
) -> Path:
    """A table in `workspace` with what a list says of a bucket (`LISTED`), sorted by key and version.

    Objects may be in it more than once, as the list has them. Arguments: `note` takes what is odd about the
    rows, for people. Raises ListRefused, BucketUnreachable.
    """

    def fetch(numbered: tuple[int, DataFile]) -> Path:
        number, file = numbered
        local = workspace / f"{number}.data"
        folder.download(file.name, local, file.size, file.md5)
        return _as_parquet(local, folder.url(file.name), provided)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        files = list(pool.map(fetch, enumerate(provided.files)))
    urls = {str(path): folder.url(file.name) for path, file in zip(files, provided.files, strict=True)}
    return sort_rows(_scan(provided, files), provided, bucket, workspace, urls, note)


def sort_rows(
    scan: str,
    provided: ProvidedList,
    bucket: Bucket,
    workspace: Path,
    urls: Mapping[str, str],
    note: Callable[[str], None] = lambda text: None,
) -> Path:
    """As `sorted_rows`, from local files, which are removed.

    Arguments: `scan`, SQL for their rows, with the columns of the list and `filename`; `urls`, the names of
    the files for people; `note`, as of `sorted_rows`. Raises ListRefused.
    """
    table = workspace / "listed.parquet"
    if not urls:
        _refuse_other_count(provided, 0)
        pq.write_table(LISTED.empty_table(), table)
        return table
    parameters = {
        "bucket": bucket.real_name,
        "prefix": bucket.prefix,
        "all": bucket.versions == "all",
        "versions": provided.has_versions,
        "others": provided.has_others,
        "encoded": provided.format == "CSV",
        "mark": _MARK,
    }
    with new_database(workspace, _MEMORY) as database, _refusing(provided, urls):
        database.execute("SET TimeZone = 'UTC'")  # of the times that do not say theirs
        database.execute("SET preserve_insertion_order = false")
        columns = ", ".join(
            name if name in provided.columns else f"NULL::VARCHAR AS {name}" for name in COLUMNS
        )
        database.execute(f"CREATE TEMP VIEW rows AS SELECT {columns}, filename FROM {scan}")
        if provided.rows is not None:
            ((count,),) = database.execute("SELECT count(*) FROM rows").fetchall()
            _refuse_other_count(provided, count)
        database.execute(
            f"COPY ({_SQL}) TO {quoted(table)} "
            f"(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE {ROW_GROUP_ROWS})",
            parameters,
        )
        if provided.has_versions:
            _note_not_current(database, provided, bucket, note)
        if provided.has_others:
            _note_only_others(database, provided, bucket, note)
    for file in urls:
        Path(file).unlink()
    return table


def _note_not_current(
    database: duckdb.DuckDBPyConnection, provided: ProvidedList, bucket: Bucket, note: Callable[[str], None]
) -> None:
    """Say of how many keys a list has no current version."""
    asked = {"prefix": bucket.prefix, "encoded": provided.format == "CSV"}
    ((count, first),) = database.execute(_NOT_CURRENT, asked).fetchall()
    if count:
        note(
            f"{provided.url} has no current version of {count:,} of its keys, such as "
            f"'{printable(first, 200)}': they were overwritten while it was made. These objects may be "
            "missing in the inventory until the next list"
        )


def _note_only_others(
    database: duckdb.DuckDBPyConnection, provided: ProvidedList, bucket: Bucket, note: Callable[[str], None]
) -> None:
    """Say that a list has rows, and all of other buckets: it may be the list of another one."""
    ((count, own, first),) = database.execute(
        "SELECT count(*), count(*) FILTER (bucket = $bucket), min(bucket) FROM rows",
        {"bucket": bucket.real_name},
    ).fetchall()
    if count and not own:
        note(
            f"{provided.url} lists nothing of '{bucket.real_name}': all of its {count:,} rows are of other "
            f"buckets, such as '{printable(first, 200)}'. If this bucket is not empty, see whether "
            "`inventory.at` names the folder of its own lists"
        )


def _refuse_other_count(provided: ProvidedList, count: int) -> None:
    if provided.rows not in (None, count):
        raise ListRefused(
            f"the files of {provided.url} have {count:,} rows, but it says {provided.rows:,}: wait for the "
            "next list"
        )


def _scan(provided: ProvidedList, files: list[Path]) -> str:
    paths = f"[{', '.join(map(quoted, files))}]"
    if provided.format != "CSV":
        return f"read_parquet({paths}, filename = true)"
    columns = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in provided.columns)
    return (
        f"read_csv({paths}, filename = true, columns = {{{columns}}}, header = false, delim = ',', quote = "
        "'\"', "
        "escape = '\"', compression = 'gzip', auto_detect = false)"
    )


def _as_parquet(file: Path, url: str, provided: ProvidedList) -> Path:
    """A data file as DuckDB can read it, if it has the form and the columns that the manifest says."""
    with file.open("rb") as content:
        begins = content.read(4)
    if not begins.startswith(_MAGIC[provided.format]):
        is_like = next((kind for kind, magic in _MAGIC.items() if begins.startswith(magic)), "another form")
        raise ListRefused(
            f"{url} is {is_like}, but the manifest says {provided.format}: wait for the next list"
        )
    if provided.format == "CSV":
        _refuse_a_cut(file, url)
        return file
    try:
        if provided.format == "Parquet":
            _refuse_other_columns(pq.read_schema(file), url, provided)
            return file
        with pa.OSFile(str(file)) as source:
            rows = orc.ORCFile(source)
            _refuse_other_columns(rows.schema, url, provided)
            wanted = [name for name in COLUMNS if name in provided.columns]
            table = file.with_suffix(".parquet")
            schema = pa.schema([rows.schema.field(name) for name in wanted])
            with pq.ParquetWriter(table, schema) as writer:
                for number in range(rows.nstripes):
                    writer.write_batch(rows.read_stripe(number, wanted).select(wanted))
    except (pa.ArrowException, OSError) as error:
        raise ListRefused(f"{url} cannot be read: {printable(error)}: wait for the next list") from error
    file.unlink()
    return table


def _refuse_other_columns(schema: pa.Schema, url: str, provided: ProvidedList) -> None:
    if sorted(schema.names) != sorted(provided.columns):
        raise ListRefused(
            f"{url} has the columns {printable(', '.join(schema.names))}, but the manifest says "
            f"{printable(', '.join(provided.columns))}: wait for the next list"
        )
    for name in ("bucket", "key", "version_id", "e_tag", "storage_class", "checksum_algorithm"):
        if name in schema.names and schema.field(name).type not in (pa.string(), pa.large_string()):
            raise ListRefused(f"{url} has the column {name}, which is not text: wait for the next list")


def _refuse_a_cut(file: Path, url: str) -> None:
    """Refuse a file that is no whole gzip: DuckDB reads one that is cut as far as it goes, without a word."""
    try:
        with gzip.open(file) as content:
            while content.read(_CHUNK):
                pass
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ListRefused(
            f"{url} is no whole gzip ({printable(error, 100)}): it was cut, or something else stands behind "
            "it. Nothing of this list is used: wait for the next one, put the file back, or list the bucket "
            "without `inventory`"
        ) from error


@contextmanager
def _refusing(provided: ProvidedList, urls: Mapping[str, str]) -> Iterator[None]:
    """Turn DuckDB's errors into refusals that name the file in the store."""
    try:
        yield
    except (duckdb.OutOfMemoryException, duckdb.IOException):
        raise
    except duckdb.Error as error:
        text = str(error)
        _, is_ours, reason = text.partition(_MARK)
        said = reason if is_ours else " ".join(text.partition("Possible")[0].split())
        for path, url in sorted(urls.items(), key=lambda each: -len(each[0])):
            said = said.replace(path, url)
        place = said if is_ours else f"{provided.url}: its rows cannot be read: {said}"
        raise ListRefused(
            f"{printable(place)}. Nothing of this list is used: wait for the next one, or list the bucket "
            "without "
            "`inventory`"
        ) from error
