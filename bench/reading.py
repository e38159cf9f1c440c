"""Hashing objects of a real S3 server: ours beside `rclone hashsum sha256 --download`."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bench.contestants import RCLONE_SETTINGS, ours, rclone_hash, refuse_unless_agreed
from bench.data import GIB, KIB, MIB, Collection, Collections, Endpoint, serving
from bench.measure import Row, beside, in_turn


def rows(collections: Collections, rounds: int, scratch: Path) -> list[Row]:
    """CPU and wall time of small, medium and large objects."""
    small, medium, large = collections.small, collections.medium, collections.large
    with serving(scratch, small, medium, large) as endpoint:
        return [
            *_rows(endpoint, small, rounds, cpu_at_most=0.6, wall_at_most=0.8),
            *_rows(endpoint, medium, rounds, cpu_at_most=0.95, wall_at_most=0.95),
            *_rows(endpoint, large, rounds, cpu_at_most=0.88, wall_at_most=1.0),
        ]


def _rows(
    endpoint: Endpoint, collection: Collection, rounds: int, cpu_at_most: float, wall_at_most: float
) -> list[Row]:
    bucket = collection.bucket
    settings = RCLONE_SETTINGS if collection.objects > 1 else RCLONE_SETTINGS[:1]
    # These runs fill the page cache too, for both, and are not counted otherwise.
    tried = {at_once: rclone_hash(endpoint, bucket, at_once) for at_once in settings}
    ours(endpoint, "hash", bucket)
    refuse_unless_agreed(endpoint, bucket)
    # The setting that costs rclone the least CPU need not be its fastest: each row has its best.
    thrifty = min(tried, key=lambda at_once: tried[at_once].cpu)
    fast = min(tried, key=lambda at_once: tried[at_once].wall)
    contestants = {"ours": partial(ours, endpoint, "hash", bucket)} | {
        str(at_once): partial(rclone_hash, endpoint, bucket, at_once) for at_once in {thrifty, fast}
    }
    used = in_turn(rounds, contestants)
    mine = used.pop("ours")
    theirs = list(zip(*used.values(), strict=True))  # a round's runs at rclone's one or two settings
    name = f"SHA-256 of {collection.objects:,} of {_size(collection.size)}"
    # CPU an object where objects are small, CPU a GB where their bytes are what costs.
    if collection.size < MIB:
        unit, scale = "ms an object", 1000 / collection.objects
    else:
        unit, scale = "s a GB", 1e9 / (collection.objects * collection.size)
    cpu = [each.cpu * scale for each in mine]
    cpu_of_rclone = [min(each.cpu for each in runs) * scale for runs in theirs]
    wall = [each.wall for each in mine]
    wall_of_rclone = [min(each.wall for each in runs) for runs in theirs]
    return [
        beside(f"{name}, CPU", unit, cpu, cpu_of_rclone, cpu_at_most, "rclone"),
        beside(f"{name}, wall", "s", wall, wall_of_rclone, wall_at_most, "rclone"),
    ]


def _size(size: int) -> str:
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size >= unit:
            return f"{size // unit} {name}"
    return f"{size} bytes"
