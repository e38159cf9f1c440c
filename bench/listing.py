"""Listing: an inventory taken of a real S3 server beside `rclone lsf`, and of a million objects.

Filling a server with a million objects takes hours, so that listing comes from a server in memory
that makes the pages up: its figure is our memory only, beside nobody's.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench.contestants import RCLONE_SETTINGS, ours, rclone_list
from bench.data import REPOSITORY, Collections, Endpoint, serving
from bench.measure import Row, beside, in_turn
from devstack.stub_s3 import StubS3, as_s3_lists
from devstack.stub_s3_bucket import Bucket

MADE_UP_BUCKET, NEARLY_EMPTY_BUCKET = "made-up", "made-up-one"
_PAGES_KEPT = 500
"""Pages that are made up only once, so that a server of few objects answers at once."""


def rows(collections: Collections, rounds: int, scratch: Path) -> list[Row]:
    """CPU an object of a real listing; peak memory of a long one."""
    return [_cpu_row(collections, rounds, scratch), _memory_row(collections.synthetic, scratch)]


def _cpu_row(collections: Collections, rounds: int, scratch: Path) -> Row:
    collection = collections.listed
    with serving(scratch, collection) as endpoint:
        bucket = collection.bucket
        tried = {each: rclone_list(endpoint, bucket, each).cpu for each in RCLONE_SETTINGS}
        best = min(tried, key=tried.__getitem__)
        ours(endpoint, "list", bucket)
        used = in_turn(
            rounds,
            {
                "ours": partial(ours, endpoint, "list", bucket),
                "rclone": partial(rclone_list, endpoint, bucket, best),
            },
        )
    scale = 1e6 / collection.objects
    name = f"listing of {collection.objects:,} into the inventory, CPU"
    mine, theirs = ([each.cpu * scale for each in used[who]] for who in ("ours", "rclone"))
    return beside(name, "µs an object", mine, theirs, 0.6, "rclone")


def _memory_row(objects: int, scratch: Path) -> Row:
    with made_up_server(objects) as url:
        used = ours(Endpoint(url, scratch), "list", MADE_UP_BUCKET)
    name = f"listing of {objects:,} (pages made up), peak memory"
    return Row(name, used.peak / 1e6, None, None, 200, "MB")


@contextmanager
def made_up_server(objects: int, size: int = 1024) -> Iterator[str]:
    """The URL of a server with a bucket of objects of `size` bytes, made up when they are asked for; and of
    one with a single object.

    The server is a process of its own, which ends when its stdin is closed.
    """
    command = [sys.executable, "-m", __name__, str(objects), str(size)]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None and server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.stdin.close()


def _serve(objects: int, size: int) -> None:
    made: dict[tuple[object, ...], bytes] = {}

    def page(name: str, bucket: Bucket, query: Mapping[str, str]) -> bytes:
        asked = (name, *sorted(query.items()))
        found = made.get(asked) or as_s3_lists(name, bucket, query)
        if len(made) < _PAGES_KEPT:
            made[asked] = found
        return found

    with StubS3() as server:
        server.lister = page
        server.make_synthetic_bucket(MADE_UP_BUCKET, objects, size)
        server.make_synthetic_bucket(NEARLY_EMPTY_BUCKET, 1, size)
        print(server.endpoint_url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]))
