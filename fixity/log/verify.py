"""Verifies a lake by its log: which file was edited, deleted, added or put back, and between which seals.

Needs no right to write, and asks nobody but the lake. Adding to the log does not belong here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from fixity.lake import Lake, LakeError
from fixity.lake.paths import records_folder
from fixity.lake.proof import NoProof, Proof, proof_file, unsealed
from fixity.lake.withdrawn import WITHDRAWN, withdrawn_in
from fixity.log.chain import FETCHES, KEYS, Chain, Head, key_file, read_chain
from fixity.log.keys import PublicKey
from fixity.log.manifest import SEALS, Seal
from fixity.log.records import CATALOGS, RUNS, catalog_file, evidence_in, recorded_in
from fixity.log.redated import changed
from fixity.log.stamps import Stamp

FOUND = "found"
"""The note of a seal about the verification just before: up to which seal, and how much was wrong."""

_MOST_AT_ONCE = 256  # files that one thread reads one after the other: each task has a cost of its own


@dataclass(frozen=True)
class Finding:
    """What is wrong with a file.

    what: edited, cut short, swapped, deleted, added, put back or rewritten. after, before: the numbers of the
    last seal by which it was right, and of the first one by which it was not; None: not known, or until now.
    """

    name: str
    what: str
    text: str
    after: int | None = None
    before: int | None = None

    @property
    def when(self) -> str:
        """Between which seals, for people."""
        if self.after is None:
            return ""
        return f"between seal {self.after} and {f'seal {self.before}' if self.before else 'now'}"


@dataclass
class Verified:
    """What a verification found.

    newest: the number of the last seal, and at: when it was made (ISO, UTC); 0 and "" without one. entries:
    how many files the seals have. waiting: how many files no seal has yet, which only their records prove.
    withdrawn: how many a record says were removed on purpose. seals: the genuine ones, by number. stamps: the
    time stamps that prove their seals, the newest first. unread: files that could not be read, with the
    reason: nothing is known of them. notes: for people.
    """

    newest: int = 0
    at: str = ""
    entries: int = 0
    waiting: int = 0
    withdrawn: int = 0
    seals: Mapping[int, Seal] = field(default_factory=dict)
    stamps: list[Stamp] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def unbroken(self) -> bool:
        """Whether all is as it was sealed, and all could be read."""
        return not self.findings and not self.unread

    @property
    def note(self) -> tuple[str, str]:
        """What the next seal says of this verification."""
        wrong = len(self.findings) + len(self.unread)
        return FOUND, f"{f'{wrong} wrong' if wrong else 'unbroken'} up to {self.newest}"


def verify(lake: Lake, anchor: PublicKey | None, heads: Iterable[Head] = ()) -> Verified:
    """Verify the seals, and every file that they have or should have.

    Arguments: as of `read_chain`. Raises LakeError if the lake cannot be listed.
    """
    chain = read_chain(lake, anchor, heads)
    # The files before the records: a record is put before its file.
    there = set(evidence_in(lake))
    of_log = [file.name for file in lake.list("log/")]
    there.update(of_log)
    recorded = recorded_in(of_log)
    found = Verified(chain.last, chain.newest.at if chain.newest else "", seals=chain.seals)
    found.findings += [Finding(each.name, each.what, each.text) for each in chain.problems]
    sealed_in = {name: number for number in sorted(chain.seals) for name in chain.seals[number].entries}
    found.entries = len(sealed_in)
    unsealed = sorted(name for name in (there | recorded) - sealed_in.keys() if not name.startswith("log/"))
    catalogs = (name for name in there - sealed_in.keys() if name.startswith(CATALOGS))
    digests = _digests(lake, [*sealed_in, *unsealed, *catalogs], found.unread)
    looking = _Looking(lake, chain, sealed_in, there, digests, found)
    looking.at_sealed()
    for name in unsealed:
        looking.at_unsealed(name, recorded)
    looking.at_log()
    for name, what, text, number in changed(lake, chain.seals):
        looking.find(name, what, text, number)
    found.findings.sort(key=lambda each: each.name)
    return found


def _digests(lake: Lake, names: Collection[str], unread: dict[str, str]) -> dict[str, str]:
    """The SHA-256 of files. Without those that are gone, or cannot be read."""
    ordered = list(names)
    found: dict[str, str] = {}

    at_once = max(1, min(_MOST_AT_ONCE, len(ordered) // (4 * FETCHES)))

    def read(start: int) -> None:
        for name in ordered[start : start + at_once]:
            try:
                found[name] = lake.sha256(name)
            except FileNotFoundError:
                pass  # removed since it was listed
            except LakeError as error:
                unread[name] = str(error)

    with ThreadPoolExecutor(FETCHES) as pool:
        list(pool.map(read, range(0, len(ordered), at_once)))
    return found


def _is_as_recorded(lake: Lake, name: str, sha256: str, proof: Proof | None) -> bool:
    """Whether a file is as its record says. A run that goes on may just have replaced both, so look twice."""
    for _ in range(2):
        if proof and sha256 in (proof.sha256, proof.replaces and proof.replaces[1]):
            return True
        try:
            sha256, proof = lake.sha256(name), lake.proof(name)
        except FileNotFoundError:
            return True
    return False


@dataclass
class _Looking:
    lake: Lake
    chain: Chain
    sealed_in: Mapping[str, int]
    there: Collection[str]
    digests: Mapping[str, str]
    found: Verified

    def at_sealed(self) -> None:
        """Compare each file that a seal has."""
        entries = {name: self.chain.seals[number].entries[name] for name, number in self.sealed_in.items()}
        withdrawn = self._withdrawn(entries)
        self.found.withdrawn = len(withdrawn)
        by_digest = {sha256: name for name, sha256 in entries.items()}
        for name, sha256 in entries.items():
            digest = self.digests.get(name)
            if name in self.found.unread:
                continue
            if name in withdrawn:
                if digest is not None:
                    text = f"it was withdrawn ({withdrawn[name]}), and is there again"
                    self.find(name, "put back", text, self.sealed_in[name])
            elif digest is None:
                self.find(name, "deleted", "it is gone", self.sealed_in[name])
            elif digest != sha256 and not self._is_accepted_anew(name, entries):
                self.find(name, *self._how_changed(name, digest, by_digest), self.sealed_in[name])

    def at_unsealed(self, name: str, recorded: Collection[str]) -> None:
        """Look at a file that no seal has."""
        if name in self.found.unread:
            return
        record = proof_file(name)
        if record in self.sealed_in:
            if name in self.digests:
                self.find(name, "added", "its record was sealed without it", self.sealed_in[record])
        elif name not in recorded:
            self.find(name, "added", "no seal and no record has it", None)
        elif name not in self.digests and self.chain.problems:
            self.find(name, "deleted", "it is gone, and perhaps a seal that is wrong had it", None)
        else:
            self.found.waiting += 1
            try:
                proof = self.lake.proof(name)
            except NoProof as error:
                self.find(record, "edited", str(error), None)
                return
            if name in self.digests and not _is_as_recorded(self.lake, name, self.digests[name], proof):
                self.find(name, "edited", "no seal has it yet, and its record says otherwise", None)

    def at_log(self) -> None:
        """Look for files in the log's own folders that no seal has."""
        for name in sorted(self.there):
            if name in self.sealed_in or name.startswith(SEALS):
                continue
            if name.startswith(CATALOGS):
                if name in self.digests and name != catalog_file(self.digests[name]):
                    self.find(name, "edited", "its name is not its SHA-256", None)
            elif name.startswith((KEYS, RUNS, WITHDRAWN)) and not self._is_consistent(name):
                self.find(name, "edited", "no seal has it, and it is not what it says", None)
            elif name.startswith((KEYS, RUNS, WITHDRAWN)):
                text = f"{name} is in no seal: the command that wrote it was killed, or it was added"
                self.found.notes.append(text)
            elif name.startswith(records_folder("")):
                self._look_at_record(name)

    def _is_consistent(self, name: str) -> bool:
        """Whether a file of the log that no seal has is at least what its name or its own digest says."""
        try:
            text = self.lake.read_bytes(name)
            if name.startswith(KEYS):
                return name == key_file(PublicKey.read(text).fingerprint)
            unsealed(text.decode())
        except ValueError:
            return False
        return True

    def _look_at_record(self, record: str) -> None:
        name = record.removeprefix(records_folder("")).removesuffix(".json")
        if proof_file(name) == record and name in self.sealed_in:
            self.find(record, "added", "its file was sealed without it", self.sealed_in[name])

    def _withdrawn(self, entries: Mapping[str, str]) -> dict[str, str]:
        """Files that were withdrawn, with the reason."""
        found: dict[str, str] = {}
        for record, sha256 in entries.items():
            if record.startswith(WITHDRAWN) and self.digests.get(record) == sha256:
                found |= withdrawn_in(self.lake.read_text(record))
        return {name: reason for name, reason in found.items() if name in entries}

    def _is_accepted_anew(self, record: str, entries: Mapping[str, str]) -> bool:
        """Whether a record was lost and written again, and says of its file what the seals say."""
        name = record.removeprefix(records_folder("")).removesuffix(".json")
        if proof_file(name) != record or name not in entries:
            return False
        try:
            proof = self.lake.proof(name)
        except (NoProof, LakeError):
            return False
        if proof is None or proof.accepted_at is None or proof.sha256 != entries[name]:
            return False
        self.found.notes.append(f"{record} was lost, and written again on {proof.accepted_at}")
        return True

    def _how_changed(self, name: str, digest: str, by_digest: Mapping[str, str]) -> tuple[str, str]:
        other = by_digest.get(digest)
        if other is not None:
            return "swapped", f"it has the bytes of {other}"
        if proof_file(name) in self.digests:
            try:
                proof = self.lake.proof(name)
            except (NoProof, LakeError):
                proof = None
            size = len(self.lake.tail(name, proof.size + 1)) if proof and proof.size < 1 << 26 else None
            if proof and size is not None and size < proof.size:
                return "cut short", f"it has {size:,} bytes, and had {proof.size:,}"
        return "edited", "its bytes have changed: its SHA-256 is another one"

    def find(self, name: str, what: str, text: str, sealed_in: int | None) -> None:
        """Note what is wrong with a file. Arguments: `sealed_in`, the seal by which it was right."""
        after, before = (None, None) if sealed_in is None else self._between(sealed_in)
        self.found.findings.append(Finding(name, what, text, after, before))

    def _between(self, sealed_in: int) -> tuple[int, int | None]:
        """The last seal at which a file of seal `sealed_in` was right, and the first at which it was not."""
        after = sealed_in
        for number in sorted(self.chain.seals):
            said = (self.chain.seals[number].note(FOUND) or "").split(" up to ")
            if number <= sealed_in or len(said) != 2 or int(said[1]) < sealed_in:
                continue
            if said[0] != "unbroken":
                return after, number
            after = number
        return after, None
