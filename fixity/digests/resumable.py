"""Digests whose state can be written down and taken up by another process on another machine.

`hashlib` keeps its state to itself. Here MD5, SHA-1, SHA-256 and SHA-512 are computed by the same
libcrypto that `hashlib` uses (`libcrypto`), or by the package `rehashes` where that cannot be reached
(`portable`); the CRCs are their own state. A state is the algorithm's own (`state`), not a library's: what
one engine writes down, the other goes on with. Where states are kept does not belong here.
"""

from __future__ import annotations

from functools import cache

from fixity.catalog import Algorithm
from fixity.digests.algorithms import Crc, Digest, crc
from fixity.digests.state import BLOCKS, CHAINS, Engine, ResumableHash, State, StateUnusable

__all__ = ["RESUMABLE", "ResumableDigest", "State", "StateUnusable", "engine"]

RESUMABLE: frozenset[Algorithm] = frozenset(CHAINS)
"""The algorithms whose state can be written down; the XXHASH ones cannot."""


@cache
def engine() -> Engine:
    """The engine of MD5 and the SHAs: libcrypto where it is there and proves itself, else `rehashes`."""
    # Here: what they bring along takes longer to import than most objects take to hash.
    from fixity.digests.algorithms import libcrypto, portable

    return libcrypto.load() or portable.PortableHash


class ResumableDigest(Digest):
    """A digest that goes on from a state, and can say its own.

    Arguments: `algorithm`, one of RESUMABLE; `state`, where to go on, None for the beginning.
    Raises StateUnusable for a state of another algorithm.
    """

    _hash: ResumableHash

    def __init__(self, algorithm: Algorithm, state: State | None = None) -> None:
        if state is not None and state.algorithm != algorithm:
            raise StateUnusable(f"a state of {state.algorithm}, where {algorithm} is computed")
        self._algorithm = algorithm
        super().__init__(algorithm)
        if state is not None:
            self._hash = self._start(state)
            self._count = state.count

    def restart(self) -> None:
        """Forget all bytes taken, those of the state too."""
        self._hash = self._start(None)
        self._count = 0

    def _start(self, state: State | None) -> ResumableHash:
        make = engine() if BLOCKS[self._algorithm] > 1 else _ResumableCrc
        return make(self._algorithm, state)

    def state(self) -> State:
        """The state after the bytes taken so far."""
        return self._hash.state(self._count)


class _ResumableCrc(Crc):
    """A CRC is its own state."""

    def __init__(self, algorithm: Algorithm, state: State | None) -> None:
        super().__init__(*crc(algorithm), value=int.from_bytes(state.chain, "big") if state else 0)
        self._algorithm = algorithm

    def state(self, count: int) -> State:
        return State(self._algorithm, count, bytes.fromhex(self.hexdigest()), b"")
