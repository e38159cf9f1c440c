"""Which copy is bad follows from the evidence alone, by the table below, and is never guessed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import pytest

from fixity.incidents.diagnosis import DIAGNOSES, diagnose
from fixity.incidents.known import Copy, Evidence, OlderVersion, OtherCopy
from tests.fixity.incidents.diagnosis_support import (
    DAMAGED,
    HERE,
    JUNE,
    MARCH,
    OLDER,
    SEPTEMBER,
    THERE,
    A,
    B,
    C,
    digests,
    first,
    here,
    record,
    there,
    third,
)

MISSING: Literal["missing"] = "missing"


@dataclass(frozen=True)
class Case:
    """Evidence, and the diagnosis that a person would give; `says` is all of `rests_on`, or parts of it."""

    evidence: Evidence
    word: str | None
    says: str | tuple[str, ...] = ()


CASES = {
    # --- baselines of the ledger ---
    "nothing is known": Case(
        Evidence(here(A), there(B)), "cannot_tell", "no baseline, no record and no third copy is known"
    ),
    "one side has a baseline that holds": Case(
        Evidence(here(A, first(A)), there(B)),
        "cannot_tell",
        "the source's bytes have not changed since its first check of 2026-03-01; "
        "nothing shows which side was right before",
    ),
    "both have baselines that hold and never were the same": Case(
        Evidence(here(A, first(A)), there(B, first(B))),
        "cannot_tell",
        "the source's bytes have not changed since its first check of 2026-03-01; "
        "the replica's bytes have not changed since its first check of 2026-03-01; "
        "nothing shows which side was right before",
    ),
    "they were the same, and the replica changed": Case(
        Evidence(here(A, first(A)), there(B, first(A))),
        "replica_damaged",
        "the replica's own baseline of 2026-03-01 (first seen) held until 2026-09-01 and its bytes "
        "differ from it now; the source's bytes match the replica's own baseline of 2026-03-01 (first seen)",
    ),
    "they were the same, and the source changed": Case(
        Evidence(here(B, first(A)), there(A, first(A))),
        "source_damaged",
        "the source's own baseline of 2026-03-01 (first seen) held until 2026-09-01 and its bytes "
        "differ from it now; the replica's bytes match the source's own baseline of 2026-03-01 (first seen)",
    ),
    "they were the same, and both changed": Case(
        Evidence(here(B, first(A)), there(C, first(A))),
        "both_damaged",
        ("the source's", "the replica's"),
    ),
    "the source changed, and the replica is as it was": Case(
        Evidence(here(B, first(A)), there(A)), "source_damaged"
    ),
    "the source changed, and the replica never was what it was": Case(
        Evidence(here(B, first(A)), there(C, first(C))),
        "cannot_tell",
        "the source's own baseline of 2026-03-01 (first seen) held until 2026-09-01 and its bytes "
        "differ from it now; the replica's bytes have not changed since its first check of 2026-03-01; "
        "nothing shows that the replica's bytes are right",
    ),
    "the source differs from a baseline that was read only once": Case(
        Evidence(here(B, replace(first(A), confirmed=False)), there(C)),
        "cannot_tell",
        "the source's bytes differ from its own baseline of 2026-03-01 (first seen), which was read only "
        "once; nothing shows which side was right before",
    ),
    # --- what was written since both were the same ---
    "they were the same, and then the replica was replaced": Case(
        Evidence(here(A), there(B), agreed=digests(A), replaced=("replica",)),
        "replica_damaged",
        "the replica was replaced since both sides were the same on 2026-06-01: what is there now "
        "was written on 2026-06-01; the source's bytes are still those that both had on 2026-06-01",
    ),
    "the replica was replaced, and its store knows what was written there": Case(
        Evidence(
            here(A),
            there(B, record("object-etag", "m5", "MD5"), md5="m5"),
            agreed=digests(A),
            replaced=("replica",),
        ),
        "replica_damaged",
    ),
    "the replica was replaced by the source's older version": Case(
        Evidence(here(A), there(B), older=OLDER, agreed=digests(A), replaced=("replica",)), "replica_stale"
    ),
    "the replica was replaced by what a manifest says": Case(
        Evidence(here(A), there(B, record("manifest", B)), agreed=digests(A), replaced=("replica",)),
        "cannot_tell",
        "the source's bytes are still those that both had on 2026-06-01, but the source's bytes differ from "
        "the replica's manifest (SHA256)",
    ),
    "both were replaced since they were the same": Case(
        Evidence(here(A), there(B), agreed=digests(C), replaced=("source", "replica")),
        "cannot_tell",
        ("the source was replaced", "the replica was replaced"),
    ),
    "the source was replaced since they were the same": Case(
        Evidence(here(A), there(B), agreed=digests(B), replaced=("source",)),
        "cannot_tell",
        ("the source was replaced",),
    ),
    # --- records ---
    "the replica changed, and the source is as its manifest says": Case(
        Evidence(here(A, record("manifest", A)), there(B, first(C))),
        "replica_damaged",
        (
            "the replica's own baseline of 2026-03-01 (first seen) held until 2026-09-01 and its bytes "
            "differ from it now",
            "the source's bytes match its manifest (SHA256)",
        ),
    ),
    "a record given by hand is of the replica": Case(
        Evidence(here(A, record("api", B)), there(B)),
        "source_damaged",
        "the source's bytes differ from its record given by hand (SHA256); "
        "the replica's bytes match the source's record given by hand (SHA256)",
    ),
    "a manifest in the replica is of the source": Case(
        Evidence(here(A), there(B, record("manifest", A))), "replica_damaged"
    ),
    "a manifest is of neither": Case(Evidence(here(A, record("manifest", C)), there(B)), "both_damaged"),
    "a record of another algorithm decides where both sides have a checksum by it": Case(
        Evidence(here(A, record("manifest", "m5", "MD5"), md5="m5"), there(B, md5="other")),
        "replica_damaged",
    ),
    "a record of another algorithm says nothing of bytes without such a checksum": Case(
        Evidence(here(A, record("manifest", "m5", "MD5")), there(B)), "cannot_tell"
    ),
    "both were written with the same ETag, and the source no longer has it": Case(
        Evidence(
            here(B, record("object-etag", "m5", "MD5"), md5="other"),
            there(A, record("object-etag", "m5", "MD5"), md5="m5"),
        ),
        "source_damaged",
    ),
    "both were written with the same ETag, and the replica no longer has it": Case(
        Evidence(
            here(A, record("object-etag", "m5", "MD5"), md5="m5"),
            there(B, record("object-etag", "m5", "MD5"), md5="other"),
        ),
        "replica_damaged",
    ),
    "the source is as it was uploaded": Case(
        Evidence(here(A, record("object-etag", "m5", "MD5"), md5="m5"), there(B)),
        "replica_damaged",
        "the source's bytes match its ETag (MD5)",
    ),
    "the replica is as it was written": Case(
        Evidence(here(A), there(B, record("s3-checksum", B))),
        "cannot_tell",
        "the replica's bytes match its stored checksum (SHA256): they have not changed since they were "
        "written there; nothing shows which side was right before",
    ),
    "the replica was written with other bytes than the manifest's": Case(
        Evidence(here(A, record("manifest", A)), there(B, record("object-tagging", B))),
        "replica_damaged",
        (
            "the replica's bytes differ from the source's manifest (SHA256)",
            "the source's bytes match its manifest (SHA256)",
            "the replica's bytes match its tag (SHA256): they have not changed since they were written there",
        ),
    ),
    "the source changed since its upload, and the replica was written with something else": Case(
        Evidence(here(A, record("object-metadata", C)), there(B, record("object-metadata", B))),
        "cannot_tell",
        (
            "the source's bytes differ from its metadata (SHA256)",
            "nothing shows that the replica's bytes are right",
        ),
    ),
    # --- evidence that contradicts other evidence ---
    "each is as it was written": Case(
        Evidence(here(A, record("s3-checksum", A)), there(B, record("s3-checksum", B))),
        "cannot_tell",
        "the source's bytes match its stored checksum (SHA256), but the replica's bytes match its stored "
        "checksum (SHA256): they have not changed since they were written there",
    ),
    "each has a manifest of its own": Case(
        Evidence(here(A, record("manifest", A)), there(B, record("manifest", B))),
        "cannot_tell",
        ("the source's bytes match its manifest (SHA256)", "the replica's manifest (SHA256)"),
    ),
    "each has a manifest of its own, by algorithms of which the other has no checksum": Case(
        Evidence(
            Copy(
                HERE,
                digests={"SHA256": A, "MD5": "m5"},
                expected=(record("manifest", "m5", "MD5"),),
            ),
            Copy(
                THERE,
                digests={"SHA256": B, "SHA1": "s1"},
                expected=(record("manifest", "s1", "SHA1"),),
            ),
        ),
        "cannot_tell",
        "the source's bytes match its manifest (MD5), but the replica's bytes match its manifest (SHA1)",
    ),
    "a tag contradicts the manifest": Case(
        Evidence(here(A, record("manifest", A), record("object-tagging", C)), there(B)),
        "cannot_tell",
        "the source's bytes match its manifest (SHA256), but the source's bytes differ from its tag (SHA256)",
    ),
    "the replica changed, but is as its ETag says": Case(
        Evidence(here(A), there(B, first(A), record("object-etag", "m5", "MD5"), md5="m5")),
        "cannot_tell",
        ("ETag (MD5)", "own baseline of 2026-03-01 (first seen)"),
    ),
    # --- other copies ---
    "two of three are the source's": Case(
        Evidence(here(A), there(B), third(A)),
        "replica_damaged",
        "2 of 3 copies are the same (here, copy3)",
    ),
    "two of three are the replica's, and both are copies of the source": Case(
        Evidence(here(A), there(B), third(B)),
        "cannot_tell",
        "2 of 3 copies are the same (there, copy3), but only copies: one cause may "
        "have made all of them wrong; nothing shows which side was right before",
    ),
    "all copies of the source are the same, and were checked before": Case(
        Evidence(here(A), there(B, first(B)), third(B, B)), "cannot_tell"
    ),
    "all copies of the source changed, and the source did not": Case(
        Evidence(here(A, first(A)), there(B, first(A)), third(B, B)), "replica_damaged"
    ),
    "two of three are the replica's, and the source is a copy of the third": Case(
        Evidence(here(A), there(B), third(B, is_original=True)),
        "source_damaged",
        "2 of 3 copies are the same (there, copy3)",
    ),
    "three copies are three things": Case(Evidence(here(A), there(B), third(C)), "cannot_tell"),
    "two against two": Case(Evidence(here(A), there(B), third(A, B)), "cannot_tell"),
    "three of five are neither's": Case(
        Evidence(here(A), there(B), third(C, C, C, is_original=True)), "both_damaged"
    ),
    "three of five are neither's, and are copies of the source": Case(
        Evidence(here(A), there(B), third(C, C, C)), "cannot_tell"
    ),
    "a third copy that was checked by another algorithm": Case(
        Evidence(here(A), there(B), (OtherCopy("copy3", {"MD5": "m5"}),)), "cannot_tell"
    ),
    "two copies of the time before the source's current version": Case(
        Evidence(here(A, written=JUNE), there(B, written=MARCH), third(B, written=MARCH)),
        "cannot_tell",
        ("it may be an older version",),
    ),
    "the majority contradicts a baseline": Case(
        Evidence(here(A, first(C)), there(B), third(A)),
        "cannot_tell",
        (
            "2 of 3 copies are the same (here, copy3)",
            "the source's own baseline of 2026-03-01 (first seen) held until 2026-09-01",
        ),
    ),
    # --- versions ---
    "the replica is an older version": Case(
        Evidence(here(A), there(B), older=OLDER),
        "replica_stale",
        "the replica's bytes are those of the source's older version v1 of 2026-03-01",
    ),
    "the replica is an older version, and the source is right": Case(
        Evidence(here(A, record("manifest", A)), there(B, record("object-etag", B)), older=OLDER),
        "replica_stale",
    ),
    "the replica is an older version, and a manifest says that it is the right one": Case(
        Evidence(here(A, record("manifest", B)), there(B), older=OLDER),
        "cannot_tell",
        (
            "the replica's bytes are those of the source's older version v1 of 2026-03-01",
            "the replica's bytes match the source's manifest (SHA256)",
        ),
    ),
    "the replica is an older version, and the source changed": Case(
        Evidence(here(A, first(C)), there(B), older=OLDER),
        "cannot_tell",
        ("the source's own baseline", "older version v1"),
    ),
    "the source is right, and the replica is of an earlier time": Case(
        Evidence(here(A, record("manifest", A)), there(B, written=MARCH)),
        "cannot_tell",
        (
            "the source's bytes match its manifest (SHA256)",
            "the replica was written on 2026-03-01, before the source's current version of 2026-06-01: it "
            "may be an older version",
        ),
    ),
    "the same, but both are one version by its id": Case(
        Evidence(here(A, record("manifest", A)), there(B, written=MARCH), same_version=True),
        "replica_damaged",
    ),
    "the replica is of an earlier time, but it changed": Case(
        Evidence(here(A, record("manifest", A)), there(B, first(C), written=MARCH)), "replica_damaged"
    ),
    # --- what happened meanwhile ---
    "the source was overwritten meanwhile": Case(
        Evidence(
            replace(here(A, record("manifest", A)), changed="was overwritten since it was listed"),
            there(B, first(A)),
            third(A, A),
        ),
        "changed_meanwhile",
        "the source was overwritten since it was listed",
    ),
    "the replica was deleted, as its marker says": Case(
        Evidence(here(A), Copy(THERE, MISSING, deleted_at=SEPTEMBER)),
        "deleted",
        "the replica has a delete marker of 2026-09-01 08:30 UTC",
    ),
    "the source was deleted, as its marker says": Case(
        Evidence(Copy(HERE, MISSING, deleted_at=SEPTEMBER), there(B)), "deleted"
    ),
    "the replica is missing, and was there": Case(
        Evidence(here(A), Copy(THERE, MISSING, last_read_at=SEPTEMBER)),
        None,
        "the replica had it on 2026-09-01, and no delete marker of it is known",
    ),
    "the replica is missing, and the source has not changed": Case(
        Evidence(here(A, first(A)), Copy(THERE, MISSING)),
        None,
        "no check of it in the replica is known; "
        "the source's bytes have not changed since its first check of 2026-03-01",
    ),
    "the replica is missing, and the source changed": Case(
        Evidence(here(B, first(A)), Copy(THERE, MISSING)), "source_damaged"
    ),
    "the replica is missing, and the source's records contradict each other": Case(
        Evidence(here(A, record("manifest", A), record("object-tagging", C)), Copy(THERE, MISSING)),
        "cannot_tell",
    ),
    "the source is missing, and the replica is as it was written": Case(
        Evidence(Copy(HERE, MISSING), there(B, record("s3-checksum", B))), None
    ),
    "the source could not be read": Case(Evidence(Copy(HERE, "failed"), there(B)), None, ""),
    "the source could not be read, and the replica is as it was": Case(
        Evidence(Copy(HERE, "failed", expected=(first(A),)), there(A)), None
    ),
    "the source could not be read, and the replica changed": Case(
        Evidence(Copy(HERE, "failed"), there(B, first(A))), "replica_damaged"
    ),
    "neither could be read": Case(Evidence(Copy(HERE, "failed"), Copy(THERE, "failed")), None, ""),
    "the second look found the same bytes": Case(Evidence(here(A, first(B)), there(A)), None),
    "the checksums cannot be compared": Case(
        Evidence(here(A), Copy(THERE, digests={"MD5": "m5"})), "cannot_tell"
    ),
    # --- all together ---
    "all of it says that it is the replica": Case(
        Evidence(
            here(
                A,
                record("api", A),
                record("manifest", A),
                record("object-etag", "m5", "MD5"),
                first(A),
                md5="m5",
            ),
            there(B, record("manifest", A), record("object-etag", "m5", "MD5"), first(A), md5="other"),
            third(A, A),
        ),
        "replica_damaged",
    ),
    "all of it says that it is the replica, except for one tag": Case(
        Evidence(
            here(A, record("api", A), record("manifest", A), record("object-tagging", B), first(A)),
            there(B, record("manifest", A), first(A)),
            third(A, A),
        ),
        "cannot_tell",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_diagnosis_is_the_one_of_the_table(case: Case) -> None:
    found = diagnose(replace(case.evidence, last_agreed_at=JUNE))
    assert (found.word, found.last_agreed_at) == (case.word, JUNE)
    assert found.damaged == DAMAGED.get(case.word or "", ())
    if isinstance(case.says, str):
        assert found.rests_on == case.says
    else:
        assert [each for each in case.says if each not in found.rests_on] == []


def test_the_table_has_every_word() -> None:
    assert {case.word for case in CASES.values()} == {None, *DIAGNOSES}


def test_a_version_id_is_printed_without_control_characters() -> None:
    found = diagnose(Evidence(here(A), there(B), older=OlderVersion("\x1b[2J", None)))
    assert found.rests_on == "the replica's bytes are those of the source's older version \\x1b[2J"
