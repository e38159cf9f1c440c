"""The contestants: ours and rclone, each as one command in a process of its own."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.data import REPOSITORY, Endpoint, rclone
from bench.measure import Usage, run

RCLONE_SETTINGS = (8, 16, 32)
"""What rclone's --checkers and --transfers are tried at; the best is measured."""


def ours(endpoint: Endpoint, work: str, bucket: str, at_once: int | None = None) -> Usage:
    """List or hash a bucket (`work`) into a lake that is thrown away by the next run. `at_once`: objects."""
    shutil.rmtree(endpoint.scratch / "lake", ignore_errors=True)
    return our_process(endpoint, work, endpoint.catalog(bucket, at_once=at_once), bucket)


def our_process(endpoint: Endpoint, work: str, where: Path, what: str) -> Usage:
    """One run of `bench.ours`, with its arguments."""
    return run([sys.executable, "-m", "bench.ours", work, where, what], environment_of(endpoint))


def environment_of(endpoint: Endpoint) -> dict[str, str]:
    """The environment of our processes."""
    # The package `bench` is not installed, and the working directory may be any. Compiled modules are kept,
    # as of an installed package: the first run, which is not counted, compiles what was changed.
    environment = {**endpoint.environment, "PYTHONPATH": str(REPOSITORY)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


def rclone_hash(endpoint: Endpoint, bucket: str, at_once: int) -> Usage:
    """SHA-256 of all objects of a bucket, `at_once` objects at a time, as `sums` reads them."""
    options = ["--download", "--fast-list", f"--checkers={at_once}", f"--transfers={at_once}"]
    return _rclone(endpoint, "hashsum", ["sha256", *options, f"bench:{bucket}"])


def rclone_list(endpoint: Endpoint, bucket: str, at_once: int) -> Usage:
    """The keys of a bucket."""
    return _rclone(endpoint, "lsf", ["-R", "--fast-list", f"--checkers={at_once}", f"bench:{bucket}"])


def rclone_copy(endpoint: Endpoint, source: str, target: str) -> Usage:
    """Copy an object from bucket to bucket, the bytes through rclone: the store may not copy it."""
    return _rclone(endpoint, "copyto", ["--disable=copy", f"bench:{source}", f"bench:{target}"])


def _rclone(endpoint: Endpoint, command: str, arguments: Sequence[str]) -> Usage:
    return run(
        [rclone(), "--config=", command, *arguments], endpoint.environment, endpoint.scratch / "rclone.txt"
    )


def refuse_unless_agreed(endpoint: Endpoint, bucket: str) -> None:
    """Both have just hashed a bucket: their checksums must be the same, or nothing was measured.

    Raises ValueError.
    """
    import pyarrow.parquet as pq

    (file,) = (endpoint.scratch / "lake" / "checksums" / bucket).glob("*.parquet")
    table = pq.read_table(file, columns=["checksum", "key"]).to_pydict()
    mine = {f"{checksum}  {key}" for checksum, key in zip(table["checksum"], table["key"], strict=True)}
    theirs = set((endpoint.scratch / "rclone.txt").read_text(encoding="utf-8").splitlines())
    if mine != theirs:
        raise ValueError(f"{bucket}: ours and rclone differ in {len(mine ^ theirs):,} lines")
