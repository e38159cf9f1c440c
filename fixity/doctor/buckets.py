"""Whether the buckets of a catalog can be listed and read, by requests that change nothing.

Of each bucket one object is listed, its first byte read, and its HEAD asked for. Rights to write, and rights
that no harmless request shows (`s3:RestoreObject`, `s3:CreateJob`, `iam:PassRole`), are not tried. Reading
objects for evidence does not belong here.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fixity.catalog import Bucket, Catalog
from fixity.catalog.clients import s3_client, s3_control_client
from fixity.doctor.finding import OK, WARNING, WRONG, Finding, clock_finding, finding_of_refusal
from fixity.errors import BucketUnreachable
from fixity.humanize import printable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_MOST_ENTRIES = 10_000  # of a directory, among which a file is looked for
_AT_ONCE = 8  # buckets, so that three hundred take seconds


def look_at_buckets(catalog: Catalog, names: Iterable[str], now: Callable[[], datetime]) -> Iterator[Finding]:
    """What is right and wrong with buckets, and with the clocks of their stores.

    Arguments: `names` of the buckets; `now`, the time (UTC) of this machine.
    """
    from botocore.exceptions import BotoCoreError

    buckets = [catalog.buckets[name] for name in names]
    clients: dict[str, S3Client] = {}
    for bucket in buckets:
        if bucket.path is not None:
            yield _of_directory(bucket.name, bucket.path)
        elif bucket.store not in clients:
            try:
                clients[bucket.store] = s3_client(catalog.store_of(bucket), _AT_ONCE, is_patient=False)
            except BotoCoreError as error:  # such as a profile that is not there
                yield finding_of_refusal(f"bucket {bucket.name}", error, "", "")
    looks = [
        _Look(catalog, bucket, clients[bucket.store], now)
        for bucket in buckets
        if not bucket.is_local and bucket.store in clients
    ]
    clocks: dict[str, Finding] = {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for look in pool.map(_Look.look, looks):
            yield from look.found
            if look.clock is not None:
                clocks.setdefault(look.clock.about, look.clock)
    yield from clocks.values()


def _of_directory(name: str, path: Path) -> Finding:
    about = f"bucket {name}"
    try:
        with os.scandir(path) as entries:
            there = list(itertools.islice(entries, _MOST_ENTRIES))
        file = next((entry.path for entry in there if entry.is_file()), None)
        if file is not None:
            with Path(file).open("rb") as opened:
                opened.read(1)
    except OSError as error:
        why = f"{printable(error.filename or path)}: {error.strerror}"
        return Finding(about, WRONG, why, "mount it, or let this user read all of it")
    if not there:
        return Finding(about, WARNING, f"{path} is empty", "mount its disk, unless it is new")
    return Finding(
        about, OK, f"{path} can be listed" + (" and read" if file else "; no file to read at its top")
    )


class _Look:
    """A look at one bucket of a store. Arguments: `now`, the time (UTC) of this machine."""

    def __init__(
        self, catalog: Catalog, bucket: Bucket, client: S3Client, now: Callable[[], datetime]
    ) -> None:
        self.found: list[Finding] = []
        self.clock: Finding | None = None
        self._catalog, self._bucket, self._client, self._now = catalog, bucket, client, now
        self._about = f"bucket {bucket.name}"
        self._arn = bucket.real_name if bucket.is_access_point else f"arn:aws:s3:::{bucket.real_name}"

    def look(self) -> _Look:
        """Send the requests, and find."""
        if self._bucket.inventory is not None and (not self._bucket.has_lists or self._has_lists()):
            self._describe_newest()
        first = self._first()
        if first is not None:
            self._read(first)
        if self._bucket.s3_batch is not None:
            self._ask_for_jobs()
        if not self.found:
            self._find(OK, f"one object of {self._bucket.real_name} can be listed and read")
        return self

    def _find(self, state: str, text: str, to_do: str = "") -> None:
        self.found.append(Finding(self._about, state, text, to_do))

    def _first(self) -> Mapping[str, Any] | None:
        """An object of the bucket, as it is listed."""
        bucket = self._bucket
        name, prefix = bucket.real_name, bucket.prefix
        if bucket.versions == "all":
            listed = self._ask(
                "s3:ListBucketVersions",
                self._arn,
                lambda: self._client.list_object_versions(Bucket=name, Prefix=prefix, MaxKeys=100),
            )
        else:  # the first form of a listing: every store knows it
            listed = self._ask(
                "s3:ListBucket",
                self._arn,
                lambda: self._client.list_objects(Bucket=name, Prefix=prefix, MaxKeys=100),
            )
        if listed is None:
            return None
        objects = [each for name in ("Versions", "Contents") for each in listed.get(name, ()) if each["Size"]]
        if not objects:
            text = "no object with bytes was listed, so that reading was not tried"
            self._find(WARNING, text, "ask again when it holds some")
            return None
        first: Mapping[str, Any] = objects[0]
        return first

    def _read(self, first: Mapping[str, Any]) -> None:
        which: dict[str, Any] = {"Bucket": self._bucket.real_name, "Key": first["Key"]}
        of_version = first.get("VersionId") not in (None, "null")
        if of_version:
            which["VersionId"] = first["VersionId"]
        action, of_objects = f"s3:GetObject{'Version' if of_version else ''}", f"{self._arn}/*"

        def read_a_byte() -> Any:  # noqa: ANN401 - boto3's answer
            answer = self._client.get_object(**which, Range="bytes=0-0")
            answer["Body"].close()
            return answer

        if self._ask(action, of_objects, read_a_byte) is None:
            return
        self._ask(action, of_objects, lambda: self._client.head_object(**which))
        if self._bucket.write_tags or "object-tagging" in (self._bucket.records_in or ()):
            tagging = f"{action}Tagging"
            self._ask(tagging, of_objects, lambda: self._client.get_object_tagging(**which))

    def _has_lists(self) -> bool:
        """Whether anything is in the folder of the provider's lists."""
        inventory = self._bucket.inventory
        assert inventory is not None and inventory.folder is not None
        name, prefix = inventory.folder
        store = self._catalog.stores[inventory.store] if inventory.store else None

        def list_one() -> Any:  # noqa: ANN401 - boto3's answer
            client = s3_client(store, is_patient=False) if store else self._client
            return client.list_objects(Bucket=name, Prefix=prefix, MaxKeys=1)

        listed = self._ask("s3:ListBucket", f"arn:aws:s3:::{name}", list_one)
        if listed is not None and not listed.get("Contents"):
            text = f"there is nothing in {inventory.at}, where the provider should write lists"
            self._find(WARNING, text, "see `inventory.at`; the first list may take two days")
        return listed is not None and bool(listed.get("Contents"))

    def _describe_newest(self) -> None:
        """Read what the newest list of the provider says of itself, as a run would."""
        from fixity.inventories.folder import ListRefused
        from fixity.inventories.provider import open_provider

        try:
            newest = open_provider(self._catalog, self._bucket).describe(None, self._bucket, self._now())
        except (ListRefused, BucketUnreachable) as error:
            self._find(WRONG, str(error), "until then nothing of this bucket can be checked anew")
            return
        if self._bucket.has_lists and not newest.files:
            self._find(WARNING, f"{newest.url} names no file with rows", "see whether the bucket is empty")

    def _ask_for_jobs(self) -> None:
        settings = self._bucket.s3_batch
        assert settings is not None
        store = self._catalog.store_of(self._bucket)
        reports = settings.report_bucket
        self._ask(
            "s3:ListBucket",
            f"arn:aws:s3:::{reports}",
            lambda: self._client.list_objects(Bucket=reports, Prefix="batch/reports/", MaxKeys=1),
        )

        def list_jobs() -> Any:  # noqa: ANN401 - boto3's answer
            return s3_control_client(store, settings).list_jobs(AccountId=settings.account_id, MaxResults=1)

        self._ask("s3:ListJobs", "*", list_jobs)

    def _ask(self, action: str, resource: str, send: Callable[[], Any]) -> Mapping[str, Any] | None:
        """The answer to a request that needs a right of IAM; None if it was refused, which is found then."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer: Mapping[str, Any] = send()
        except ClientError as error:
            self._take_time(error.response)
            if error.response.get("Error", {}).get("Code") == "InvalidObjectState":
                text = "the first object is archived, so that reading was not tried"
                self._find(WARNING, text, f"see that {action} is allowed on {resource}")
            else:
                self.found.append(finding_of_refusal(self._about, error, action, resource))
            return None
        except BotoCoreError as error:
            self.found.append(finding_of_refusal(self._about, error, action, resource))
            return None
        self._take_time(answer)
        return answer

    def _take_time(self, answer: Mapping[str, Any]) -> None:
        date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        try:
            theirs = parsedate_to_datetime(date) if date else None
        except ValueError:
            return
        if theirs is not None and theirs.tzinfo is not None:
            self.clock = clock_finding(f"clock of the store {self._bucket.store}", self._now(), theirs)
