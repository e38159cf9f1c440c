"""The folder of a provider's lists: finds the newest one, reads small files, and downloads large ones proved.

What the files mean does not belong here.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from fixity.catalog import Bucket, Catalog
from fixity.catalog.clients import s3_client
from fixity.errors import BucketUnreachable, FixityError
from fixity.humanize import printable

LIST_AHEAD = timedelta(hours=1)
"""A list that is further in the future than this is of a wrong clock. It would hide those that come before
its time: so this is less than clocks may differ elsewhere."""
_CHUNK = 1 << 20  # bytes
_ATTEMPTS = 4


class ListRefused(FixityError):
    """A provider's list cannot be believed or read. Nothing of it is kept, and the inventory before stays."""


@dataclass(frozen=True)
class Complete:
    """The complete lists of a folder. names: of those whose time has come, the oldest first. notes: about
    those that are passed over, for people."""

    names: tuple[str, ...]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, names: Iterable[str], url: str, now: datetime) -> Complete:
        """Of lists by their names, which begin with the time. Arguments: `url`, of their folder."""
        times = {name: time_of(name) for name in sorted(names)}
        come = tuple(name for name, time in times.items() if time is not None and time <= now + LIST_AHEAD)
        odd = [name for name in times if name not in come]
        if not odd:
            return cls(come, ())
        more = f" and {len(odd) - 1:,} more" if len(odd) > 1 else ""
        why = "has no time" if times[odd[0]] is None else "is of the future"
        return cls(
            come,
            (
                f"the list '{printable(odd[0], 100)}'{more} in {url} {why}: it is passed over. Look at this "
                "machine's clock, or remove the list",
            ),
        )

    def newest(self, none: str) -> str:
        """The name of the newest. Arguments: `none`, what to say where there is none. Raises ListRefused."""
        if not self.names:
            raise ListRefused("; ".join((none, *self.notes)))
        return self.names[-1]


def time_of(name: str) -> datetime | None:
    """When a list was written (UTC), by its name: `2026-11-28T01-00Z`, `2026-11-28T01:00` or the like. None
    for a name that has no time."""
    try:
        return datetime.strptime(name[:16].replace(":", "-"), "%Y-%m-%dT%H-%M").replace(tzinfo=UTC)
    except ValueError:
        return None


class ListFolder:
    """A prefix of a bucket. Names of files are keys below it.

    Every method raises BucketUnreachable.
    Arguments: `backoff`, the first wait before a download is repeated, in seconds.
    """

    def __init__(self, catalog: Catalog, bucket: Bucket, backoff: float = 0.5) -> None:
        assert bucket.inventory and bucket.inventory.folder  # the caller asks only for buckets that have one
        self._bucket, self.prefix = bucket.inventory.folder
        self._backoff = backoff
        with self._errors():
            self._client = s3_client(catalog.stores[bucket.inventory.store or bucket.store])

    def url(self, name: str) -> str:
        """A file's URL, for people."""
        return f"s3://{self._bucket}/{self.prefix}{name}"

    def names(self, beginning: str) -> list[str]:
        """The names that begin so, in order."""
        with self._errors():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self.prefix + beginning
            )
            return [each["Key"][len(self.prefix) :] for page in pages for each in page.get("Contents", [])]

    def read(self, name: str) -> bytes:
        """A small file. Raises ListRefused if it is not there."""
        with self._errors(name):
            return self._client.get_object(Bucket=self._bucket, Key=self.prefix + name)["Body"].read()

    def download(self, name: str, file: Path, size: int | None = None, md5: str | None = None) -> None:
        """Download a file. Arguments: `size` in bytes and `md5`, if they are known.

        Raises ListRefused if it is gone, or another one.
        """
        for attempt in range(_ATTEMPTS):
            digest, count = hashlib.md5(usedforsecurity=False), 0
            try:
                with self._errors(name), file.open("wb") as out:
                    answer = self._client.get_object(Bucket=self._bucket, Key=self.prefix + name)
                    for chunk in answer["Body"].iter_chunks(_CHUNK):
                        digest.update(chunk)
                        count += out.write(chunk)
                break
            except BucketUnreachable as error:
                if error.final or attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(self._backoff * 2**attempt)
        if size is not None and count != size:
            raise ListRefused(
                f"{self.url(name)} has {count:,} bytes, but its manifest says {size:,}: it is truncated or "
                "was "
                "replaced. Wait for the next list, or put the file back"
            )
        if md5 is not None and digest.hexdigest() != md5:
            raise ListRefused(
                f"{self.url(name)} has the MD5 {digest.hexdigest()}, but its manifest says {md5}: it was "
                "changed. Wait for the next list, or put the file back"
            )

    @contextmanager
    def _errors(self, name: str = "") -> Iterator[None]:
        """Arguments: `name` of a file; that of none stands for the folder, which is there or not reached."""
        try:
            yield
        except ClientError as error:
            code, status = (
                error.response["Error"]["Code"],
                error.response["ResponseMetadata"]["HTTPStatusCode"],
            )
            if name and (code == "NoSuchKey" or (status == 404 and code != "NoSuchBucket")):
                raise ListRefused(
                    f"{self.url(name)} is not there: wait for the next list, or put the file back"
                ) from error
            raise BucketUnreachable(f"{self.url(name)}: {error}", final=status in (403, 404)) from error
        except (BotoCoreError, HTTPError) as error:  # also in the middle of the body
            raise BucketUnreachable(f"{self.url(name)}: {error}", final=False) from error
