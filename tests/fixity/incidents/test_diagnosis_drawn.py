"""Which copy is bad is never guessed: evidence is drawn, and each diagnosis held against what must be so."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fixity.incidents.diagnosis import Diagnosis, diagnose
from fixity.incidents.known import Copy, Evidence, Expected, OtherCopy, same_bytes
from tests.fixity.incidents.diagnosis_support import (
    DAMAGED,
    HERE,
    JUNE,
    MARCH,
    OLDER,
    THERE,
    A,
    B,
    C,
    digests,
    first,
    record,
    third,
)

CHECKSUMS = st.sampled_from([A, B, C])
CONTENT = ("api", "manifest")
WRITTEN = ("object-tagging", "object-metadata", "s3-checksum", "object-etag")
MD5 = {A: "md5 of aa", B: "md5 of bb", C: "md5 of cc"}


def expectations(*sources: str) -> st.SearchStrategy[tuple[Expected, ...]]:
    def expected(algorithm: str, checksum: str, source: str, confirmed: bool) -> Expected:
        checksum = MD5[checksum] if algorithm == "MD5" else checksum
        return Expected(algorithm, checksum, source, MARCH, JUNE, confirmed)

    algorithms = st.sampled_from(["SHA256", "MD5"])
    some = st.builds(expected, algorithms, CHECKSUMS, st.sampled_from(sources), st.booleans())
    return st.lists(some, max_size=3).map(tuple)


def copies(bucket: str, *sources: str, written: bool = True) -> st.SearchStrategy[Copy]:
    return st.builds(
        Copy,
        st.just(bucket),
        digests=st.builds(
            lambda each, both: digests(each, MD5[each] if both else None), CHECKSUMS, st.booleans()
        ),
        expected=expectations(*sources),
        written_at=st.sampled_from([None, MARCH, JUNE]) if written else st.none(),
    )


ORIGINALS = st.lists(CHECKSUMS, max_size=3).map(lambda each: third(*each, is_original=True))
OTHERS = ORIGINALS | st.lists(CHECKSUMS, max_size=3).map(lambda each: third(*each))
EVIDENCE = st.builds(
    Evidence,
    copies(HERE, "first_seen", *CONTENT, *WRITTEN),
    copies(THERE, "first_seen", *CONTENT, *WRITTEN),
    OTHERS,
    st.none() | st.just(OLDER),
    st.booleans(),
    agreed=st.just({}) | st.builds(digests, CHECKSUMS),
    replaced=st.sampled_from([(), ("source",), ("replica",), ("source", "replica")]),
)
WITHOUT_DIRECTION = st.builds(
    Evidence,
    copies(HERE, "first_seen", *CONTENT, written=False),
    copies(THERE, "first_seen", *CONTENT, written=False),
    ORIGINALS,
)
"""Evidence that does not depend on which of the two was copied from the other."""


def with_record(copy: Copy, *expected: Expected) -> Copy:
    return replace(copy, expected=(*copy.expected, *expected))


@given(EVIDENCE)
def test_a_copy_that_a_manifest_or_a_person_says_is_right_is_never_called_damaged(evidence: Evidence) -> None:
    damaged = diagnose(evidence).damaged
    for copy in (evidence.source, evidence.replica):
        recorded = [
            each
            for each in (*evidence.source.expected, *evidence.replica.expected)
            if each.source in CONTENT and copy.digests.get(each.algorithm) == each.checksum
        ]
        assert not (recorded and copy.bucket in damaged)


@given(EVIDENCE)
def test_a_copy_is_called_damaged_only_where_something_says_so(evidence: Evidence) -> None:
    found = diagnose(evidence)
    assert bool(found.damaged) == (found.word in DAMAGED)
    if found.word in (None, "cannot_tell"):
        assert found.damaged == ()
    if found.damaged:
        assert found.rests_on


@given(EVIDENCE)
def test_one_copy_is_called_damaged_only_where_the_other_is_shown_to_be_right(evidence: Evidence) -> None:
    """So it may be put in its place. Every record, baseline and copy that is taken away shows less."""
    bare = replace(
        evidence,
        source=replace(evidence.source, expected=()),
        replica=replace(evidence.replica, expected=()),
        others=(),
        older=None,
        agreed={},
    )
    assert diagnose(bare).damaged == ()
    found = diagnose(evidence)
    if found.word not in ("source_damaged", "replica_damaged"):
        return
    good = evidence.replica if found.word == "source_damaged" else evidence.source
    expected = (*evidence.source.expected, *evidence.replica.expected)
    of_good = [each for each in expected if good.digests.get(each.algorithm) == each.checksum]
    others = [each.digests for each in evidence.others]
    assert of_good or any(same_bytes(each, good.digests) for each in [*others, evidence.agreed])


@given(EVIDENCE)
def test_copies_of_a_source_never_show_by_themselves_that_it_is_bad(evidence: Evidence) -> None:
    bare = replace(
        evidence,
        source=replace(evidence.source, expected=()),
        replica=replace(evidence.replica, expected=()),
        others=tuple(replace(each, is_original=False) for each in evidence.others),
        agreed={},
    )
    assert HERE not in diagnose(bare).damaged


@given(EVIDENCE)
def test_two_records_that_contradict_each_other_decide_nothing_and_are_both_named(evidence: Evidence) -> None:
    source = with_record(evidence.source, record("manifest", evidence.source.digests["SHA256"]))
    replica = with_record(evidence.replica, record("manifest", evidence.replica.digests["SHA256"]))
    if source.digests["SHA256"] == replica.digests["SHA256"]:
        return
    found = diagnose(replace(evidence, source=source, replica=replica))
    assert (found.word, found.damaged) == ("cannot_tell", ())
    assert ", but " in found.rests_on


def _swapped(found: Diagnosis) -> tuple[str | None, set[str]]:
    words = {"source_damaged": "replica_damaged", "replica_damaged": "source_damaged"}
    buckets = {HERE: THERE, THERE: HERE}
    return words.get(found.word or "", found.word), {buckets[each] for each in found.damaged}


@given(WITHOUT_DIRECTION)
def test_where_nothing_depends_on_the_direction_the_sides_can_be_swapped(evidence: Evidence) -> None:
    source, replica = replace(evidence.replica, bucket=HERE), replace(evidence.source, bucket=THERE)
    other_way = diagnose(replace(evidence, source=source, replica=replica))
    assert _swapped(diagnose(evidence)) == (other_way.word, set(other_way.damaged))


@given(EVIDENCE, st.sampled_from(["first_seen", *CONTENT, *WRITTEN]), st.booleans())
def test_what_cannot_be_compared_with_any_bytes_changes_nothing(
    evidence: Evidence, source: str, of_source: bool
) -> None:
    more = Expected("SHA512", A, source, MARCH, JUNE)
    others = (*evidence.others, OtherCopy("copy9", {"SHA512": A}))
    changed = (
        replace(evidence, source=with_record(evidence.source, more), others=others)
        if of_source
        else replace(evidence, replica=with_record(evidence.replica, more), others=others)
    )
    assert diagnose(changed) == diagnose(evidence)


@given(EVIDENCE)
def test_the_order_in_which_evidence_is_found_does_not_matter(evidence: Evidence) -> None:
    source, replica = (
        replace(copy, expected=tuple(reversed(copy.expected))) for copy in (evidence.source, evidence.replica)
    )
    other = diagnose(replace(evidence, source=source, replica=replica, others=evidence.others[::-1]))
    found = diagnose(evidence)
    assert (other.word, other.damaged) == (found.word, found.damaged)


@given(EVIDENCE)
def test_baselines_that_were_first_seen_make_no_side_right_by_themselves(evidence: Evidence) -> None:
    """A baseline of a side's own bytes says only that they did not change since."""
    bare = replace(
        evidence,
        source=replace(evidence.source, expected=()),
        replica=replace(evidence.replica, expected=()),
    )
    held = replace(
        bare,
        source=with_record(bare.source, first(bare.source.digests["SHA256"])),
        replica=with_record(bare.replica, first(bare.replica.digests["SHA256"])),
    )
    one, other = diagnose(bare), diagnose(held)
    assert (one.word, one.damaged) == (other.word, other.damaged)
