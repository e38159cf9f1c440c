"""Which of two copies is the bad one: a pure function from what is known of them to one word and its reasons.

Never a guess: where two pieces of evidence contradict each other, it is `cannot_tell`, and both are named.
What each piece says is in `claims`; gathering it is in `evidence`. Repairs do not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from fixity.incidents.claims import (
    Claim,
    absent,
    by_agreement,
    by_expected,
    by_majority,
    is_older,
    may_be_older,
    of_one_source,
    read_once,
    unchanged,
)
from fixity.incidents.known import SIDES, Evidence, SideName, same_bytes

DIAGNOSES: dict[str, str] = {
    "replica_damaged": "The replica's copy is bad",
    "source_damaged": "The source's copy is bad",
    "both_damaged": "Both copies are bad",
    "replica_stale": "The replica has the bytes of an older version of the source",
    "changed_meanwhile": "The object was written or deleted since it was listed",
    "deleted": "The object has a delete marker on the side where it is missing",
    "cannot_tell": "Nothing shows that either copy is right, or the evidence contradicts itself",
}
"""The words for a diagnosis and their meanings. A row that differs always has one. A row that is missing or
could not be read has none where its status says all that is known."""

_MOST_TEXTS = 6  # of one diagnosis: several records often say the same


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with a suspect row.

    word: one of DIAGNOSES, None where the row's status says all that is known. rests_on: the evidence, for
    people. last_agreed_at: the last time (UTC) at which checks of both sides had found the same bytes.
    damaged: the buckets whose copy is bad.
    """

    word: str | None
    rests_on: str
    last_agreed_at: datetime | None = None
    damaged: tuple[str, ...] = ()


def diagnose(evidence: Evidence) -> Diagnosis:
    """Which copy is the bad one, and which evidence says so; `cannot_tell` where it contradicts itself."""
    sides = [(name, evidence.side(name)) for name in SIDES]
    changes = [f"the {name} {copy.changed}" for name, copy in sides if copy.changed]
    if changes:
        return _diagnosis(evidence, "changed_meanwhile", changes)
    found = _Found(evidence)
    same = same_bytes(evidence.source.digests, evidence.replica.digests)
    if same:
        return _diagnosis(evidence, None, ["both sides have the same bytes by their newest checks"])
    if contradiction := found.contradiction(differ=same is False):
        return _diagnosis(evidence, "cannot_tell", [", but ".join(contradiction)])
    return _of_two_copies(found) if same is False else _of_one_copy(found)


class _Found:
    """The claims about both sides, by side and by what they say."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        claims = [*by_expected(evidence), *by_majority(evidence), *by_agreement(evidence)]
        self.kept = [each for each in claims if each.kept]
        firm = [each for each in claims if not each.kept]
        self.right = {name: [each for each in firm if each.of == name and each.right] for name in SIDES}
        self.wrong = {name: [each for each in firm if each.of == name and not each.right] for name in SIDES}
        # What is not the replica's own says that it never was a copy of these bytes. That is no damage if it
        # is an older version, nor where its store says that it was written so and only the source's says not.
        self.wrong["replica"] = [
            each
            for each in self.wrong["replica"]
            if each.own or not (evidence.older or (self.kept and each.written))
        ]
        self.older = is_older(evidence)

    def contradiction(self, differ: bool) -> tuple[str, str] | None:
        """Two pieces of evidence that contradict each other. Arguments: `differ`, whether both sides do."""
        for name in SIDES:
            if self.right[name] and self.wrong[name]:
                return self.right[name][0].text, self.wrong[name][0].text
        changed = [each for each in self.wrong["replica"] if each.own]
        if self.kept and changed:
            return self.kept[0].text, changed[0].text
        of_source, of_replica = self.right["source"], self.right["replica"]
        if differ and of_source and of_replica:
            return of_source[0].text, of_replica[0].text
        if self.older and of_replica:
            return self.older[0], of_replica[0].text
        written = bool(of_source) and all(each.written for each in of_source)
        if differ and written and self.kept and not self.older:
            return of_source[0].text, self.kept[0].text
        return None


def _of_two_copies(found: _Found) -> Diagnosis:
    """The diagnosis of two copies whose bytes differ, where no evidence contradicts other evidence.

    One copy is called damaged only where the other is shown to be right: it may be put in its place.
    """
    evidence, right, wrong = found.evidence, found.right, found.wrong
    hint = may_be_older(evidence)
    changed = [each for each in wrong["replica"] if each.own or each.replaced]
    changed = changed or ([] if hint else wrong["replica"])
    if wrong["source"] and changed:
        return _diagnosis(evidence, "both_damaged", _texts(wrong["source"], changed))
    if right["replica"]:
        return _diagnosis(evidence, "source_damaged", _texts(wrong["source"], right["replica"]))
    if found.older and not wrong["source"]:
        return _diagnosis(evidence, "replica_stale", [*found.older, *_texts(right["source"])])
    if right["source"] and (changed or not hint):
        return _diagnosis(evidence, "replica_damaged", _texts(changed, right["source"], found.kept))
    texts = _texts(wrong["source"], right["source"], wrong["replica"], found.kept)
    texts += [*found.older, *unchanged(evidence), *of_one_source(evidence), *hint, *read_once(evidence)]
    if wrong["source"]:
        texts.append("nothing shows that the replica's bytes are right")
    elif changed:
        texts.append("nothing shows that the source's bytes are right")
    elif texts and not right["source"]:
        texts.append("nothing shows which side was right before")
    return _diagnosis(evidence, "cannot_tell", texts or ["no baseline, no record and no third copy is known"])


def _of_one_copy(found: _Found) -> Diagnosis:
    """The diagnosis where a side is missing or could not be read, so that there is nothing to compare."""
    evidence, right, wrong = found.evidence, found.right, found.wrong
    texts = [*absent(evidence), *_texts(*wrong.values(), *right.values(), found.kept), *unchanged(evidence)]
    damaged = [name for name in SIDES if wrong[name]]
    if any(evidence.side(name).deleted_at for name in SIDES):
        return _diagnosis(evidence, "deleted", texts)
    if damaged:
        return _diagnosis(evidence, "both_damaged" if len(damaged) == 2 else f"{damaged[0]}_damaged", texts)
    if evidence.source.state == evidence.replica.state == "read":
        return _diagnosis(evidence, "cannot_tell", texts or ["the two checksums cannot be compared"])
    return _diagnosis(evidence, None, texts)


def _diagnosis(evidence: Evidence, word: str | None, texts: Iterable[str]) -> Diagnosis:
    damaged: dict[str | None, tuple[SideName, ...]] = {
        "source_damaged": ("source",),
        "replica_damaged": ("replica",),
        "replica_stale": ("replica",),
        "both_damaged": SIDES,
    }
    buckets = tuple(evidence.side(name).bucket for name in damaged.get(word, ()))
    rests_on = "; ".join(list(dict.fromkeys(texts))[:_MOST_TEXTS])
    return Diagnosis(word, rests_on, evidence.last_agreed_at, buckets)


def _texts(*claims: Iterable[Claim]) -> list[str]:
    return [each.text for some in claims for each in some]
