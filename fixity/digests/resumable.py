"""Digests whose state can be written down and taken up by another process on another machine.

`hashlib` keeps its state to itself, so MD5 and the SHAs are computed by the package `rehashes` here, which
costs about a tenth more (SHA-512 up to twice) and holds the interpreter's lock; the CRCs are their own
state. A state is the algorithm's own (`state`), not a library's. Where states are kept does not belong here.
"""

from __future__ import annotations

import struct
from functools import cache

from fixity.catalog import Algorithm
from fixity.digests.algorithms import Crc, Digest, crc
from fixity.digests.state import BLOCKS, CHAINS, ResumableHash, State, StateUnusable

RESUMABLE: frozenset[Algorithm] = frozenset(CHAINS)
"""The algorithms whose state can be written down; the XXHASH ones cannot."""


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
        make = _BlockHash if BLOCKS[self._algorithm] > 1 else _ResumableCrc
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


@cache
def _layouts() -> dict[Algorithm, tuple[type, str, str, int]]:
    """Of each algorithm: its class in `rehashes`, the words of the chaining value, how the checksum writes
    them, and the width in bytes of the count of blocks.
    """
    import rehashes  # here: it takes longer to import than most objects take to hash

    return {
        "MD5": (rehashes.PyMd5, "4I", "<", 8),
        "SHA1": (rehashes.PySha1, "5I", ">", 8),
        "SHA256": (rehashes.PySha256, "8I", ">", 8),
        "SHA512": (rehashes.PySha512, "8Q", ">", 16),
    }


class _BlockHash:
    """A hash of `rehashes`, in terms of states."""

    def __init__(self, algorithm: Algorithm, state: State | None) -> None:
        self._algorithm = algorithm
        kind, self._words, self._order, self._width = _layouts()[algorithm]
        self._hash = kind() if state is None else kind.deserialize(self._pack(state))  # type: ignore[attr-defined]

    def _pack(self, state: State) -> bytes:
        words = struct.unpack(self._order + self._words, state.chain)
        blocks = state.count // BLOCKS[state.algorithm]
        return (
            struct.pack("<" + self._words, *words)
            + blocks.to_bytes(self._width, "little")
            + bytes([len(state.pending)])
            + state.pending.ljust(BLOCKS[state.algorithm] - 1, b"\0")
        )

    def update(self, data: memoryview) -> None:
        self._hash.update(bytes(data))

    def hexdigest(self) -> str:
        return str(type(self._hash).deserialize(self._hash.serialize()).finalize())

    def state(self, count: int) -> State:
        kept = self._hash.serialize()
        words = struct.unpack_from("<" + self._words, kept)
        buffer = struct.calcsize("<" + self._words) + self._width + 1
        pending = kept[buffer : buffer + count % BLOCKS[self._algorithm]]
        return State(self._algorithm, count, struct.pack(self._order + self._words, *words), pending)
