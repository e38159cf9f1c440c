"""Memory of hashing very many objects: inventory, shards and ledger, of objects made up at the client."""

from __future__ import annotations

from pathlib import Path

from bench.contestants import our_process
from bench.data import Collections, Endpoint
from bench.measure import Row, Usage, beside


def rows(collections: Collections, rounds: int, scratch: Path) -> list[Row]:
    """Peak memory, in itself and beside a tenth of the objects. One round: memory hardly varies."""
    many, few = collections.synthetic, collections.synthetic // 10
    peak_of_few = _hash(few, scratch).peak / 1e6
    peak = _hash(many, scratch).peak / 1e6
    name = f"SHA-256 of {many:,} (store stubbed), peak memory"
    return [
        Row(name, peak, None, None, 300, "MB"),
        beside(name, "MB", [peak], [peak_of_few], 1.2, f"ours, {few:,}"),
    ]


def _hash(objects: int, scratch: Path) -> Usage:
    return our_process(Endpoint("", scratch), "memory", scratch / f"lake-{objects}", str(objects))
