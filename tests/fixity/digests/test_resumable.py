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
from fixity.digests.algorithms import Digest, libcrypto, portable
from fixity.digests.resumable import RESUMABLE, ResumableDigest, State, StateUnusable
from fixity.digests.state import BLOCKS, Engine

HASHES: list[Algorithm] = ["MD5", "SHA1", "SHA256", "SHA512"]


def engines() -> dict[str, Engine]:
    of_libcrypto = libcrypto.load()
    assert of_libcrypto is not None, "this Python's libcrypto should be usable here"
    return {"libcrypto": of_libcrypto, "portable": portable.PortableHash}


@pytest.fixture(params=["libcrypto", "portable"])
def with_engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    chosen = engines()[request.param]
    monkeypatch.setattr("fixity.digests.resumable.engine", lambda: chosen)
    return str(request.param)


def of_hashlib(algorithm: Algorithm, message: bytes) -> str:
    return hashlib.new(algorithm.lower(), message).hexdigest()


# Every size and cut around two blocks of each algorithm, and some far larger.
@pytest.mark.parametrize("algorithm", sorted(RESUMABLE))
def test_every_cut_of_a_message_gives_the_same_checksum(algorithm: Algorithm, with_engine: str) -> None:
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
    engine_names=st.lists(st.sampled_from(["libcrypto", "portable"]), min_size=7, max_size=7),
)
def test_engines_go_on_with_each_others_states_and_come_to_hashlibs_result(
    algorithm: Algorithm, message: bytes, cuts: list[int], writable: bool, engine_names: list[str]
) -> None:
    made = engines()
    places = sorted({min(cut, len(message)) for cut in cuts} | {0, len(message)})
    state: State | None = None
    for (start, end), name in zip(pairwise(places), engine_names, strict=False):
        running = made[name](algorithm, state)
        piece = message[start:end]
        running.update(memoryview(bytearray(piece)) if writable else memoryview(piece))
        state = running.state(end)
        assert running.hexdigest() == of_hashlib(algorithm, message[:end])
        assert running.state(end) == state  # to ask for the checksum changes nothing
    assert len(places) == 1 or state is not None


@pytest.mark.parametrize("algorithm", HASHES)
def test_counts_beyond_four_gibibytes_are_carried_on(algorithm: Algorithm) -> None:
    # Nobody hashes exbibytes in a test: both engines go on from the same made-up state.
    block = BLOCKS[algorithm]
    chain = hashlib.new(algorithm.lower()).digest()
    results = set()
    for engine in engines().values():
        for count in (2**32 + block + 5, 2**61 - block):
            running = engine(algorithm, State(algorithm, count, chain, bytes(count % block)))
            running.update(memoryview(b"x" * 200))
            results.add((count, running.hexdigest(), running.state(count + 200).chain))
    assert len(results) == 2


def test_to_restart_forgets_the_state_too(with_engine: str) -> None:
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


def test_an_engine_whose_structures_differ_is_not_believed() -> None:
    class Shifted(portable.PortableHash):
        def state(self, count: int) -> State:
            said = super().state(count)
            return State(said.algorithm, said.count, said.chain[::-1], said.pending)

    assert libcrypto.proves_itself(portable.PortableHash)
    assert not libcrypto.proves_itself(Shifted)
