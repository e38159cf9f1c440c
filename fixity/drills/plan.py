"""The plan of a drill: which object is damaged in which way, drawn from a seed. Nothing is written here.

The right bytes of an object follow from its key alone, so they can be put back at any time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import shake_256
from itertools import cycle
from random import Random

PREFIX = "fixity-drill/"
"""The beginning of the keys of all objects that drills make."""

ONE_BIT, TRUNCATED, SWAPPED, DELETED, OLDER = "one_bit", "truncated", "swapped", "deleted", "older_version"
DAMAGE = (ONE_BIT, TRUNCATED, SWAPPED, DELETED, OLDER)
"""The kinds of damage. The bytes of two objects are swapped."""

FEWEST, MOST = 6, 1000
"""How many objects a drill may have: with the fewest, each kind of damage occurs."""
_SIZE = 64 * 1024  # bytes of each object


@dataclass(frozen=True)
class Planned:
    """An object of a plan. damaged: the bytes that it will have; None: it will be deleted."""

    key: str
    damage: str
    damaged: bytes | None


def right_bytes(key: str) -> bytes:
    """What an object must have."""
    return shake_256(key.encode()).digest(_SIZE)


def older_bytes(key: str) -> bytes:
    """What an earlier version of it had."""
    return shake_256(f"{key} before".encode()).digest(_SIZE)


def draw(seed: int, objects: int) -> list[Planned]:
    """The plan of a seed for so many objects, by key: the same each time."""
    random = Random(seed)
    keys = [f"{PREFIX}{number:04d}" for number in range(1, objects + 1)]
    random.shuffle(keys)
    return sorted(_damage(keys, random), key=lambda each: each.key)


def _damage(keys: list[str], random: Random) -> Iterator[Planned]:
    for damage in cycle(DAMAGE):
        if not keys:
            return
        if damage == SWAPPED and len(keys) > 1:
            one, other = keys.pop(), keys.pop()
            yield Planned(one, damage, right_bytes(other))
            yield Planned(other, damage, right_bytes(one))
        elif damage != SWAPPED:
            yield _damaged(keys.pop(), damage, random)


def _damaged(key: str, damage: str, random: Random) -> Planned:
    if damage == DELETED:
        return Planned(key, damage, None)
    if damage == OLDER:
        return Planned(key, damage, older_bytes(key))
    if damage == TRUNCATED:
        return Planned(key, damage, right_bytes(key)[: random.randrange(_SIZE)])
    body = bytearray(right_bytes(key))
    body[random.randrange(_SIZE)] ^= 1 << random.randrange(8)
    return Planned(key, damage, bytes(body))
