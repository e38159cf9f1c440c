"""Appends seals: looks what waits, asks a second store whether it is ours, and seals it.

Nothing is moved or locked: what waits is what no seal has, and the number decides between sealers that seal
at the same time. A kill at any step leaves nothing but files that the next seal takes, or no seal at all.
Verifying the files that were sealed before does not belong here, only that the chain itself is whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from fixity.lake import Lake
from fixity.log.chain import LOST_KEY, NEXT_KEY, Chain, Head, key_file, read_chain
from fixity.log.errors import LogError
from fixity.log.keys import PublicKey, Signer
from fixity.log.manifest import SEALS, Seal, read_seal, seal_file, seal_text
from fixity.log.records import Run, Trust, evidence_in, recorded_in, sha256_of, withdrawal
from fixity.log.waiting import Waiting, look

_MOST_TRIES = 50  # others may seal meanwhile
AS_FOUND = "taken in"
"""The note of the first seal: what was there before the log began."""


@dataclass(frozen=True)
class Sealed:
    """What a sealer did: the new seal, how many files of evidence it has, and what waits or is refused."""

    seal: Seal
    files: int
    waiting: Waiting

    @property
    def head(self) -> Head:
        """The seal, as it is told outside of the lake."""
        return Head(self.seal.number, self.seal.sha256, "whoever sealed it")


_More = tuple[dict[str, str], list[tuple[str, str]], Waiting]  # entries and notes of a seal, and why


@dataclass(frozen=True)
class Sealer:
    """Seals a lake. One key signs, but any number of processes may seal at once.

    trust: the second store. heads: the seals that witnesses know, asked each time.
    """

    lake: Lake
    key: Signer
    trust: Trust
    now: Callable[[], datetime]
    heads: Callable[[], Iterable[Head]] = tuple

    def begin(self) -> Sealed:
        """Make the first seal: of all that is there, as it is found. Raises LogError, LakeError."""
        if self.lake.list(SEALS):
            raise LogError("this lake has a log already: fixity log seal adds to it")
        now = self.now()
        recorded = recorded_in(file.name for file in self.lake.list("log/"))
        for name in evidence_in(self.lake).keys() - recorded:
            with self.lake.workspace() as workspace:
                self.lake.take_in(name, workspace, now)
        as_found = Run("", "", "", None, now.isoformat(), "found", "", "")
        text = "all files as they were found; nothing proves that they had not changed before"

        def more(chain: Chain) -> _More:
            if chain.newest is not None:
                raise LogError("another command has just made the first seal")
            waiting = look(self.lake, chain, lambda kept: dict.fromkeys(kept, as_found), {}, now)
            return waiting.entries, [(AS_FOUND, text), *waiting.notes], waiting

        return self._append(more)  # not if a witness knows a log that was lost: it must not know two

    def seal(self, notes: Iterable[tuple[str, str]] = (), accept: Mapping[str, str] | None = None) -> Sealed:
        """Seal all that waits. A seal is made even if nothing does.

        Arguments: `notes`, comments of the seal; `accept`, runs (or names of files) that the second store
        does not know and a person vouches for, with who and why.
        Raises LogError if the chain is broken, or a witness knows another one; LakeError.
        """

        def more(chain: Chain) -> _More:
            if chain.newest is None:
                raise LogError("this lake has no log yet: fixity log init begins one")
            waiting = look(self.lake, chain, self.trust, accept or {}, self.now())
            return waiting.entries, [*notes, *waiting.notes], waiting

        return self._append(more)

    def withdraw(self, names: Iterable[str], reason: str, person: str) -> Sealed:
        """Seal a record that sealed files are withdrawn, then remove them from the lake. Their records stay.

        Raises LogError if a file is not sealed, LakeError.
        """
        files: dict[str, str] = {}

        def more(chain: Chain) -> _More:
            has = {name: sha256 for seal in chain.seals.values() for name, sha256 in seal.entries.items()}
            for name in names:
                if name.startswith("log/") or name not in has:
                    raise LogError(f"{name} is no file that a seal has: see the names in log/seals/")
                files[name] = has[name]
            record, text = withdrawal(files, reason, person)
            if record in has:  # the command was killed before it removed them
                return {}, [], Waiting()
            self.lake.put_text(record, text, replace=True)
            return {record: sha256_of(text.encode())}, [("withdrawn", reason)], Waiting()

        done = self._append(more)
        for name in files:
            self.lake.discard(name)
        return replace(done, files=len(files))

    def rotate(self, new: PublicKey) -> Sealed:
        """Seal, with the key in force, which key signs from the next seal on. Raises LogError, LakeError."""
        return self._append(lambda _: (self._keep(new), [(NEXT_KEY, new.fingerprint)], Waiting()))

    def go_on_without(self, reason: str) -> Sealed:
        """Go on with this new key, because the key in force is lost. The seal says so for ever.

        Raises LogError, LakeError.
        """
        own = self.key.public
        return self._append(lambda _: (self._keep(own), [(LOST_KEY, reason)], Waiting()), lost=True)

    def _append(self, more: Callable[[Chain], _More], lost: bool = False) -> Sealed:
        """Write the next seal, with what `more` says of the chain as it is then."""
        for _ in range(_MOST_TRIES):
            chain = self._chain(lost)
            entries, notes, waiting = more(chain)
            newest, number = chain.newest, chain.last + 1
            if newest is None:
                entries = {**self._keep(self.key.public), **entries}
            before = newest.sha256 if newest else None
            text = seal_text(number, self.now().isoformat(), self.key, before, entries, notes)
            if self.lake.put_if(seal_file(number), text.decode(), None):
                return Sealed(read_seal(text), waiting.files, waiting)
        raise LogError("other sealers sealed all the time: run it again")

    def _chain(self, lost: bool) -> Chain:
        own = self.key.public
        chain = read_chain(self.lake, None if lost else own, self.heads())
        newest = chain.newest
        in_force = (newest.note(NEXT_KEY) or newest.key) if newest else None
        is_key_alone = all(each.what == "rewritten" for each in chain.problems)
        if not lost and is_key_alone and in_force not in (None, own.fingerprint):
            raise LogError(f"the log is signed with the key {in_force}, and this one is {own.fingerprint}")
        if chain.problems:
            first = chain.problems[0]
            raise LogError(
                f"nothing is added to a log that is broken: {first.name}: {first.text}. "
                "fixity log verify says what else; restore log/seals/ from a copy, or from the witness"
            )
        return chain

    def _keep(self, key: PublicKey) -> dict[str, str]:
        name = key_file(key.fingerprint)
        self.lake.put_text(name, key.pem, replace=True)
        return {name: sha256_of(key.pem.encode())}
