"""Digests: the algorithms of S3, each from a fast library. Names are in S3's spelling.

Reading bytes and comparing checksums do not belong here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import Protocol
from weakref import WeakSet

import xxhash

from fixity.catalog import ALGORITHMS, Algorithm
from fixity.in_order import processors


class _Hash(Protocol):
    def update(self, data: memoryview, /) -> object: ...

    def hexdigest(self) -> str: ...


class Crc:
    """A CRC of the AWS runtime, with hashlib's interface; S3 writes CRCs as big-endian bytes.

    Arguments: `name`, the runtime's; `width` of its hex in digits; `value`, the CRC to continue from.
    """

    def __init__(self, name: str, width: int, value: int = 0) -> None:
        # Imported here: the import costs as much time as hashing fifty megabytes.
        from awscrt import checksums

        self._function: Callable[[memoryview, int], int] = getattr(checksums, name)
        self._width = width
        self._value = value

    def update(self, data: memoryview) -> None:
        """Take the next bytes."""
        self._value = self._function(data, self._value)

    def hexdigest(self) -> str:
        """The CRC of the bytes taken."""
        return f"{self._value:0{self._width}x}"


CRCS: dict[str, tuple[str, int]] = {
    "CRC32": ("crc32", 8),
    "CRC32C": ("crc32c", 8),
    "CRC64NVME": ("crc64nvme", 16),
}
"""The runtime's name of each CRC, and the width of its hex in digits."""

# usedforsecurity=False: here MD5 and SHA-1 only detect changes, and must work on FIPS machines.
_MAKERS: dict[Algorithm, Callable[[], _Hash]] = {
    "MD5": lambda: hashlib.md5(usedforsecurity=False),
    "SHA1": lambda: hashlib.sha1(usedforsecurity=False),
    "SHA256": hashlib.sha256,
    "SHA512": hashlib.sha512,
    "CRC32": lambda: Crc(*CRCS["CRC32"]),
    "CRC32C": lambda: Crc(*CRCS["CRC32C"]),
    "CRC64NVME": lambda: Crc(*CRCS["CRC64NVME"]),
    "XXHASH64": xxhash.xxh64,
    "XXHASH3": xxhash.xxh3_64,
    "XXHASH128": xxhash.xxh3_128,
}
assert set(_MAKERS) == set(ALGORITHMS)

# Seconds of CPU a GB, of what is worth a second thread.
_COSTS: dict[Algorithm, float] = {"MD5": 1.1, "SHA512": 0.8, "SHA256": 0.5, "SHA1": 0.5, "CRC32": 0.3}
_LARGE = 256 * 1024  # bytes; a second thread is woken for no fewer

SIZES: dict[str, int] = {
    "MD5": 16, "SHA1": 20, "SHA256": 32, "SHA512": 64, "CRC32": 4, "CRC32C": 4, "CRC64NVME": 8,
    "XXHASH64": 8, "XXHASH3": 8, "XXHASH128": 16,
}  # fmt: skip
"""The size of each algorithm's checksum, in bytes."""


def algorithm_named(name: str) -> Algorithm | None:
    """The algorithm that people write as `sha256`, `SHA-256` or `Sha_256`; None for an unknown one."""
    plain = re.sub(r"[-_ ]", "", name).upper()
    return next((algorithm for algorithm in ALGORITHMS if algorithm == plain), None)


def as_hex(value: str, algorithm: Algorithm) -> str | None:
    """A checksum in hex or base64, converted to lower-case hex; None if it is neither."""
    value = value.strip()
    size = SIZES[algorithm]
    if re.fullmatch(rf"[0-9a-fA-F]{{{2 * size}}}", value):
        return value.lower()
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw.hex() if len(raw) == size else None


class Digest:
    """A checksum being computed: takes bytes, counts them, and can start again.

    Arguments: `algorithm` in S3's spelling.
    """

    def __init__(self, algorithm: Algorithm) -> None:
        self._make = _MAKERS[algorithm]
        self.cost = _COSTS.get(algorithm, 0.0)
        self.restart()

    @property
    def count(self) -> int:
        """Bytes taken so far."""
        return self._count

    def update(self, piece: memoryview) -> None:
        """Take the next bytes."""
        self._hash.update(piece)
        self._count += len(piece)

    def restart(self) -> None:
        """Forget all bytes taken."""
        self._hash = self._make()
        self._count = 0

    def hexdigest(self) -> str:
        """The checksum of the bytes taken, in lower-case hex, most significant byte first."""
        return self._hash.hexdigest()

    def others(self) -> dict[Algorithm, str]:
        """Checksums of the same bytes by other algorithms: none."""
        return {}


