"""What each piece of evidence says of a suspect row's two copies: right or wrong, with the words for it.

Only what is independent of the two copies' bytes counts:

    a record      given by hand or in a manifest says what the object's bytes are, on both sides
    the source's  tags, metadata, stored checksum or ETag say what was deposited there
    the replica's say what was written there, and that may have been a bad copy: where its bytes match, they
                  have not changed since, which makes neither side right
    a baseline    that was first seen says that bytes have changed or not, never that they were right
    a majority    of three or more copies says which bytes are right, if the source is in it, or a bucket of
                  which the source is a copy: copies of one source may all be wrong in the same way
    an agreement  of both sides, after which something else was written to the replica only, says that the
                  replica is no copy of the source any more

The time at which a copy was written proves nothing: a store may write an object again by itself. Which
diagnosis follows is in `diagnosis`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from fixity.humanize import printable
from fixity.incidents.known import SIDES, Copy, Evidence, Expected, OtherCopy, SideName, same_bytes
from fixity.ledger.judge import MANIFEST, strength
from fixity.tables import FIRST_SEEN, OTHER_COPY

_OTHER: dict[SideName, SideName] = {"source": "replica", "replica": "source"}
_OF_CONTENT = ("api", MANIFEST)
_NAMES = {
    "api": "record given by hand",
    MANIFEST: "manifest",
    "object-tagging": "tag",
    "object-metadata": "metadata",
    "s3-checksum": "stored checksum",
    "object-etag": "ETag",
    FIRST_SEEN: "own baseline",
    OTHER_COPY: "pair's other copy",
}


class Claim(NamedTuple):
    """What one piece of evidence says of one side's bytes.

    own: it is that side's own baseline or record. written: it is what a store or an uploader recorded when
    it wrote the object. kept: it says only that the bytes are still those that were written to the replica.
    replaced: it says that something else was written there since both sides were the same.
    """

    of: SideName
    right: bool
    text: str
    own: bool = True
    written: bool = False
    kept: bool = False
    replaced: bool = False


def by_expected(evidence: Evidence) -> Iterator[Claim]:
    """What the baselines and records of both sides say of both sides' bytes, the strongest first."""
    each_side = [(name, expected) for name in SIDES for expected in evidence.side(name).expected]
    for name, expected in sorted(each_side, key=lambda each: -strength(each[1].source, each[1].algorithm)):
        other = _OTHER[name]
        own = _agrees(expected, evidence.side(name).digests)
        across = _agrees(expected, evidence.side(other).digests)
        written = expected.source not in (*_OF_CONTENT, FIRST_SEEN)
        if own is False and expected.confirmed:
            yield Claim(name, False, _differs(name, expected), written=written)
        elif own and expected.source != FIRST_SEEN:
            kept = written and name == "replica"
            since = ": they have not changed since they were written there" if kept else ""
            text = f"the {name}'s bytes match its {_named(expected)}{since}"
            yield Claim(name, True, text, written=written, kept=kept)
        if across:
            whose = f"the {name}'s {_named(expected)}"
            yield Claim(other, True, f"the {other}'s bytes match {whose}", own=False, written=written)
        elif across is False and expected.source != FIRST_SEEN and not (written and name == "replica"):
            whose = f"the {name}'s {_named(expected)}"
            yield Claim(other, False, f"the {other}'s bytes differ from {whose}", own=False, written=written)


def by_majority(evidence: Evidence) -> Iterator[Claim]:
    """What the majority of three or more copies says of both sides.

    Nothing if only copies are in it: one cause may have made all of them what they are.
    """
    majority = _majority(evidence)
    if majority is None or not majority.is_independent:
        return
    for name in SIDES:
        copy = evidence.side(name)
        if copy in majority.copies:
            yield Claim(name, copy in majority.same, majority.text, own=False)


def of_one_source(evidence: Evidence) -> Iterator[str]:
    """The words for a majority that shows nothing, because only copies are in it."""
    majority = _majority(evidence)
    if majority is not None and not majority.is_independent:
        yield f"{majority.text}, but only copies: one cause may have made all of them wrong"


class _Majority(NamedTuple):
    """The copies that could be compared, and those of them that have the bytes that more than half have."""

    copies: list[Copy | OtherCopy]
    same: list[Copy | OtherCopy]
    is_independent: bool

    @property
    def text(self) -> str:
        buckets = ", ".join(each.bucket for each in self.same)
        return f"{len(self.same)} of {len(self.copies)} copies are the same ({buckets})"


def _majority(evidence: Evidence) -> _Majority | None:
    """The majority of three or more copies.

    Copies that are older than the source may be of an older version: they do not count against it.
    """
    of_sides = evidence.source.digests.keys() & evidence.replica.digests.keys()
    having = Counter(each for other in evidence.others for each in other.digests if each in of_sides)
    if not having:
        return None
    ((algorithm, _),) = having.most_common(1)
    all_copies: list[Copy | OtherCopy] = [evidence.source, evidence.replica, *evidence.others]
    copies = [each for each in all_copies if algorithm in each.digests]
    most = _most(copies, algorithm)
    if most != evidence.source.digests[algorithm] and not evidence.same_version:
        copies = [each for each in copies if not _before(each.written_at, evidence.source.written_at)]
        most = _most(copies, algorithm)
    if most is None:
        return None
    same = [each for each in copies if each.digests[algorithm] == most]
    is_independent = any(
        each.is_original if isinstance(each, OtherCopy) else each is evidence.source for each in same
    )
    return _Majority(copies, same, is_independent)


