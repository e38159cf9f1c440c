"""A repair through the platform: prove, write, read again; beside rclone, which copies and then reads."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.contestants import RCLONE_SETTINGS, our_process, rclone_copy, rclone_hash
from bench.data import Collection, Collections, Endpoint, serving
from bench.measure import Row, Usage, beside, in_turn
from devstack.seaweedfs import REGION, s3_client
from fixity.clock import utc_now
from fixity.incidents.events import CONFIRMED, OPENED, Event, append
from fixity.lake import LocalLake

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_TARGET = "bench-repaired"
_KEY = "00/000000.bin"


def rows(collections: Collections, rounds: int, scratch: Path) -> list[Row]:
    """Wall time of one large object, and the peak memory. The replica has lost it each time."""
    large = collections.repaired
    with serving(scratch, large) as endpoint:
        s3 = s3_client(endpoint.url)
        with suppress(s3.exceptions.BucketAlreadyOwnedByYou, s3.exceptions.BucketAlreadyExists):
            s3.create_bucket(Bucket=_TARGET)
        catalog = _catalog(endpoint, large)
        our_process(endpoint, "hash", catalog, large.bucket)
        used = in_turn(
            rounds,
            {
                "ours": partial(_ours, endpoint, s3, catalog, large),
                "rclone": partial(_rclone, endpoint, s3, large),
            },
        )
        s3.delete_bucket(Bucket=_TARGET)
    mine, theirs = used["ours"], used["rclone"]
    name = f"repair of {large.size / 1024**3:g} GiB through the platform, with its check"
    peer = "rclone copyto, then hashsum"
    return [
        beside(f"{name}, wall", "s", [u.wall for u in mine], [u.wall for u in theirs], 1.2, peer),
        Row(f"{name}, peak memory", max(u.peak for u in mine) / 1e6, None, None, 300, "MB"),
    ]


def _catalog(endpoint: Endpoint, large: Collection) -> Path:
    """The source and the replica in two stores, so that the bytes go through the platform."""
    store = f"{{endpoint_url: '{endpoint.url}', region: {REGION}}}"
    file = endpoint.scratch / "fixity.yaml"
    file.write_text(
        f"lake: {endpoint.scratch / 'lake'}\n"
        f"stores:\n  one: {store}\n  other: {store}\n"
        f"buckets:\n  {large.bucket}: {{store: one}}\n  {_TARGET}: {{store: other}}\n"
        f"pairs:\n  {large.bucket}: {{replica: {_TARGET}}}\n",
        encoding="utf-8",
    )
    return file


def _lose(s3: S3Client) -> None:
    s3.delete_object(Bucket=_TARGET, Key=_KEY)


def _ours(endpoint: Endpoint, s3: S3Client, catalog: Path, large: Collection) -> Usage:
    _lose(s3)
    now = utc_now()
    lost = [
        Event(f"{now:%H%M%S%f}", kind, now, pair=large.bucket, bucket=_TARGET, key=_KEY)
        for kind in (OPENED, CONFIRMED)
    ]
    append(LocalLake(endpoint.scratch / "lake"), lost)
    used = our_process(endpoint, "repair", catalog, large.bucket)
    _refuse_unless_there(s3, large)
    return used


def _rclone(endpoint: Endpoint, s3: S3Client, large: Collection) -> Usage:
    _lose(s3)
    copied = rclone_copy(endpoint, f"{large.bucket}/{_KEY}", f"{_TARGET}/{_KEY}")
    _refuse_unless_there(s3, large)
    read = rclone_hash(endpoint, _TARGET, RCLONE_SETTINGS[0])
    return Usage(copied.cpu + read.cpu, copied.wall + read.wall, max(copied.peak, read.peak))


def _refuse_unless_there(s3: S3Client, large: Collection) -> None:
    if s3.head_object(Bucket=_TARGET, Key=_KEY)["ContentLength"] != large.size:
        raise ValueError("the object was not copied: nothing was measured")
