"""Digests give the published values, however the bytes come."""

from __future__ import annotations

import hashlib
import os
import signal
import zlib
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, BrokenBarrierError, Thread, get_ident

import pytest
from awscrt.checksums import XXHash
from hypothesis import given
from hypothesis import strategies as st

from fixity.catalog import ALGORITHMS, Algorithm
from fixity.digests import algorithms
from fixity.digests.algorithms import Digest, digest_by
from fixity.in_order import processors

# The check values of the CRC catalogue for b"123456789", and what the reference programs
# (coreutils, openssl, xxhsum) print for it.
OF_NINE_DIGITS: dict[Algorithm, str] = {
    "MD5": "25f9e794323b453885f5181f1b624d0b",
    "SHA1": "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
    "SHA256": "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
    "SHA512": (
        "d9e6762dd1c8eaf6d61b3c6192fc408d4d6d5f1176d0c29169bc24e71c3f274a"
        "d27fcd5811b313d681f7e55ec02d73d499c95455b6b5bb503acf574fba8ffe85"
    ),
    "CRC32": "cbf43926",
    "CRC32C": "e3069283",
    "CRC64NVME": "ae8b14860a799888",
    "XXHASH64": "8cb841db40e6ae83",
    "XXHASH3": "72dcb18b67a17dff",
    "XXHASH128": "33119477ede5dcd5e9716427681d5860",
}
OF_NOTHING: dict[Algorithm, str] = {
    "MD5": "d41d8cd98f00b204e9800998ecf8427e",
    "SHA1": "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "SHA256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "CRC32": "00000000",
    "CRC32C": "00000000",
    "CRC64NVME": "0000000000000000",
    "XXHASH64": "ef46db3751d8e999",
    "XXHASH3": "2d06800538d394c2",
    "XXHASH128": "99aa06d3014798d86001c324468d497f",
}


def hexdigest(algorithm: Algorithm, *pieces: bytes) -> str:
    digest = Digest(algorithm)
    for piece in pieces:
        digest.update(memoryview(piece))
    assert digest.count == sum(map(len, pieces))
    return digest.hexdigest()


def test_every_algorithm_has_a_reference_value() -> None:
    assert set(OF_NINE_DIGITS) == set(ALGORITHMS)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_checksum_is_the_reference_value(algorithm: Algorithm) -> None:
    assert hexdigest(algorithm, b"123456789") == OF_NINE_DIGITS[algorithm]


@pytest.mark.parametrize("algorithm", OF_NOTHING)
def test_the_checksum_of_nothing_is_the_reference_value(algorithm: Algorithm) -> None:
    assert hexdigest(algorithm) == hexdigest(algorithm, b"", b"") == OF_NOTHING[algorithm]


@given(st.sampled_from(ALGORITHMS), st.lists(st.binary(max_size=400), max_size=6))
def test_any_cut_of_the_bytes_gives_the_same_checksum(algorithm: Algorithm, pieces: list[bytes]) -> None:
    assert hexdigest(algorithm, *pieces) == hexdigest(algorithm, b"".join(pieces))


@given(st.binary(max_size=2000))
def test_checksums_agree_with_independent_implementations(body: bytes) -> None:
    assert hexdigest("CRC32", body) == f"{zlib.crc32(body):08x}"
    assert hexdigest("CRC64NVME", body) == f"{_crc64nvme(body):016x}"
    assert hexdigest("SHA512", body) == hashlib.sha512(body).hexdigest()
    # The runtime that AWS's own clients use: its bytes are what S3 writes.
    assert hexdigest("XXHASH64", body) == XXHash.compute_xxhash64(body).hex()
    assert hexdigest("XXHASH3", body) == XXHash.compute_xxhash3_64(body).hex()
    assert hexdigest("XXHASH128", body) == XXHash.compute_xxhash3_128(body).hex()


