"""S3 Inventory: which list is the newest, and what its manifest says, proved.

The form: `<date>/manifest.json`, `<date>/manifest.checksum` (written last), and data files that the manifest
names, with the size and the MD5 of each. The rows of data files do not belong here.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from fixity.catalog import Bucket
from fixity.catalog.inventory import ProvidedInventory
from fixity.clock import EPOCH
from fixity.humanize import printable
from fixity.inventories.folder import LIST_AHEAD, Complete, ListFolder, ListRefused

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Format = Literal["CSV", "ORC", "Parquet", "Iceberg", "report"]

_LIST = re.compile(r"(\d{4}-\d\d-\d\dT\d\d-\d\dZ)/manifest\.checksum")
_MILLENNIUM = "2"  # how the folders of lists begin; those of their data files, `data/`, are not listed
_MD5 = re.compile(r"[0-9a-f]{32}")
_SCHEMAS: dict[Format, re.Pattern[str]] = {
    "CSV": re.compile(r"(\w+)\s*(?:,|$)"),
    "ORC": re.compile(r"[<,]\s*(\w+)\s*:"),
    "Parquet": re.compile(r"(?:required|optional)\s+\w+\s+(\w+)"),
}
_VERSIONS = ("version_id", "is_latest", "is_delete_marker")
_NEEDED = {
    "bucket": "Bucket",
    "key": "Key",
    "size": "Size",
    "last_modified_date": "LastModifiedDate",
    "e_tag": "ETag",
    "storage_class": "StorageClass",
}


@dataclass(frozen=True)
class DataFile:
    """A file with rows of a list: its name in the folder of lists, and, where the manifest says them, its
    size in bytes and its MD5 in hex."""

    name: str
    size: int | None = None
    md5: str | None = None


@dataclass(frozen=True)
class ProvidedList:
    """A list as its manifest describes it. name: of its folder. url: of its manifest, for people. listed_at:
    when its scan began (UTC). columns: in their order, spelled as in ORC and Parquet. files: with its rows.
    rows: how many it has; None if it does not say. notes: what could not be proved, for people. md5: of the
    manifest; '' where the name alone says which list it is. has_others: whether it lists other buckets
    too."""

    name: str
    url: str
    listed_at: datetime
    format: Format
    columns: tuple[str, ...]
    files: tuple[DataFile, ...]
    rows: int | None = None
    notes: tuple[str, ...] = ()
    md5: str = ""
    has_others: bool = False

    @property
    def has_versions(self) -> bool:
        """Whether it lists all versions, not only current ones."""
        return set(_VERSIONS) <= set(self.columns)


def complete_lists(folder: ListFolder, now: datetime) -> Complete:
    """All lists that are complete. Raises BucketUnreachable."""
    found = (_LIST.fullmatch(name) for name in folder.names(_MILLENNIUM))
    return Complete.of((each[1] for each in found if each), folder.url(""), now)


def newest_list(folder: ListFolder, now: datetime) -> tuple[str, tuple[str, ...]]:
    """The name of the newest list, and notes for people. Raises ListRefused, BucketUnreachable."""
    complete = complete_lists(folder, now)
    none = (
        f"there is no complete list in {folder.url('')} yet: a provider writes the first one up to 48 hours "
        "after it was configured, and `manifest.checksum` last. See whether `inventory.at` names the folder "
        "that has the folders named by date"
    )
    return complete.newest(none), complete.notes


def read_manifest(folder: ListFolder, name: str, bucket: Bucket, now: datetime) -> ProvidedList:
    """What the manifest of a list says, proved by its checksum and held against the catalog.

    Raises ListRefused, BucketUnreachable.
    """
    place = f"{name}/manifest.json"
    url = folder.url(place)
    content, found = read_proved(folder, place, f"{name}/manifest.checksum")
    try:
        manifest = json.loads(content)
        listed_at = EPOCH + timedelta(milliseconds=int(manifest["creationTimestamp"]))
        kind: Format = manifest["fileFormat"]
        columns, files = _columns(kind, manifest["fileSchema"]), _files(folder, manifest)
        provided = ProvidedList(name, url, listed_at, kind, columns, files, md5=found)
        source = manifest["sourceBucket"]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ListRefused(
            f"{url} is no manifest of S3 Inventory ({printable(repr(error), 200)}): name the folder of its "
            "lists "
            "in `inventory.at`"
        ) from error
    _refuse_unless_fitting(provided, source, bucket, now)
    return provided


def read_proved(folder: ListFolder, manifest: str, checksum: str) -> tuple[bytes, str]:
    """A manifest, and its MD5 in hex, which the file `checksum` has too.

    Raises ListRefused, BucketUnreachable.
    """
    content = folder.read(manifest)
    said = folder.read(checksum).decode(errors="replace").strip().lower()
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if said != found:
        raise ListRefused(
            f"{folder.url(manifest)} has the MD5 {found}, but {PurePosixPath(checksum).name} "
            f"beside it says '{printable(said, 64)}': one of the two was changed. Wait for the next list"
        )
    return content, found


def _columns(kind: Format, schema: str) -> tuple[str, ...]:
    """The columns that a schema names, in its order."""
    names = _SCHEMAS[kind].findall(schema)
    return tuple(re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() for name in names)


def _files(folder: ListFolder, manifest: dict[str, Any]) -> tuple[DataFile, ...]:
    files = []
    for each in manifest["files"]:
        key, md5 = str(each["key"]), str(each["MD5checksum"]).lower()
        if not key.startswith(folder.prefix) or not _MD5.fullmatch(md5):
            raise ValueError(f"the file {key} with the MD5 {md5}, in the folder {folder.prefix}")
        files.append(DataFile(key.removeprefix(folder.prefix), int(each["size"]), md5))
    if len({file.name for file in files}) < len(files):
        raise ValueError("a file is named twice")
    return tuple(files)


def _refuse_unless_fitting(provided: ProvidedList, source: str, bucket: Bucket, now: datetime) -> None:
    """Refuse a list of another bucket, of another age, or without what an inventory needs."""
    assert bucket.inventory is not None
    url, columns = provided.url, provided.columns
    if source != bucket.real_name:
        raise ListRefused(
            f"{url} lists the bucket '{printable(str(source), 200)}', but '{bucket.name}' is the bucket "
            f"'{bucket.real_name}': name the folder of its own lists in `inventory.at`"
        )
    lacks = [said for name, said in _NEEDED.items() if name not in columns]
    if lacks or len(set(columns)) < len(columns):
        raise ListRefused(
            f"{url} lists the columns {printable(', '.join(columns), 500)}"
            + (
                f" and lacks {', '.join(lacks)}: add them to the inventory's configuration"
                if lacks
                else " twice"
            )
        )
    if bucket.versions == "all" and not provided.has_versions:
        raise ListRefused(
            f"{url} lists current versions only, but '{bucket.name}' has `versions: all`: let the "
            "inventory's "
            "configuration include all versions, or leave `versions` out"
        )
    refuse_by_age(provided, bucket.inventory, now)


def refuse_by_age(provided: ProvidedList, settings: ProvidedInventory, now: datetime) -> None:
    """Refuse a list that is too old, or of the future. Raises ListRefused."""
    if now - provided.listed_at > settings.max_age:
        raise ListRefused(
            f"{provided.url} is of {provided.listed_at:%Y-%m-%d %H:%M} UTC, older than `inventory.max_age`: "
            "see whether the provider still writes lists there"
        )
    refuse_of_the_future(provided, now)


def refuse_of_the_future(provided: ProvidedList, now: datetime) -> None:
    """Refuse a list whose time has not come. Raises ListRefused."""
    if provided.listed_at - now > LIST_AHEAD:
        raise ListRefused(
            f"{provided.url} is of {provided.listed_at:%Y-%m-%d %H:%M} UTC, which is in the future: look at "
            "this machine's clock"
        )


def refuse_other_prefix(client: S3Client, bucket: Bucket) -> tuple[str, ...]:
    """Refuse lists whose configuration has a prefix that leaves out a part of the bucket.

    The manifest does not say so, but S3 does, if it may be asked. Returns notes for people if it may not.
    Raises ListRefused.
    """
    assert bucket.inventory and bucket.inventory.at
    name = PurePosixPath(bucket.inventory.at).name
    try:
        answer = client.get_bucket_inventory_configuration(Bucket=bucket.real_name, Id=name)
    except (ClientError, BotoCoreError) as error:
        return (
            f"whether the list '{name}' is of the whole bucket is not proved, since S3 could not be asked "
            "for "
            f"its configuration: {error}",
        )
    prefix = answer["InventoryConfiguration"].get("Filter", {}).get("Prefix", "")
    if not bucket.prefix.startswith(prefix):
        raise ListRefused(
            f"the inventory configuration '{printable(name, 64)}' of '{bucket.real_name}' lists only keys "
            "that "
            f"begin with '{printable(prefix, 200)}': take that out, or give the bucket this `prefix`"
        )
    return ()