class Together(Digest):
    """Gives the same bytes to several digests, in one pass. All must have taken the same number of bytes."""

    def __init__(self, digests: Iterable[Digest]) -> None:
        self._digests = list(digests)

    @property
    def count(self) -> int:
        """Bytes taken so far."""
        return self._digests[0].count

    def update(self, piece: memoryview) -> None:
        """Take the next bytes."""
        for digest in self._digests:
            digest.update(piece)

    def restart(self) -> None:
        """Forget all bytes taken."""
        for digest in self._digests:
            digest.restart()

    def hexdigest(self) -> str:
        """The checksum of the first digest."""
        return self._digests[0].hexdigest()


class _Processors:
    """As many threads compute several checksums at once as there are processors, so many are `free` at first.

    Each checksum lets go of Python's lock. Threads that compute without a processor wake each other in vain
    when they come back: where 16 threads read files of 64 KiB, that doubled CPU. To wait lets no other reader
    of the thread go on, as they share the buffer that the bytes are in.
    """

    def __init__(self) -> None:
        self.number = processors()
        self.free = SimpleQueue[None]()
        for _ in range(self.number):
            self.free.put(None)
        self._threads = ThreadPoolExecutor(self.number, "digest")
        self._large = WeakSet[Digest]()  # of which bytes are taken now: who reads them needs a processor each

    def begun_beside(self, digest: Digest, piece: memoryview, of: Digest) -> Future[None] | None:
        """Let a digest take bytes in another thread, if a processor is free, and will be.

        Arguments: `of`, all digests of the same bytes.
        """
        self._large.add(of)
        if len(self._large) >= self.number:
            return None
        try:
            self.free.get_nowait()
        except Empty:
            return None

        taken = Future[None]()

        def update() -> None:
            if taken.set_running_or_notify_cancel():
                try:
                    digest.update(piece)
                    taken.set_result(None)
                except BaseException as error:  # whoever waits for it raises it
                    taken.set_exception(error)
                self.free.put(None)

        try:
            self._threads.submit(update)
        except RuntimeError:  # no more threads can be started; it may wait for one all the same
            if taken.cancel():
                self.free.put(None)
                return None
        return taken

    def ended(self, digest: Digest) -> None:
        """All bytes are taken."""
        self._large.discard(digest)


_processors = _Processors()


def _begin() -> None:
    """In a process that was copied: threads of the other one are not in it."""
    global _processors
    _processors = _Processors()


os.register_at_fork(after_in_child=_begin)


class Digests(Together):
    """Checksums of the same bytes: `own`, by the bucket's algorithm, and `others` by their algorithms."""

    def __init__(self, own: Digest, others: Mapping[Algorithm, Digest]) -> None:
        super().__init__([own, *others.values()])
        self._others = others

    def others(self) -> dict[Algorithm, str]:
        """The checksums by the other algorithms, in lower-case hex."""
        return {algorithm: digest.hexdigest() for algorithm, digest in self._others.items()}


class _ByFew(Digests):
    """The same, computed by no more threads at once than there are processors, by two where one is free."""

    def update(self, piece: memoryview) -> None:
        """Take the next bytes."""
        every, ended = _processors, None
        every.free.get()
        try:
            digests = self._digests
            if len(piece) >= _LARGE:
                slowest, *others = sorted(digests, key=lambda digest: digest.cost, reverse=True)
                ended = every.begun_beside(slowest, piece, of=self) if others[0].cost else None
                digests = others if ended else digests
            for digest in digests:
                digest.update(piece)
        finally:
            every.free.put(None)
            if ended is not None:
                ended.result()  # in any case: the bytes are in a buffer that is used again

    def hexdigest(self) -> str:
        """The checksum by the bucket's algorithm."""
        _processors.ended(self)
        return super().hexdigest()


def digest_by(algorithm: Algorithm, others: Collection[Algorithm] = ()) -> Digest:
    """A digest by one algorithm, and by the `others` in the same pass."""
    own = Digest(algorithm)
    more = {each: Digest(each) for each in others if each != algorithm} if others else None
    return _ByFew(own, more) if more else own
