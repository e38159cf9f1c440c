"""MD5 and the SHAs by the package `rehashes`: for a Python whose libcrypto cannot be reached.

Such are the builds that have it linked in. It costs up to a fifth more than `hashlib` (SHA-512 up to
twice) and holds the interpreter's lock, so it is the second choice.
"""

from __future__ import annotations

import struct

import rehashes

from fixity.catalog import Algorithm
from fixity.digests.state import BLOCKS, State

# The words of the chaining value, how the checksum writes them, and the width of the count of blocks.
_LAYOUTS: dict[Algorithm, tuple[type[rehashes.PySha256], str, str, int]] = {
    "MD5": (rehashes.PyMd5, "4I", "<", 8),
    "SHA1": (rehashes.PySha1, "5I", ">", 8),
    "SHA256": (rehashes.PySha256, "8I", ">", 8),
    "SHA512": (rehashes.PySha512, "8Q", ">", 16),
}


class PortableHash:
    """A hash of `rehashes`, in terms of states. See ResumableHash."""

    def __init__(self, algorithm: Algorithm, state: State | None) -> None:
        self._algorithm = algorithm
        kind, self._words, self._order, self._width = _LAYOUTS[algorithm]
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
        """Take the next bytes."""
        self._hash.update(bytes(data))

    def hexdigest(self) -> str:
        """The checksum of the bytes taken."""
        return str(type(self._hash).deserialize(self._hash.serialize()).finalize())

    def state(self, count: int) -> State:
        """The state after the `count` bytes taken."""
        kept = self._hash.serialize()
        words = struct.unpack_from("<" + self._words, kept)
        buffer = struct.calcsize("<" + self._words) + self._width + 1
        pending = kept[buffer : buffer + count % BLOCKS[self._algorithm]]
        return State(self._algorithm, count, struct.pack(self._order + self._words, *words), pending)
