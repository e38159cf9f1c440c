"""The state of an unfinished digest, in the algorithm's own terms.

MD5 and the SHAs add whole blocks to a chaining value. So the state is that value, the number of bytes taken,
and the bytes of the block that is not full yet. The chaining value has the byte order of the checksum.
Computing digests does not belong here.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Protocol

from fixity.catalog import Algorithm
from fixity.digests.algorithms import SIZES
from fixity.errors import FixityError

BLOCKS: dict[Algorithm, int] = {
    "MD5": 64, "SHA1": 64, "SHA256": 64, "SHA512": 128, "CRC32": 1, "CRC32C": 1, "CRC64NVME": 1,
}  # fmt: skip
"""Bytes of a block. The chaining value has as many bytes as the checksum."""


class StateUnusable(FixityError):
    """A saved state is damaged, or belongs to something else. The message says which."""


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
        if self.algorithm not in BLOCKS:
            raise StateUnusable(f"{self.algorithm!r} has no state that could be resumed")
        if (
            self.count < 0
            or len(self.chain) != SIZES[self.algorithm]
            or len(self.pending) != self.count % BLOCKS[self.algorithm]
        ):
            raise StateUnusable(f"not a state of {self.algorithm} after {self.count} bytes")

    def to_json(self, subject: str) -> str:
        """The state as text, with a seal against damage.

        Arguments: `subject`, what was hashed, and the run that hashed it.
        """
        content = {
            "subject": subject,
            "algorithm": self.algorithm,
            "count": self.count,
            "chain": self.chain.hex(),
            "pending": self.pending.hex(),
        }
        return json.dumps({**content, "seal": _seal(content)}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, subject: str) -> State:
        """The state that `to_json` wrote of `subject`. Raises StateUnusable for any other text."""
        try:
            content = json.loads(text)
            seal = content.pop("seal")
            if seal != _seal(content):
                raise StateUnusable("it is damaged: its seal is broken")
            if content["subject"] != subject:
                raise StateUnusable("it is the state of another object")
            chain, pending = bytes.fromhex(content["chain"]), bytes.fromhex(content["pending"])
            return cls(content["algorithm"], int(content["count"]), chain, pending)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise StateUnusable(f"it is damaged: {error!r}") from error


def _seal(content: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class ResumableHash(Protocol):
    """A hash that can export its state."""

    def update(self, data: memoryview, /) -> object:
        """Take the next bytes."""

    def hexdigest(self) -> str:
        """The checksum of the bytes taken."""

    def state(self, count: int) -> State:
        """The state after the `count` bytes taken."""