def _crc64nvme(body: bytes) -> int:
    """Bit by bit, from the polynomial of the NVMe specification."""
    crc = 0xFFFF_FFFF_FFFF_FFFF
    for byte in body:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x9A6C_9329_AC4B_C9B5 if crc & 1 else 0)
    return crc ^ 0xFFFF_FFFF_FFFF_FFFF


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_digest_that_begins_again_has_forgotten_all_bytes(algorithm: Algorithm) -> None:
    digest = Digest(algorithm)
    digest.update(memoryview(b"something else"))
    digest.restart()
    assert digest.count == 0
    digest.update(memoryview(b"123456789"))
    assert (digest.count, digest.hexdigest()) == (9, OF_NINE_DIGITS[algorithm])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_looking_at_the_checksum_does_not_change_it(algorithm: Algorithm) -> None:
    digest = Digest(algorithm)
    digest.update(memoryview(b"1234"))
    digest.hexdigest()
    digest.update(memoryview(b"56789"))
    assert digest.hexdigest() == digest.hexdigest() == OF_NINE_DIGITS[algorithm]


def test_no_more_threads_compute_several_checksums_at_once_than_there_are_processors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one_more = Barrier(processors() + 1)

    class Waits:
        def update(self, data: memoryview) -> None:
            one_more.wait(timeout=0.2)

        def hexdigest(self) -> str:
            return ""

    monkeypatch.setitem(algorithms._MAKERS, "MD5", Waits)
    monkeypatch.setitem(algorithms._MAKERS, "SHA256", Waits)

    def compute(_: int) -> None:
        with pytest.raises(BrokenBarrierError):
            digest_by("SHA256", ["MD5"]).update(memoryview(b"123456789"))

    threads = 4 * processors()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(compute, range(threads)))


def test_a_checksum_that_cannot_be_computed_is_nobody_elses_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as changed:
        changed.setitem(algorithms._MAKERS, "MD5", lambda: None)
        for _ in range(2 * processors()):
            with pytest.raises(AttributeError):
                digest_by("SHA256", ["MD5"]).update(memoryview(b"123456789"))
    digest = digest_by("SHA256", ["MD5"])
    digest.update(memoryview(b"123456789"))
    assert digest.hexdigest() == OF_NINE_DIGITS["SHA256"]
    assert digest.others() == {"MD5": OF_NINE_DIGITS["MD5"]}


@pytest.fixture
def two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(algorithms, "processors", lambda: 2)
    monkeypatch.setattr(algorithms, "_processors", algorithms._Processors())
    monkeypatch.setattr(algorithms, "_LARGE", 2)


class Noted:
    """Notes which threads compute, each of which waits for `others` first."""

    def __init__(self, threads: list[int], others: Barrier) -> None:
        self._threads, self._others = threads, others

    def update(self, data: memoryview) -> None:
        self._others.wait(timeout=30)
        self._threads.append(get_ident())

    def hexdigest(self) -> str:
        return ""


def noted(monkeypatch: pytest.MonkeyPatch, at_once: int = 1) -> list[int]:
    """The threads that compute MD5 and SHA-256 from now on; so many wait for each other."""
    threads, others = list[int](), Barrier(at_once)
    for each in ("MD5", "SHA256"):
        monkeypatch.setitem(algorithms._MAKERS, each, lambda: Noted(threads, others))
    return threads


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch, two_processors: None) -> list[int]:
    return noted(monkeypatch)


BYTES = memoryview(b"123456789")


@pytest.mark.usefixtures("two_processors")
@given(st.lists(st.binary(max_size=400), max_size=6), st.sampled_from(["MD5", "SHA256", "SHA512", "CRC32"]))
def test_several_checksums_are_those_of_hashlib_whatever_the_pieces_are(
    pieces: list[bytes], own: Algorithm
) -> None:
    digest = digest_by(own, ["SHA256", "MD5", "CRC32", "CRC64NVME", "SHA512"])
    buffer = memoryview(bytearray(400))  # one for all pieces, as of a thread that reads
    for piece in pieces:
        buffer[: len(piece)] = piece
        digest.update(buffer[: len(piece)])
    body = b"".join(pieces)
    assert digest.count == len(body)
    found = {**digest.others(), own: digest.hexdigest()}
    for name in ("MD5", "SHA256", "SHA512"):
        assert found[name] == hashlib.new(name, body).hexdigest()
    assert found["CRC32"] == f"{zlib.crc32(body):08x}"
    assert found["CRC64NVME"] == f"{_crc64nvme(body):016x}"


