"""Inventory reports of Google Cloud Storage: which is the newest, what its manifest says, and its rows.

The form: `<configuration>_<time>_manifest.json` (written last), and shards in CSV or Parquet that it names.
There are no digests of the shards, but a count of all rows. All rows are of one moment. An ETag is spelled as
Google's XML API is said to list it: the MD5 of the bytes, or `-` and Google's own ETag for a composite one.
That this is so is asked of the bucket each time (`fixity.inventories.doubts`). Composite objects have no MD5
but a CRC32C: they are marked, so that whoever looks for records asks for it by HEAD.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fixity.catalog import Bucket
from fixity.humanize import printable
from fixity.inventories.folder import Complete, ListFolder, ListRefused
from fixity.inventories.rows import sort_rows
from fixity.inventories.s3_inventory import DataFile, ProvidedList, refuse_by_age
from fixity.inventories.with_header import COLUMNS, fetch, scan_of

_MANIFEST = re.compile(r"([0-9A-Fa-f-]{36})_(\d{4}-\d\d-\d\dT\d\d:\d\d)_manifest\.json")
_NEEDED = ("bucket", "name", "size", "updated", "storageClass", "etag", "md5Hash")
_ROWS = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")


def complete_reports(folder: ListFolder, now: datetime) -> Complete:
    """All reports that are complete. Raises BucketUnreachable."""
    found = filter(None, map(_MANIFEST.fullmatch, folder.names("")))
    return Complete.of((f"{each[2]} {each[1]}" for each in found), folder.url(""), now)


@dataclass(frozen=True)
class GoogleReports:
    """The inventory reports in a folder."""

    folder: ListFolder

    def describe(self, name: str | None, bucket: Bucket, now: datetime) -> ProvidedList:
        """See `fixity.inventories.take.Provider`."""
        assert bucket.inventory is not None
        complete = Complete((name,), ()) if name else complete_reports(self.folder, now)
        name = complete.newest(
            f"there is no complete report in {self.folder.url('')} yet: see whether `inventory.at` names the "
            "destination of the reports"
        )
        at, _, configuration = name.partition(" ")
        place = f"{configuration}_{at}_manifest.json"
        url = self.folder.url(place)
        try:
            content = self.folder.read(place)
            manifest = json.loads(content)
            shards = tuple(DataFile(str(each)) for each in manifest["report_shards_file_names"])
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
        provided = ProvidedList(
            name, url, listed_at, "report", COLUMNS, shards, rows=rows, notes=complete.notes, md5=md5
        )
        refuse_by_age(provided, bucket.inventory, now)
        return provided

    def rows(
        self,
        provided: ProvidedList,
        bucket: Bucket,
        workspace: Path,
        note: Callable[[str], None],
    ) -> Path:
        """See `fixity.inventories.take.Provider`."""
        urls, names = fetch(self.folder, provided, _NEEDED, workspace)
        return sort_rows(_scan(list(urls), names), provided, bucket, workspace, urls)


def _scan(files: list[str], names: tuple[str, ...]) -> str:
    """SQL for the rows of shards, with the columns of `COLUMNS`."""
    if not files:
        return ""
    is_latest = "coalesce(timeDeleted::VARCHAR, '') = ''" if "timeDeleted" in names else "true"
    has_crc32c = "coalesce(crc32c, '') <> ''" if "crc32c" in names else "false"
    return _ROWS.format(scan=scan_of(files, names), is_latest=is_latest, has_crc32c=has_crc32c)
