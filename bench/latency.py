"""A store that is far away: each request takes 30 ms longer, by a proxy.

The proxy shares the machine too. What it could pass on, with a processor of its own and all else quick, is a
row: it must be far more than what passes. Work near by belongs to `reading` and `listing`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from statistics import median

from bench.contestants import our_process, ours, rclone_hash, refuse_unless_agreed
from bench.data import KIB, Collections, Endpoint, serving
from bench.listing import MADE_UP_BUCKET, NEARLY_EMPTY_BUCKET, made_up_server
from bench.measure import Row, Usage, beside, cpu_so_far, in_turn
from devstack.delay_proxy import DelayProxy

DELAY = 0.03
"""Seconds."""
_SETTINGS = (64, 128, 256)
"""Objects at once that ours, and rclone, are tried at; the best of each is measured."""


def rows(collections: Collections, rounds: int, scratch: Path) -> list[Row]:
    """Reading small objects, and listing."""
    return [*_reading(collections, rounds, scratch), *_listing(collections.listed.objects, rounds, scratch)]


def _listing(objects: int, rounds: int, scratch: Path) -> list[Row]:
    """Ranges at the same time, cut by the inventory before, beside one page after the other.

    Two processors are too few for SeaweedFS to list faster, so the pages are made up. The time of a bucket of
    one object is that of the start, and not counted.
    """

    def listing(bucket: str, at_once: int | None) -> Usage:
        return our_process(endpoint, "list", endpoint.catalog(bucket, at_once=at_once), bucket)

    with made_up_server(objects) as url, DelayProxy(url, DELAY) as proxy:
        endpoint = Endpoint(proxy.endpoint_url, scratch)
        contestants = {
            "start": partial(listing, NEARLY_EMPTY_BUCKET, None),
            "pages": partial(listing, MADE_UP_BUCKET, 1),
            "ranges": partial(listing, MADE_UP_BUCKET, None),
        }
        for each in contestants.values():  # the pages are made up, the inventory before is kept
            each()
        used = in_turn(rounds, contestants)

    def beyond_start(name: str) -> list[float]:
        pairs = zip(used[name], used["start"], strict=True)
        return [each.wall - start.wall for each, start in pairs]

    name = f"listing of {objects:,} (pages made up) at {DELAY * 1000:.0f} ms in ranges"
    cpu = median(each.cpu for each in used["ranges"]) * 1e6 / objects
    return [
        beside(
            f"{name}, wall without start",
            "s",
            beyond_start("ranges"),
            beyond_start("pages"),
            0.125,
            "one page after the other",
        ),
        Row(f"{name}, CPU", cpu, None, None, 9.9, "µs an object"),
    ]


def _reading(collections: Collections, rounds: int, scratch: Path) -> list[Row]:
    """Ours as it finds how many to read at once, beside the best number, and beside rclone."""
    far = collections.far
    with serving(scratch, far) as near, DelayProxy(near.url, DELAY) as proxy:
        endpoint = Endpoint(proxy.endpoint_url, scratch)
        fixed = {each: ours(endpoint, "hash", far.bucket, each).wall for each in _SETTINGS}
        theirs = {each: rclone_hash(endpoint, far.bucket, each).wall for each in _SETTINGS}
        refuse_unless_agreed(endpoint, far.bucket)
        best, best_of_rclone = min(fixed, key=fixed.__getitem__), min(theirs, key=theirs.__getitem__)
        proxy_time: list[float] = []

        def found() -> Usage:
            before = cpu_so_far(proxy.pid)
            used = ours(endpoint, "hash", far.bucket)
            proxy_time.append(cpu_so_far(proxy.pid) - before)
            return used

        used = in_turn(
            rounds,
            {
                "ours": found,
                "fixed": partial(ours, endpoint, "hash", far.bucket, best),
                "rclone": partial(rclone_hash, endpoint, far.bucket, best_of_rclone),
            },
        )
    wall = {name: [each.wall for each in runs] for name, runs in used.items()}
    name = f"SHA-256 of {far.objects:,} of {far.size // KIB} KiB at {DELAY * 1000:.0f} ms"
    passed, limit = ([far.objects / each for each in seconds] for seconds in (wall["ours"], proxy_time))
    found_wall, unit = wall["ours"], "objects a second"
    return [
        beside(f"{name}, wall", "s", found_wall, wall["fixed"], 1.11, f"ours at {best}, its best"),
        beside(
            f"{name}, wall", "s", found_wall, wall["rclone"], 1.0, f"rclone at {best_of_rclone}, its best"
        ),
        beside(f"{name}, what passes", unit, passed, limit, 0.5, "what the proxy could pass"),
    ]
