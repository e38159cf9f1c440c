"""Checkpoints of large objects: after each chunk the digest's state is kept, so another process can continue.

A state belongs to one object as it was listed, and to a run with its re-executions, or one that takes over
from it (see `takeover`): bytes that were read months ago are no evidence of today. `fixity.digests.resumable`
defines a state; the order of reading belongs to `fixity.engines.stream.shards`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection

from fixity.buckets import ListedObject
from fixity.catalog import CHUNK_SIZE, Algorithm
from fixity.digests.algorithms import Digest, Digests, digest_by
from fixity.digests.resumable import RESUMABLE, ResumableDigest
from fixity.digests.state import State, StateUnusable
from fixity.humanize import bytes_text
from fixity.lake import Lake


class Checkpoints:
    """The states of the large objects that a run is reading.

    Arguments: `folder` in the lake; `chunk_size` in bytes; `log` gets a message for people when a
    state is used or discarded. Raises LakeError.
    """

    def __init__(
        self,
        lake: Lake,
        folder: str,
        chunk_size: int = CHUNK_SIZE,
        log: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._lake = lake
        self._folder = folder
        self._chunk_size = chunk_size
        self._log = log
        self._kept = {file.name for file in lake.list(folder)}

    def digest(self, item: ListedObject, algorithm: Algorithm, others: Collection[Algorithm] = ()) -> Digest:
        """A digest for one object, by several algorithms in one pass. For a large object, it keeps its state
        after each chunk, and continues from a state that was kept. Raises LakeError."""
        if item.size <= self._chunk_size:
            return digest_by(algorithm, others)
        wanted = [algorithm, *(each for each in others if each != algorithm)]
        if not RESUMABLE.issuperset(wanted):
            return digest_by(algorithm, others)
        names = {each: self._name(item, each) for each in wanted}
        states = {
            each: self._state(name, item, each) if name in self._kept else None
            for each, name in names.items()
        }
        if len({state.count if state else 0 for state in states.values()}) > 1:  # killed between two states
            states = dict.fromkeys(wanted)
        for state in filter(None, [states[algorithm]]):
            self._log(f"{item.key}: continues after {bytes_text(state.count)} of {bytes_text(item.size)}")
        digests = {each: self._chunked(item, each, states[each], names[each]) for each in wanted}
        own = digests.pop(algorithm)
        return Digests(own, digests) if digests else own

    def _name(self, item: ListedObject, algorithm: Algorithm) -> str:
        return f"{self._folder}{hashlib.sha256(_subject(item, algorithm).encode()).hexdigest()[:40]}.json"

    def _chunked(self, item: ListedObject, algorithm: Algorithm, state: State | None, name: str) -> Digest:
        subject = _subject(item, algorithm)

        def keep(state: State) -> None:
            if state.count < item.size:
                self._lake.put_text(name, state.to_json(subject), replace=True)

        return _ChunkedDigest(algorithm, state, self._chunk_size, keep)

    def _state(self, name: str, item: ListedObject, algorithm: Algorithm) -> State | None:
        try:
            state = State.from_json(self._lake.read_text(name), _subject(item, algorithm))
            if state.count >= item.size:
                raise StateUnusable(f"it counts {state.count:,} bytes, but the object has {item.size:,}")
        except (StateUnusable, UnicodeDecodeError) as error:
            self._log(
                f"{item.key}: the state in {self._lake.location(name)} is discarded, and the object is "
                f"read from its start: {error}"
            )
            return None
        return state


def object_of(text: str) -> tuple[str, str | None] | None:
    """The key and version that a kept state belongs to; None for a damaged one. It is not proved here."""
    try:
        key, version_id, *_ = json.loads(json.loads(text)["subject"])
    except (ValueError, KeyError, TypeError):
        return None
    return key, version_id


def _subject(item: ListedObject, algorithm: Algorithm) -> str:
    modified = item.last_modified and item.last_modified.isoformat()
    return json.dumps([item.key, item.version_id, item.etag, item.size, modified, algorithm])


class _ChunkedDigest(ResumableDigest):
    """A digest that calls `keep` with its state at each multiple of `chunk_size` bytes."""

    def __init__(
        self, algorithm: Algorithm, state: State | None, chunk_size: int, keep: Callable[[State], None]
    ) -> None:
        super().__init__(algorithm, state)
        self._chunk_size = chunk_size
        self._keep = keep

    def update(self, piece: memoryview) -> None:
        while len(piece) >= (room := self._chunk_size - self.count % self._chunk_size):
            super().update(piece[:room])
            self._keep(self.state())
            piece = piece[room:]
        super().update(piece)
