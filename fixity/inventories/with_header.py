"""Data files of a list that are CSV with a header, or Parquet: fetched, and as SQL that scans them.

What their columns mean is told by whoever knows the provider (`gcs`, `azure`).
"""

from __future__ import annotations

import csv
import re
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.humanize import printable
from fixity.inventories import rows
from fixity.inventories.folder import ListFolder, ListRefused
from fixity.inventories.s3_inventory import ProvidedList
from fixity.lake.database import quoted

COLUMNS = tuple(name for name in rows.COLUMNS if name != "version_id")
"""The columns of a list of current versions."""


def fetch(
    folder: ListFolder, provided: ProvidedList, needed: tuple[str, ...], workspace: Path
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Download the files of a list, with the columns `needed`.

    Returns the files' URLs by their local paths, and the columns, which all of them have.
    Raises ListRefused, BucketUnreachable.
    """
    urls: dict[str, str] = {}
    found: set[tuple[str, ...]] = set()
    for number, each in enumerate(provided.files):
        file = workspace / f"{number}{PurePosixPath(each.name).suffix}"
        folder.download(each.name, file, each.size, each.md5)
        urls[str(file)] = url = folder.url(each.name)
        found.add(_columns(file, url, needed))
    if len(found) > 1:
        raise ListRefused(f"the files of {provided.url} have different columns: wait for the next list")
    return urls, next(iter(found), ())


def scan_of(files: list[str], names: tuple[str, ...]) -> str:
    """SQL for the rows of files, with the columns `names`, as text from CSV, and `filename`."""
    paths = f"[{', '.join(map(quoted, files))}]"
    if files[0].endswith(".parquet"):
        return f"read_parquet({paths}, filename = true)"
    columns = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in names)
    return (
        f"read_csv({paths}, filename = true, columns = {{{columns}}}, header = true, auto_detect = false, "
        f"delim = {quoted(_delimiter(Path(files[0])))}, quote = '\"', escape = '\"')"
    )


def _columns(file: Path, url: str, needed: tuple[str, ...]) -> tuple[str, ...]:
    """The columns of a file. Raises ListRefused where some are missing, or nobody knows which they are."""
    try:
        if file.suffix == ".parquet":
            names = pq.read_schema(file).names
        else:
            with file.open(encoding="utf-8", newline="") as lines:
                names = next(csv.reader([lines.readline()], delimiter=_delimiter(file)), [])
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ListRefused(f"{url} cannot be read: {printable(error)}: wait for the next list") from error
    has = {name.lower() for name in names}
    lacks = [name for name in needed if name.lower() not in has]
    if lacks:
        raise ListRefused(
            f"{url} lacks the columns {', '.join(lacks)}: let the lists have these fields and, "
            "as CSV, a header"
        )
    return tuple(names)


def _delimiter(file: Path) -> str:
    """What follows the first name of a header."""
    with file.open(encoding="utf-8", newline="") as lines:
        found = re.match(r'"?[\w-]+"?([^\w-])', lines.readline())
    return found[1] if found and found[1] not in '\r\n"' else ","
