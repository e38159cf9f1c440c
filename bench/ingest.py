"""Ingest fixity: a resumable digest beside hashlib, a deposit verified beside MD5 and `rclone check`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from bench.data import GIB, MIB, REPOSITORY, Collection, Collections, rclone, serving
from bench.measure import Row, Usage, beside, in_turn, run

_AT_ONCE = 16


def rows(collections: Collections, rounds: int, scratch: Path) -> list[Row]:
    """CPU of a resumable digest; wall time of a deposit's verification."""
    return [*_resumable(collections.large.size, rounds, scratch), *_deposit(collections, rounds, scratch)]


def _resumable(size: int, rounds: int, scratch: Path) -> list[Row]:
    used = in_turn(
        rounds,
        {
            name: partial(
                _run,
                [sys.executable, "-m", "bench.ingest_work", name, str(size), str(scratch / "digest")],
                os.environ,
            )
            for name in ("resumable", "hashlib")
        },
    )
    name = f"resumable SHA-256 of {size / GIB:g} GiB in 4 chunks, CPU"
    mine, theirs = ([each.cpu for each in used[who]] for who in ("resumable", "hashlib"))
    return [beside(name, "s", mine, theirs, 1.1, "hashlib")]


def _deposit(collections: Collections, rounds: int, scratch: Path) -> list[Row]:
    files = min(10_000, collections.small.objects)
    wanted = Collection(f"bench-deposit-{files}", files, GIB // 10_000)
    folder = scratch / "deposit"
    with serving(scratch, wanted) as endpoint:
        copied = [rclone(), "--config=", "copy", "--fast-list", f"bench:{wanted.bucket}", str(folder)]
        subprocess.run(copied, env=endpoint.environment, stdin=subprocess.DEVNULL, check=True)
        catalog = str(endpoint.catalog(wanted.bucket))
        python = [sys.executable, "-m"]
        check = ["check", "--fast-list", f"--checkers={_AT_ONCE}", str(folder), f"bench:{wanted.bucket}"]
        used = in_turn(
            rounds,
            {
                "ours": partial(
                    _run,
                    [*python, "fixity_cli", "deposit", str(folder), wanted.bucket, "--catalog", catalog],
                    endpoint.environment,
                ),
                "floor": partial(
                    _run,
                    [*python, "bench.deposit_floor", catalog, wanted.bucket, str(folder)],
                    endpoint.environment,
                ),
                "rclone": partial(run, [rclone(), "--config=", *check], endpoint.environment),
            },
        )
    wall = {name: [each.wall for each in usages] for name, usages in used.items()}
    name = f"deposit of {files:,} files ({files * wanted.size / MIB:,.0f} MiB) verified by ETag, wall"
    return [
        beside(name, "s", wall["ours"], wall["floor"], 1.15, "their MD5 and the listing"),
        beside(name, "s", wall["ours"], wall["rclone"], 1.5, "rclone check"),
    ]


def _run(command: Sequence[str], environment: Mapping[str, str]) -> Usage:
    return run(command, {**environment, "PYTHONPATH": str(REPOSITORY)})
