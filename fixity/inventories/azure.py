"""Blob inventories of Azure: which is the newest, what its manifest says, and its rows.

The form (Microsoft's page "Azure Storage blob inventory"), in `<YYYY>/<MM>/<DD>/<HH-MM-SS>/<rule>/`:
`<rule>-manifest.json`, `<rule>-manifest.checksum` (the MD5 of the manifest, written last), and files in CSV
or Parquet that the manifest names with their sizes. A rule may list all containers of
an account; a bucket's own rows begin with its name. A run takes hours, and is no moment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from fixity.catalog import Bucket
from fixity.humanize import printable
from fixity.inventories.folder import Complete, ListFolder, ListRefused
from fixity.inventories.rows import sort_rows
from fixity.inventories.s3_inventory import DataFile, ProvidedList, read_proved, refuse_by_age
from fixity.inventories.with_header import COLUMNS, fetch, scan_of

_CHECKSUM = re.compile(r"(\d{4})/(\d\d)/(\d\d)/(\d\d-\d\d-\d\d)/([^/]+)/\5-manifest\.checksum")
_NEEDED = ("Name", "Last-Modified", "ETag", "Content-Length", "AccessTier")
_NOT_CURRENT = {
    ("Snapshot",): "{} <> ''",
    ("Deleted",): "{} = 'true'",
    ("hdi_isfolder",): "{} = 'true'",
    # Azure does not say what it writes of former versions. A blob from before versioning has no VersionId.
    ("VersionId", "IsCurrentVersion"): "({} <> '' AND {} <> 'true')",
}
"""Columns that a list may have, and what they say of a row that is no current blob."""
_ROWS = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")


def complete_runs(folder: ListFolder, now: datetime) -> Complete:
    """All runs that are complete, by their names: when it began, and the rule. Raises BucketUnreachable."""
    found = filter(None, map(_CHECKSUM.fullmatch, folder.names("2")))  # how the years begin
    names = (f"{each[1]}-{each[2]}-{each[3]}T{each[4]} {each[5]}" for each in found)
    return Complete.of(names, folder.url(""), now)


@dataclass(frozen=True)
class AzureLists:
    """The blob inventories in a folder."""

    folder: ListFolder

    def describe(self, name: str | None, bucket: Bucket, now: datetime) -> ProvidedList:
        """See `fixity.inventories.take.Provider`."""
        assert bucket.inventory is not None
        newest, passed_over = self._newest(now)  # also where one is named: of several rules, none is guessed
        name = name or newest
        at, _, rule = name.partition(" ")
        place = f"{at[:10].replace('-', '/')}/{at[11:]}/{rule}/{rule}-manifest"
        url = self.folder.url(f"{place}.json")
        content, md5 = read_proved(self.folder, f"{place}.json", f"{place}.checksum")
        try:
            manifest = json.loads(content)
            files = tuple(DataFile(str(each["blob"]), int(each["size"])) for each in manifest["files"])
            listed_at = datetime.fromisoformat(manifest["inventoryStartTime"])
            status, rows = str(manifest["status"]), int(manifest["summary"]["objectCount"])
            filters = manifest["ruleDefinition"].get("filters") or {}
            if listed_at.tzinfo is None or len({file.name for file in files}) < len(files):
                raise ValueError(f"of {listed_at}, with {len(files)} files")
            _refuse_a_part(url, filters, bucket)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ListRefused(
                f"{url} is no manifest of a blob inventory ({printable(repr(error), 200)}): name the "
                "destination container of the rule in `inventory.at`"
            ) from error
        if status != "Succeeded":
            raise ListRefused(f"{url} says that its run is {printable(status, 50)}: wait for the next one")
        kinds = filters.get("blobTypes") or []
        notes: tuple[str, ...] = (
            ()
            if len(kinds) in (0, 3)
            else (f"{url} lists only blobs of the type {', '.join(map(str, kinds))}",)
        )
        notes += passed_over
        provided = ProvidedList(
            name, url, listed_at, "report", COLUMNS, files, rows=rows, notes=notes, md5=md5, has_others=True
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
        scan = _scan(list(urls), names) if urls else ""
        return sort_rows(scan, provided, bucket, workspace, urls, note)

    def _newest(self, now: datetime) -> tuple[str, tuple[str, ...]]:
        """The newest run, and notes for people. Raises ListRefused, also where rules are several."""
        complete = complete_runs(self.folder, now)
        url = self.folder.url("")
        newest = complete.newest(
            f"there is no complete blob inventory in {url} yet: see whether `inventory.at` names the "
            "destination container of the rule"
        )
        rules = {name.partition(" ")[2] for name in complete.names}
        if len(rules) > 1:
            raise ListRefused(
                f"{url} has the inventories of the rules {printable(', '.join(sorted(rules)), 200)}: let "
                "each rule have a container of its own, or remove the runs of the others"
            )
        return newest, complete.notes


def _refuse_a_part(url: str, filters: dict[str, Any], bucket: Bucket) -> None:
    """Refuse the list of a rule that leaves out a part of the bucket. Raises ListRefused."""
    if filters.get("creationTime"):
        raise ListRefused(
            f"the rule of {url} lists only blobs that were created in the last days (`creationTime`): let it "
            "list all of them"
        )
    wanted = f"{bucket.real_name}/{bucket.prefix}"
    included = filters.get("prefixMatch") or [""]
    excluded = filters.get("excludePrefix") or []
    within = [each for each in excluded if each.startswith(wanted) or wanted.startswith(each)]
    if within or not any(wanted.startswith(each) for each in included):
        said = f"excludes {', '.join(within)}" if within else f"lists only {', '.join(included)}"
        raise ListRefused(
            f"the rule of {url} {printable(said, 200)}, which is not all of '{bucket.name}' ({wanted}): let "
            "it list all of it, or give the bucket a `prefix` that it lists"
        )


def _scan(files: list[str], names: tuple[str, ...]) -> str:
    """SQL for the rows of files, with the columns of `COLUMNS`."""
    has = {name.lower() for name in names}
    said = [
        says.format(*(f"lower(coalesce(\"{name}\"::VARCHAR, ''))" for name in of))
        for of, says in _NOT_CURRENT.items()
        if has.issuperset(map(str.lower, of))
    ]
    return _ROWS.format(scan=scan_of(files, names), not_current=" OR ".join(said) or "false")
