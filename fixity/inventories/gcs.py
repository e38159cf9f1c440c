"""Inventory reports of Google Cloud Storage: which is the newest, what its manifest says, and its rows.

The form: `<configuration>_<time>_manifest.json` (written last), and shards in CSV or Parquet that it names.
There are no digests of the shards, but a count of all rows. All rows are of one moment. An ETag is spelled as
Google's XML API is said to list it: the MD5 of the bytes, or `-` and Google's own ETag for a composite one.
That this is so is asked of the bucket each time (`fixity.inventories.doubts`).
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.catalog import Bucket
from fixity.humanize import printable
from fixity.inventories.folder import ListFolder, ListRefused
from fixity.inventories.rows import sort_rows
from fixity.inventories.s3_inventory import DataFile, ProvidedList, refuse_by_age
from fixity.lake.database import quoted

_MANIFEST = re.compile(r"([0-9A-Fa-f-]{36})_(\d{4}-\d\d-\d\dT\d\d:\d\d)_manifest\.json")
_NEEDED = ("bucket", "name", "size", "updated", "storageClass", "etag", "md5Hash")
_COLUMNS = (
    "bucket",
    "key",
    "is_latest",
    "is_delete_marker",
    "size",
    "last_modified_date",
    "e_tag",
    "storage_class",
)
_ROWS = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")


def complete_reports(folder: ListFolder) -> list[str]:
    """The names of all reports that are complete, the oldest first. Raises BucketUnreachable."""
    found = filter(None, map(_MANIFEST.fullmatch, folder.names("")))
    return sorted(f"{each[2]} {each[1]}" for each in found)


@dataclass(frozen=True)
class GoogleReports:
    """The inventory reports in a folder."""

    folder: ListFolder

    def describe(self, name: str | None, bucket: Bucket, now: datetime) -> ProvidedList:
        """See `fixity.inventories.take.Provider`."""
        assert bucket.inventory is not None
        names = [name] if name else complete_reports(self.folder)
        if not names:
            raise ListRefused(
                f"there is no complete report in {self.folder.url('')} yet: see whether `inventory.at` "
                "names the "
                "destination of the reports"
            )
        at, _, configuration = names[-1].partition(" ")
        place = f"{configuration}_{at}_manifest.json"
        url = self.folder.url(place)
        try:
            content = self.folder.read(place)
            manifest = json.loads(content)
            shards = tuple(DataFile(str(each), 0, "") for each in manifest["report_shards_file_names"])
            rows, count = int(manifest["records_processed"]), int(manifest.get("shard_count", len(shards)))
            listed_at = datetime.fromisoformat(manifest["snapshot_time"])
            if listed_at.tzinfo is None or count != len(shards):
                raise ValueError(f"{len(shards)} of {count} shards, of {listed_at}")
            if len(set(shards)) < count:
                raise ValueError("a shard is named twice")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ListRefused(
                f"{url} is no manifest of an inventory report ({printable(repr(error), 200)}): name the "
                "destination of the reports in `inventory.at`"
            ) from error
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        provided = ProvidedList(names[-1], url, listed_at, "report", _COLUMNS, shards, rows=rows, md5=md5)
        refuse_by_age(provided, bucket.inventory, now)
        return provided

    def rows(self, provided: ProvidedList, bucket: Bucket, workspace: Path) -> Path:
        """See `fixity.inventories.take.Provider`."""
        urls: dict[str, str] = {}
        names: set[tuple[str, ...]] = set()
        for number, shard in enumerate(provided.files):
            file = workspace / f"{number}{PurePosixPath(shard.name).suffix}"
            self.folder.download(shard.name, file)
            urls[str(file)] = url = self.folder.url(shard.name)
            names.add(_columns(file, url))
        if len(names) > 1:
            raise ListRefused(
                f"the shards of {provided.url} have different columns: wait for the next report"
            )
        scan = _scan(list(urls), next(iter(names), ()))
        return sort_rows(scan, provided, bucket, workspace, urls)


def _columns(file: Path, url: str) -> tuple[str, ...]:
    """The columns of a shard. Raises ListRefused where some are missing, or nobody knows which they are."""
    try:
        if file.suffix == ".parquet":
            names = pq.read_schema(file).names
        else:
            with file.open(encoding="utf-8", newline="") as lines:
                names = next(csv.reader([lines.readline()], delimiter=_delimiter(file)), [])
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ListRefused(f"{url} cannot be read: {printable(error)}: wait for the next report") from error
    lacks = [name for name in _NEEDED if name not in names]
    if lacks:
        raise ListRefused(
            f"{url} lacks the columns {', '.join(lacks)}: let the reports have these fields and, as CSV, a "
            "header"
        )
    return tuple(names)


def _delimiter(file: Path) -> str:
    """What follows the first name of a header."""
    with file.open(encoding="utf-8", newline="") as lines:
        found = re.match(r'"?\w+"?(\W)', lines.readline())
    return found[1] if found and found[1] not in '\r\n"' else ","


def _scan(files: list[str], names: tuple[str, ...]) -> str:
    """SQL for the rows of shards, with the columns of `_COLUMNS`."""
    if not files:
        return ""
    paths = f"[{', '.join(map(quoted, files))}]"
    if files[0].endswith(".parquet"):
        scan = f"read_parquet({paths}, filename = true)"
    else:
        columns = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in names)
        scan = (
            f"read_csv({paths}, filename = true, columns = {{{columns}}}, header = true, auto_detect = "
            "false, "
            f"delim = {quoted(_delimiter(Path(files[0])))}, quote = '\"', escape = '\"')"
        )
    is_latest = "coalesce(timeDeleted::VARCHAR, '') = ''" if "timeDeleted" in names else "true"
    return _ROWS.format(scan=scan, is_latest=is_latest)
