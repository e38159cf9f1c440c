"""MD5 and the SHAs by the libcrypto that Python's own `hashlib` is linked with, through ctypes.

As fast as `hashlib`, and without the interpreter's lock. The structures are those of OpenSSL's public
headers (md5.h, sha.h), the same in AWS-LC and LibreSSL; `load` believes none of it before it has gone
through a state and come to `hashlib`'s result for each algorithm.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import hashlib
import struct
from dataclasses import dataclass

from fixity.catalog import Algorithm
from fixity.digests.state import BLOCKS, CHAINS, Engine, ResumableHash, State

_ROOM = 1024  # for a structure: four times the largest, should one of another library be larger


@dataclass(frozen=True)
class _Layout:
    """A structure: chaining value, count of bits (low, high), block, bytes in it, length of the digest."""

    functions: str
    chain: str  # the words, in the machine's order; `big` says how the checksum writes them
    big: bool
    bits: str

    def pack(self, state: State) -> bytes:
        words = struct.unpack((">" if self.big else "<") + self.chain, state.chain)
        width = 8 * struct.calcsize(f"={self.bits}") // 2
        bits = 8 * state.count
        return (
            struct.pack(f"={self.chain}{self.bits}", *words, bits % 2**width, bits >> width)
            + state.pending.ljust(BLOCKS[state.algorithm], b"\0")
            + struct.pack("=II", len(state.pending), CHAINS[state.algorithm])
        )

    def unpack(self, algorithm: Algorithm, count: int, context: bytes) -> State:
        words = struct.unpack_from(f"={self.chain}", context)
        chain = struct.pack((">" if self.big else "<") + self.chain, *words)
        block = struct.calcsize(f"={self.chain}{self.bits}")
        pending = context[block : block + count % BLOCKS[algorithm]]
        return State(algorithm, count, chain, pending)


_LAYOUTS: dict[Algorithm, _Layout] = {
    "MD5": _Layout("MD5", "4I", False, "II"),
    "SHA1": _Layout("SHA1", "5I", True, "II"),
    "SHA256": _Layout("SHA256", "8I", True, "II"),
    "SHA512": _Layout("SHA512", "8Q", True, "QQ"),
}


def load() -> Engine | None:
    """The engine over libcrypto, None where there is none or it is not as expected."""
    for library in _libraries():
        try:
            functions = {algorithm: _Functions(library, algorithm) for algorithm in _LAYOUTS}
        except AttributeError:  # a library without these names
            continue

        def make(
            algorithm: Algorithm,
            state: State | None,
            functions: dict[Algorithm, _Functions] = functions,
        ) -> ResumableHash:
            return _LibcryptoHash(functions[algorithm], state)

        if proves_itself(make):
            return make
    return None


def _libraries() -> list[ctypes.CDLL]:
    """Where libcrypto may be: what hashlib's own module brings along first, then the system's."""
    import _hashlib

    found = []
    for name in (getattr(_hashlib, "__file__", None), ctypes.util.find_library("crypto")):
        if name is not None:
            try:
                found.append(ctypes.CDLL(name))
            except OSError:  # of another architecture, for instance
                continue
    return found


def proves_itself(make: Engine) -> bool:
    """Whether an engine comes to hashlib's results, by way of states at every kind of cut."""
    message = bytes(range(256)) * 2
    for algorithm in _LAYOUTS:
        for cut in (0, 1, BLOCKS[algorithm] - 1, BLOCKS[algorithm], 300):
            first = make(algorithm, None)
            first.update(memoryview(message[:cut]))
            second = make(algorithm, first.state(cut))
            second.update(memoryview(message[cut:]))
            expected = hashlib.new(algorithm.lower(), message, usedforsecurity=False).hexdigest()
            if second.hexdigest() != expected:
                return False
    return True


class _Functions:
    """Init, Update and Final of one algorithm. Raises AttributeError where the library has none."""

    def __init__(self, library: ctypes.CDLL, algorithm: Algorithm) -> None:
        self.algorithm = algorithm
        self.layout = _LAYOUTS[algorithm]
        self.init = library[f"{self.layout.functions}_Init"]
        self.update = library[f"{self.layout.functions}_Update"]
        self.final = library[f"{self.layout.functions}_Final"]
        self.init.argtypes = [ctypes.c_void_p]
        self.update.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
        self.final.argtypes = [ctypes.c_void_p, ctypes.c_void_p]


class _LibcryptoHash:
    def __init__(self, functions: _Functions, state: State | None) -> None:
        self._functions = functions
        self._context = ctypes.create_string_buffer(_ROOM)
        functions.init(self._context)
        if state is not None:
            packed = functions.layout.pack(state)
            ctypes.memmove(self._context, packed, len(packed))

    def update(self, data: memoryview) -> None:
        if not len(data):
            return
        if data.readonly:  # ctypes takes the address of what may be written to only
            self._functions.update(self._context, bytes(data), len(data))
        else:
            self._functions.update(self._context, ctypes.byref(ctypes.c_char.from_buffer(data)), len(data))

    def hexdigest(self) -> str:
        context = ctypes.create_string_buffer(self._context.raw, _ROOM)
        digest = ctypes.create_string_buffer(64)
        self._functions.final(digest, context)
        return digest.raw[: CHAINS[self._functions.algorithm]].hex()

    def state(self, count: int) -> State:
        return self._functions.layout.unpack(self._functions.algorithm, count, self._context.raw)
