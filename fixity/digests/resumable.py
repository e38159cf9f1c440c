"""Digests whose state can be saved, and resumed by another process on another machine.

`hashlib` does not export its state, so the package `rehashes` computes MD5 and the SHAs here. It costs about
a tenth more (SHA-512 up to twice) and holds the interpreter's lock. A CRC is its own state. States have the
algorithm's form (`state`), not a library's. Where states are kept does not belong here.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import Any

from fixity.catalog import Algorithm
from fixity.digests.algorithms import CRCS, Crc, Digest
from fixity.digests.state import BLOCKS, ResumableHash, State, StateUnusable

RESUMABLE: frozenset[Algorithm] = frozenset(BLOCKS)
"""The algorithms whose state can be saved. Those of the XXHASH family cannot."""


class ResumableDigest(Digest):
    """A digest that continues from a state, and can export its own.

    Arguments: `algorithm`, one of RESUMABLE; `state` to continue from, None to start at the beginning.
    Raises StateUnusable for a state of another algorithm.
    """

    _hash: ResumableHash

    def __init__(self, algorithm: Algorithm, state: State | None = None) -> None:
        if state is not None and state.algorithm != algorithm:
            raise StateUnusable(f"it is a state of {state.algorithm}, not of {algorithm}")
        self._algorithm = algorithm
        super().__init__(algorithm)
        if state is not None:
            self._hash = self._start(state)
            self._count = state.count

    def restart(self) -> None:
        """Forget all bytes taken, including those of the state."""
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
        super().__init__(*CRCS[algorithm], value=int.from_bytes(state.chain, "big") if state else 0)
        self._algorithm = algorithm

    def state(self, count: int) -> State:
        return State(self._algorithm, count, bytes.fromhex(self.hexdigest()), b"")


@cache
def _layouts() -> dict[Algorithm, tuple[Any, str, str, int]]:
    """For each algorithm: its class in `rehashes`, the words of the chaining value, their byte order in the
    checksum, and the width of the block counter in bytes.
    """
    import rehashes  # here: importing it takes longer than hashing most objects

    return {
        "MD5": (rehashes.PyMd5, "4I", "<", 8),
        "SHA1": (rehashes.PySha1, "5I", ">", 8),
        "SHA256": (rehashes.PySha256, "8I", ">", 8),
        "SHA512": (rehashes.PySha512, "8Q", ">", 16),
    }


class _BlockHash:
    """A hash of `rehashes` that reads and writes states."""

    def __init__(self, algorithm: Algorithm, state: State | None) -> None:
        self._algorithm = algorithm
        kind, self._words, self._order, self._width = _layouts()[algorithm]
        self._hash = kind() if state is None else kind.deserialize(self._pack(state))

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