@pytest.mark.usefixtures("two_processors")
def test_where_no_more_threads_can_be_started_checksums_are_computed_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(thread: Thread) -> None:
        raise RuntimeError("can't start new thread")

    digest = digest_by("SHA256", ["MD5"])
    with monkeypatch.context() as full:
        full.setattr(Thread, "start", refuse)
        for _ in range(3):  # more often than there are processors
            digest.update(BYTES)
    for _ in range(2):  # what waited for a thread is not computed once more
        digest.update(BYTES)
    assert digest.others() == {"MD5": hashlib.md5(5 * bytes(BYTES)).hexdigest()}
    assert digest.hexdigest() == hashlib.sha256(5 * bytes(BYTES)).hexdigest()


@pytest.mark.usefixtures("two_processors")
@pytest.mark.parametrize(("own", "other"), [("SHA256", "MD5"), ("MD5", "SHA256")])
def test_the_slowest_checksum_of_a_large_object_is_computed_beside_the_others(
    own: Algorithm, other: Algorithm, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = noted(monkeypatch, at_once=2)
    digest_by(own, [other]).update(BYTES)
    assert len(set(threads)) == 2
    assert get_ident() in threads


@pytest.mark.parametrize("other", ["CRC64NVME", "XXHASH3"])
def test_beside_what_costs_nearly_nothing_no_other_thread_computes(
    other: Algorithm, threads: list[int]
) -> None:
    digest_by("SHA256", [other]).update(BYTES)
    assert threads == [get_ident()]


def test_the_bytes_of_a_small_object_wake_no_other_thread(threads: list[int]) -> None:
    digest_by("SHA256", ["MD5"]).update(BYTES[:1])
    assert set(threads) == {get_ident()}


def test_where_each_processor_has_a_large_object_of_its_own_no_other_thread_is_woken(
    threads: list[int],
) -> None:
    first, second = digest_by("SHA256", ["MD5"]), digest_by("SHA256", ["MD5"])
    first.update(BYTES)
    threads.clear()
    second.update(BYTES)
    assert set(threads) == {get_ident()}
    first.hexdigest()  # it has ended
    second.update(BYTES)
    assert len(set(threads)) == 2


def test_an_object_whose_reading_has_failed_keeps_no_processor(threads: list[int]) -> None:
    failed, other = digest_by("SHA256", ["MD5"]), digest_by("SHA256", ["MD5"])
    failed.update(BYTES)
    del failed
    threads.clear()
    other.update(BYTES)
    assert len(set(threads)) == 2


@pytest.mark.usefixtures("two_processors")
@pytest.mark.parametrize("failing", ["MD5", "SHA256"])
def test_an_error_in_either_thread_is_raised_and_keeps_no_processor(
    failing: Algorithm, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as changed:
        changed.setitem(algorithms._MAKERS, failing, lambda: None)
        for _ in range(4):
            with pytest.raises(AttributeError):
                digest_by("SHA256", ["MD5"]).update(BYTES)
    digest = digest_by("SHA256", ["MD5"])
    digest.update(BYTES)
    assert digest.others() == {"MD5": OF_NINE_DIGITS["MD5"]}


@pytest.mark.usefixtures("two_processors")
def test_a_process_that_is_copied_has_threads_of_its_own() -> None:
    digest_by("SHA256", ["MD5"]).update(BYTES)
    child = os.fork()
    if not child:
        signal.alarm(30)  # it would wait for ever
        digest = digest_by("SHA256", ["MD5"])
        digest.update(BYTES)
        os._exit(digest.others() != {"MD5": OF_NINE_DIGITS["MD5"]})
    assert os.waitpid(child, 0)[1] == 0