def by_agreement(evidence: Evidence) -> Iterator[Claim]:
    """What follows from both sides' having been the same, if only the replica was written since then."""
    source, replica = evidence.source.digests, evidence.replica.digests
    if (
        "replica" in evidence.replaced
        and same_bytes(source, evidence.agreed)
        and same_bytes(replica, evidence.agreed) is False
    ):
        yield Claim("replica", False, _replaced(evidence, "replica"), own=False, replaced=True)
        text = f"the source's bytes are still those that both had on {_day(evidence.last_agreed_at)}"
        yield Claim("source", True, text, own=False)


def _most(copies: Iterable[Copy | OtherCopy], algorithm: str) -> str | None:
    """The checksum that more than half of at least three copies have."""
    counts = Counter(each.digests[algorithm] for each in copies)
    checksum, count = counts.most_common(1)[0]
    return checksum if counts.total() >= 3 and 2 * count > counts.total() else None


def unchanged(evidence: Evidence) -> Iterator[str]:
    """Which side's bytes have not changed since they were first checked, and which side was replaced."""
    for name in SIDES:
        copy = evidence.side(name)
        if name in evidence.replaced or copy.before:
            yield _replaced(evidence, name)
            continue
        held = [
            each.since
            for each in copy.expected
            if each.source == FIRST_SEEN and each.since and _agrees(each, copy.digests)
        ]
        if held:
            yield f"the {name}'s bytes have not changed since its first check of {_day(min(held))}"


def read_once(evidence: Evidence) -> Iterator[str]:
    """The baselines that differ from their bytes now, but may have been read wrongly."""
    for name in SIDES:
        copy = evidence.side(name)
        for each in copy.expected:
            if not each.confirmed and _agrees(each, copy.digests) is False:
                yield f"the {name}'s bytes differ from its {_named(each)}, which was read only once"


def may_be_older(evidence: Evidence) -> list[str]:
    """The reason why the replica may hold an older version, if there is one."""
    of_source, of_replica = evidence.source.written_at, evidence.replica.written_at
    if evidence.same_version or not _before(of_replica, of_source):
        return []
    return [
        f"the replica was written on {_day(of_replica)}, before the source's current version of "
        f"{_day(of_source)}: it may be an older version"
    ]


def is_older(evidence: Evidence) -> list[str]:
    """The words for a replica that is an older version, if it is known to be one."""
    if evidence.older is None:
        return []
    version = f" {printable(evidence.older.version_id)}" if evidence.older.version_id else ""
    of = f" of {_day(evidence.older.written_at)}" if evidence.older.written_at else ""
    return [f"the replica's bytes are those of the source's older version{version}{of}"]


def absent(evidence: Evidence) -> Iterator[str]:
    """What is known of a missing side."""
    for name in SIDES:
        copy = evidence.side(name)
        if copy.state != "missing":
            continue
        if copy.deleted_at:
            yield f"the {name} has a delete marker of {copy.deleted_at:%Y-%m-%d %H:%M} UTC"
        elif copy.last_read_at:
            yield f"the {name} had it on {_day(copy.last_read_at)}, and no delete marker of it is known"
        else:
            yield f"no check of it in the {name} is known"


def _replaced(evidence: Evidence, name: SideName) -> str:
    """When a side was replaced, as far as that is known: its store's time of writing may be any time."""
    copy = evidence.side(name)
    if name in evidence.replaced:
        since = f"since both sides were the same on {_day(evidence.last_agreed_at)}"
    else:
        since = f"since its check of {_day(copy.before)}"
    written = f": what is there now was written on {_day(copy.written_at)}" if copy.written_at else ""
    return f"the {name} was replaced {since}{written}"


def record_name(source: str) -> str:
    """What expected checksums come from, for people."""
    return _NAMES.get(source, source)


def _named(expected: Expected) -> str:
    if expected.source == FIRST_SEEN:
        return f"own baseline of {_day(expected.since)} (first seen)"
    return f"{record_name(expected.source)} ({expected.algorithm})"


def _differs(name: SideName, expected: Expected) -> str:
    if expected.source == FIRST_SEEN:
        held = f"held until {_day(expected.until)} and its bytes differ from it now"
        return f"the {name}'s {_named(expected)} {held}"
    matched = f", which they matched until {_day(expected.until)}" if expected.until else ""
    return f"the {name}'s bytes differ from its {_named(expected)}{matched}"


def _before(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and other is not None and one < other


def _day(moment: datetime | None) -> str:
    return "an unknown day" if moment is None else f"{moment:%Y-%m-%d}"


def _agrees(expected: Expected, digests: Mapping[str, str]) -> bool | None:
    """Whether bytes are as expected; None if there is no checksum of them by that algorithm."""
    found = digests.get(expected.algorithm)
    return None if found is None else found == expected.checksum
