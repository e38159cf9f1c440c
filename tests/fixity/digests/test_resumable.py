"""A digest that is written down and taken up again comes to what hashlib says, whatever the cuts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixity.catalog import Algorithm
from fixity.digests.algorithms import Digest
from fixity.digests.resumable import RESUMABLE, ResumableDigest
from fixity.digests.state import BLOCKS, State, StateUnusable

HASHES: list[Algorithm] = ["MD5", "SHA1", "SHA256", "SHA512"]


def of_hashlib(algorithm: Algorithm, message: bytes) -> str:
    return hashlib.new(algorithm.lower(), message).hexdigest()


# Every size and cut around two blocks of each algorithm, and some far larger.
@pytest.mark.parametrize("algorithm", sorted(RESUMABLE))
def test_every_cut_of_a_message_gives_the_same_checksum(algorithm: Algorithm) -> None:
    message = bytes(range(256)) + bytes(40)
    whole = Digest(algorithm)
    whole.update(memoryview(message))
    for cut in range(len(message) + 1):
        first = ResumableDigest(algorithm)
        first.update(memoryview(message[:cut]))
        kept = first.state().to_json("an object")
        second = ResumableDigest(algorithm, State.from_json(kept, "an object"))
        assert second.count == cut
        second.update(memoryview(message[cut:]))
        assert second.hexdigest() == whole.hexdigest()
        assert second.count == len(message)


@given(
    algorithm=st.sampled_from(HASHES),
    message=st.binary(max_size=5000),
    cuts=st.lists(st.integers(0, 5000), max_size=6),
    writable=st.booleans(),
)
def test_a_digest_taken_up_at_any_cuts_comes_to_hashlibs_result(
    algorithm: Algorithm,
    message: bytes,
    cuts: list[int],
    writable: bool,
) -> None:
    places = sorted({min(cut, len(message)) for cut in cuts} | {0, len(message)})
    state: State | None = None
    for start, end in pairwise(places):
        running = ResumableDigest(algorithm, state)
        piece = message[start:end]
        running.update(memoryview(bytearray(piece)) if writable else memoryview(piece))
        state = running.state()
        assert running.hexdigest() == of_hashlib(algorithm, message[:end])
        assert running.state() == state  # to ask for the checksum changes nothing
    assert len(places) == 1 or state is not None


@pytest.mark.parametrize("algorithm", HASHES)
def test_counts_beyond_four_gibibytes_are_carried_on(algorithm: Algorithm) -> None:
    # Nobody hashes exbibytes in a test: the same made-up chaining value after two counts must differ.
    block = BLOCKS[algorithm]
    chain = hashlib.new(algorithm.lower()).digest()
    results = set()
    for count in (block + 5, 2**32 + block + 5, 2**61 - block):
        running = ResumableDigest(algorithm, State(algorithm, count, chain, bytes(count % block)))
        running.update(memoryview(b"x" * 200))
        results.add(running.hexdigest())
        assert running.state().count == count + 200
    assert len(results) == 3


def test_to_restart_forgets_the_state_too() -> None:
    first = ResumableDigest("SHA256")
    first.update(memoryview(b"other bytes"))
    second = ResumableDigest("SHA256", first.state())
    second.restart()
    second.update(memoryview(b"abc"))
    assert (second.count, second.hexdigest()) == (3, of_hashlib("SHA256", b"abc"))


def _of_abc() -> str:
    digest = ResumableDigest("SHA256")
    digest.update(memoryview(b"abc"))
    return digest.state().to_json("an object")


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[:-20],
        lambda text: "[]",
        lambda text: text.replace('"count": 3', '"count": 4'),
        lambda text: text.replace("616263", "616264"),
        lambda text: text.replace("SHA256", "SHA512"),
        lambda text: json.dumps({**json.loads(text), "seal": None}),
    ],
)
def test_a_damaged_state_is_refused(damage: Callable[[str], str]) -> None:
    text = damage(_of_abc())
    with pytest.raises(StateUnusable, match="damaged"):
        State.from_json(text, "an object")


def test_the_state_of_another_object_is_refused() -> None:
    with pytest.raises(StateUnusable, match="another object"):
        State.from_json(_of_abc(), "a third one")


def test_the_state_of_another_algorithm_is_refused() -> None:
    with pytest.raises(StateUnusable, match="a state of SHA256"):
        ResumableDigest("SHA1", State.from_json(_of_abc(), "an object"))
