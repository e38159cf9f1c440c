"""The chain of seals as it stands in the lake: which seals are genuine, and what is wrong with the others.

A seal is genuine if the key in force signed it, or if a genuine seal after it has its SHA-256. What the seals
say of files does not belong here; that is in `verify`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

from fixity.lake import Lake
from fixity.log.keys import PublicKey
from fixity.log.manifest import SEALS, Seal, read_seal, seal_file, seal_number

KEYS = "log/keys/"
NEXT_KEY, LOST_KEY = "next key", "key lost"
"""Notes of a seal: the key that signs from the next seal on; why this seal is signed with a new key that the
old one did not name."""

_MOST_MISSING = 10_000  # a file with a number far beyond all others is no seal
FETCHES = 8
"""How many files are read at a time: a lake on S3 answers each in tens of milliseconds."""


class Head(NamedTuple):
    """A seal that was seen outside of the lake: its number, its SHA-256, and by whom, for people."""

    number: int
    sha256: str
    seen_by: str


class Problem(NamedTuple):
    """What is wrong with a file of the log: its name, what was done to it as one word, and a text."""

    name: str
    what: str
    text: str


@dataclass
class Chain:
    """The seals that are genuine, by number, what is wrong with others, and the last number that is known.

    lineage: fingerprints of the keys that the log is signed with, since the seal that the number `since` has:
    the first one, or one after a key was lost.
    """

    seals: dict[int, Seal] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    last: int = 0
    lineage: list[str] = field(default_factory=list)
    since: int = 1

    @property
    def newest(self) -> Seal | None:
        """The last seal; None if there is none, or it is not genuine."""
        return self.seals.get(self.last)


def key_file(fingerprint: str) -> str:
    """The name of a public key in the lake."""
    return f"{KEYS}{fingerprint}.pem"


def read_chain(lake: Lake, anchor: PublicKey | None, heads: Iterable[Head] = ()) -> Chain:
    """Read and verify all seals.

    Arguments: `anchor`, the key that the reader trusts, from outside of the lake; without one, whoever may
    write the lake may have written all seals anew. `heads`, seals that were seen outside of it; without one,
    nobody can tell whether the last seals were removed.
    Raises LakeError.
    """
    names = [file.name for file in lake.list(SEALS)]
    most = 2 * len(names) + _MOST_MISSING
    numbers = {number: name for name in names if (number := seal_number(name)) and number <= most}
    with ThreadPoolExecutor(FETCHES) as pool:
        texts = dict(zip(numbers, pool.map(lake.read_bytes, numbers.values()), strict=True))
    chain = _judge(texts, _keys(lake, anchor), anchor.fingerprint if anchor else None)
    is_known = _compare_with_heads(chain, heads)
    # Where seals are missing or wrong, those of the key may be among them: then a known one is believed.
    is_believed = is_known and bool(chain.problems)
    if texts and anchor and not is_believed and anchor.fingerprint not in chain.lineage:
        signers = ", ".join(each[:16] for each in chain.lineage) or "none that is known"
        text = f"from here on the log is signed with another key ({signers}) than {anchor.fingerprint[:16]}"
        chain.problems.append(Problem(seal_file(chain.since), "rewritten", text))
    chain.problems += [
        Problem(name, "added", "it is no seal") for name in names if name not in numbers.values()
    ]
    return chain


def _keys(lake: Lake, anchor: PublicKey | None) -> dict[str, PublicKey]:
    keys = {anchor.fingerprint: anchor} if anchor else {}
    for file in lake.list(KEYS):
        try:
            key = PublicKey.read(lake.read_bytes(file.name))
        except ValueError:  # its seal says that it was edited
            continue
        keys[key.fingerprint] = key
    return keys


def _judge(texts: Mapping[int, bytes], keys: Mapping[str, PublicKey], anchor: str | None) -> Chain:
    chain = Chain(last=max(texts, default=0))
    read: dict[int, Seal] = {}
    wrong: dict[int, Problem] = {}
    in_force: Collection[str] = ()
    for number in range(1, chain.last + 1):
        name = seal_file(number)
        if number not in texts:
            chain.problems.append(Problem(name, "deleted", "it is missing among the seals"))
            continue
        try:
            seal = read[number] = read_seal(texts[number])
            signature = seal.signature
        except ValueError as error:  # UnicodeDecodeError is one, too
            read.pop(number, None)
            wrong[number] = Problem(name, "edited", str(error))
            continue
        is_first = not in_force or (seal.note(LOST_KEY) is not None and seal.key not in in_force)
        why = _why_not(seal, number, signature, {seal.key} if is_first else {*in_force, anchor}, keys)
        if why:
            wrong[number] = Problem(name, "edited", why)
            continue
        if is_first:
            chain.lineage, chain.since = [], number
        in_force = (seal.note(NEXT_KEY) or seal.key,)
        chain.lineage += [key for key in (seal.key, *in_force) if key not in chain.lineage]
    _follow(chain, read, wrong)
    return chain


def _why_not(
    seal: Seal, number: int, signature: bytes, in_force: Collection[str | None], keys: Mapping[str, PublicKey]
) -> str | None:
    if seal.number != number:
        return f"it says that it is seal {seal.number}"
    if seal.key not in in_force:
        return f"it is signed with another key ({seal.key[:16]}) than the seals before it"
    if seal.key in keys and not keys[seal.key].verifies(signature, seal.signed):
        return "its signature is not of these bytes"
    return None


def _follow(chain: Chain, read: Mapping[int, Seal], wrong: dict[int, Problem]) -> None:
    """Go back from the last seal: a genuine seal proves the one before it, without its signature."""
    proved_by: Seal | None = None
    for number in range(chain.last, 0, -1):
        seal = read.get(number)
        if proved_by is not None and seal is not None:
            if seal.sha256 == proved_by.before:
                wrong.pop(number, None)
            elif number not in wrong:
                text = f"seal {proved_by.number} was made after another seal {number} than this one"
                wrong[number] = Problem(seal_file(number), "edited", text)
        is_genuine = seal is not None and number not in wrong
        if is_genuine and seal is not None:
            chain.seals[number] = seal
        proved_by = seal if is_genuine else None
    chain.problems += [wrong[number] for number in sorted(wrong)]


def _compare_with_heads(chain: Chain, heads: Iterable[Head]) -> bool:
    """Name the seals that are known outside of the lake, and are gone or others; whether one is here."""
    found, last = False, chain.last
    for head in sorted(heads):
        seal = chain.seals.get(head.number)
        if head.number > last:
            text = f"{head.seen_by} knows seal {head.number}, but the last one here is seal {chain.last}"
            numbers = range(last + 1, head.number + 1)[:_MOST_MISSING]
            chain.problems += [Problem(seal_file(number), "deleted", text) for number in numbers]
            last = head.number
        elif seal is not None and seal.sha256 != head.sha256:
            text = f"it is another one than {head.seen_by} knows"
            chain.problems.append(Problem(seal_file(head.number), "rewritten", text))
            del chain.seals[head.number]
        else:
            found = found or seal is not None
    return found
