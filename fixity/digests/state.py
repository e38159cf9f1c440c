"""The state of a digest between two of its bytes, in the algorithm's own terms.

MD5 and the SHAs take whole blocks into a chaining value, so all that there is to remember is that
value, the number of bytes taken, and the bytes of the block that is not full yet. The chaining value
is written as the checksum would be, byte for byte.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Protocol

from fixity.catalog import Algorithm
from fixity.errors import FixityError

CHAINS: dict[Algorithm, int] = {
    "MD5": 16, "SHA1": 20, "SHA256": 32, "SHA512": 64, "CRC32": 4, "CRC32C": 4, "CRC64NVME": 8,
}  # fmt: skip
"""Bytes of the chaining value."""

BLOCKS: dict[Algorithm, int] = {
    "MD5": 64, "SHA1": 64, "SHA256": 64, "SHA512": 128, "CRC32": 1, "CRC32C": 1, "CRC64NVME": 1,
}  # fmt: skip
"""Bytes of a block."""


class StateUnusable(FixityError):
    """What was written down is damaged, or is the state of something else. The message says which."""


@dataclass(frozen=True)
class State:
    """A digest after `count` bytes: its chaining value, and the bytes of the block that is not full yet.

    Raises StateUnusable where these do not belong together.
    """

    algorithm: Algorithm
    count: int
    chain: bytes
    pending: bytes

    def __post_init__(self) -> None:
        if self.algorithm not in CHAINS:
            raise StateUnusable(f"{self.algorithm!r} has no state that could be taken up")
        if (
            self.count < 0
            or len(self.chain) != CHAINS[self.algorithm]
            or len(self.pending) != self.count % BLOCKS[self.algorithm]
        ):
            raise StateUnusable(f"not a state of {self.algorithm} after {self.count} bytes")

    def to_json(self, subject: str) -> str:
        """The state as it is kept, sealed. `subject`: what was hashed, and which run hashed it."""
        said = {
            "subject": subject,
            "algorithm": self.algorithm,
            "count": self.count,
            "chain": self.chain.hex(),
            "pending": self.pending.hex(),
        }
        return json.dumps({**said, "seal": _seal(said)}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, subject: str) -> State:
        """The state that `to_json` wrote of `subject`. Raises StateUnusable for any other text."""
        try:
            said = json.loads(text)
            seal = said.pop("seal")
            if seal != _seal(said):
                raise StateUnusable("it is damaged: its seal is broken")
            if said["subject"] != subject:
                raise StateUnusable("it is the state of another object")
            chain, pending = bytes.fromhex(said["chain"]), bytes.fromhex(said["pending"])
            return cls(said["algorithm"], int(said["count"]), chain, pending)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StateUnusable(f"it is damaged: {error!r}") from error


def _seal(said: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


class ResumableHash(Protocol):
    """A hash that can say its state."""

    def update(self, data: memoryview, /) -> object:
        """Take the next bytes."""

    def hexdigest(self) -> str:
        """The checksum of the bytes taken."""

    def state(self, count: int) -> State:
        """The state after the `count` bytes taken."""
