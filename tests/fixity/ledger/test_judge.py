"""The strongest expectation that can be compared decides; nothing else is ever called a difference."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixity.ledger.judge import EXPECTATIONS, STRENGTH_SQL, judged, judged_by_md5, strength
from fixity.tables import CHECKSUMS

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SOURCES = ["api", "manifest", "object-tagging", "object-metadata", "s3-checksum", "object-etag", "first_seen"]
ALGORITHMS = ["SHA256", "MD5", "CRC32"]


def expected(algorithm: str, checksum: str, source: str, known_to_differ: bool = False) -> dict[str, Any]:
    return {
        "algorithm": algorithm,
        "checksum": checksum,
        "source": source,
        "known_to_differ": known_to_differ,
    }


def check(
    checksum: str | None = "aa", others: dict[str, str] | None = None, **other: object
) -> dict[str, Any]:
    return {
        "key": "k",
        "size": 1,
        "algorithm": "SHA256",
        "checksum_type": "FULL_OBJECT" if checksum else None,
        "checksum": checksum,
        "status": "succeeded" if checksum else "failed",
        "bytes_read": 1,
        "evidence": "streamed",
        "checked_at": NOON,
        "run_id": "r",
        "is_latest": True,
        "other_checksums": list((others or {}).items()) or None,
        **other,
    }


def judged_rows(*rows: tuple[dict[str, Any], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Checks, each with what is expected, as rows of the ledger."""
    names = [name for name in CHECKSUMS.names if name in rows[0][0] or CHECKSUMS.field(name).nullable]
    names = [
        name for name in names if name not in ("expected", "expected_algorithm", "expected_from", "verdict")
    ]
    columns = [pa.array([row.get(name) for row, _ in rows], CHECKSUMS.field(name).type) for name in names]
    expectations = pa.chunked_array([pa.array([each or None for _, each in rows], EXPECTATIONS.type)])
    found: list[dict[str, Any]] = judged(pa.table(columns, names=names), expectations).to_pylist()
    return found


def verdicts(*rows: tuple[dict[str, Any], list[dict[str, Any]]]) -> list[tuple[str, str | None, str | None]]:
    """Verdict, source and algorithm that each check is held against."""
    return [(row["verdict"], row["expected_from"], row["expected_algorithm"]) for row in judged_rows(*rows)]


def verdict(row: dict[str, Any], *expectations: dict[str, Any]) -> tuple[str, str | None, str | None]:
    (found,) = verdicts((row, list(expectations)))
    return found


def test_the_first_checksum_of_an_object_is_registered() -> None:
    assert verdict(check()) == ("registered", None, None)


def test_bytes_as_expected_match_and_others_differ() -> None:
    assert verdict(check("aa"), expected("SHA256", "aa", "first_seen")) == ("matched", "first_seen", "SHA256")
    assert verdict(check("bb"), expected("SHA256", "aa", "api")) == ("differs", "api", "SHA256")


def test_a_record_of_another_algorithm_is_held_against_the_checksum_of_the_same_reading() -> None:
    record = expected("MD5", "mm", "object-etag")
    assert verdict(check("aa", {"MD5": "mm"}), record) == ("matched", "object-etag", "MD5")
    assert verdict(check("aa", {"MD5": "nn"}), record) == ("differs", "object-etag", "MD5")


def test_what_cannot_be_compared_is_passed_over_for_what_can() -> None:
    manifest, first = expected("SHA1", "ss", "manifest"), expected("SHA256", "aa", "first_seen")
    assert verdict(check("bb"), manifest, first) == ("differs", "first_seen", "SHA256")


@pytest.mark.parametrize(
    "agrees",
    [
        expected("SHA256", "aa", "first_seen"),
        expected("SHA256", "aa", "manifest"),
        expected("CRC32", "cc", "s3-checksum"),
    ],
)
@pytest.mark.parametrize("known", [True, False])
def test_an_etag_that_contradicts_all_other_evidence_is_a_conflict_and_no_damage(
    agrees: dict[str, Any], known: bool
) -> None:
    etag = expected("MD5", "ee", "object-etag", known)
    row = check("aa", {"MD5": "mm", "CRC32": "cc"})
    assert verdict(row, etag, agrees) == ("matched", agrees["source"], agrees["algorithm"])
    (found,) = judged_rows((row, [etag, agrees]))
    assert (found["status"], found["error_code"]) == ("succeeded", "EtagConflict")
    assert "the ETag ee is not the MD5 of the bytes" in found["error_message"]
    assert f"the checksum from {agrees['source']} is theirs" in found["error_message"]


def test_in_a_bucket_with_md5_an_etag_is_held_against_the_other_evidence_as_well() -> None:
    row = check("mm", {"SHA256": "aa"}, algorithm="MD5")
    etag, api = expected("MD5", "ee", "object-etag"), expected("SHA256", "aa", "first_seen")
    assert verdict(row, etag, api) == ("matched", "first_seen", "SHA256")
    assert verdict(row, expected("MD5", "mm", "object-etag"), api) == ("matched", "object-etag", "MD5")


def test_an_etag_that_differs_like_everything_else_or_stands_alone_is_a_difference() -> None:
    etag, row = expected("MD5", "ee", "object-etag"), check("aa", {"MD5": "mm"})
    assert verdict(row, etag) == ("differs", "object-etag", "MD5")
    assert verdict(row, etag, expected("SHA256", "bb", "first_seen")) == ("differs", "object-etag", "MD5")
    # Of the bucket's own algorithm it is a checksum of ours that an ETag once proved.
    proved = expected("SHA256", "bb", "object-etag")
    assert verdict(row, proved, expected("MD5", "mm", "api")) == ("differs", "object-etag", "SHA256")
    assert verdict(check("aa"), etag, expected("SHA256", "aa", "first_seen")) == (
        "matched",
        "first_seen",
        "SHA256",
    )


def test_bytes_that_are_known_to_be_wrong_are_never_registered() -> None:
    assert verdict(check("aa"), expected("MD5", "mm", "manifest")) == ("registered", None, None)
    assert verdict(check("aa"), expected("MD5", "mm", "manifest", True)) == ("not_compared", None, None)


@pytest.mark.parametrize(
    "row",
    [
        check(None, error_code="ReadError"),
        check(None, status="skipped"),
        check("aa", checksum_type="COMPOSITE"),
        check("aa", evidence="stored"),
    ],
    ids=["failed", "skipped", "a checksum of checksums", "upload-time metadata"],
)
def test_what_says_nothing_of_the_bytes_now_is_compared_with_nothing(row: dict[str, Any]) -> None:
    assert verdict(row, expected("SHA256", "bb", "api")) == ("not_compared", None, None)


def test_a_record_stands_before_the_first_checksum_and_a_crc_after_every_cryptographic_record() -> None:
    order = [strength(source, "SHA256") for source in SOURCES]
    assert order == sorted(order, reverse=True)
    assert strength("api", "CRC32") < strength("object-etag", "MD5")
    assert strength("s3-checksum", "CRC64NVME") > strength("first_seen", "SHA256")


def test_duckdb_has_the_same_order() -> None:
    with duckdb.connect() as database:
        database.execute(STRENGTH_SQL)
        for source in SOURCES:
            for algorithm in ALGORITHMS:
                (found,) = database.execute("SELECT strength(?, ?)", [source, algorithm]).fetchall()
                assert found == (strength(source, algorithm),)


def is_etag(expectation: dict[str, Any]) -> bool:
    return (expectation["source"], expectation["algorithm"]) == ("object-etag", "MD5")


CHECKSUM = st.sampled_from(["aa", "bb"])
EXPECTED = st.builds(expected, st.sampled_from(ALGORITHMS), CHECKSUM, st.sampled_from(SOURCES), st.booleans())


@given(
    st.lists(
        st.tuples(
            st.builds(check, CHECKSUM, st.dictionaries(st.sampled_from(["MD5", "CRC32"]), CHECKSUM)),
            st.lists(EXPECTED, max_size=4),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_many_rows_are_judged_as_each_by_itself(
    rows: list[tuple[dict[str, Any], list[dict[str, Any]]]],
) -> None:
    found = verdicts(*rows)
    for (row, expectations), (word, source, algorithm) in zip(rows, found, strict=True):
        digests = {"SHA256": row["checksum"], **dict(row["other_checksums"] or [])}
        comparable = [each for each in expectations if each["algorithm"] in digests]
        first = comparable[0] if comparable else None
        if first and digests["MD5" if is_etag(first) else first["algorithm"]] != first["checksum"]:
            others = [each for each in comparable if not is_etag(each)]
            if is_etag(first) and others and digests[others[0]["algorithm"]] == others[0]["checksum"]:
                first = others[0]
        if first is not None and first["source"] == "manifest":  # of equal manifests, one that agrees
            equal = [
                each
                for each in comparable
                if each["source"] == "manifest"
                and strength("manifest", each["algorithm"]) == strength("manifest", first["algorithm"])
            ]
            first = next((each for each in equal if digests[each["algorithm"]] == each["checksum"]), first)
        if first is None:
            damaged = any(each["known_to_differ"] for each in expectations)
            assert (word, source, algorithm) == ("not_compared" if damaged else "registered", None, None)
        else:
            right = digests[first["algorithm"]] == first["checksum"]
            assert word == ("matched" if right else "differs")
            assert (source, algorithm) == (first["source"], first["algorithm"])


@pytest.mark.parametrize("is_md5", [True, False])
def test_an_etag_that_alone_says_that_bytes_are_wrong_is_asked_about(is_md5: bool) -> None:
    rows = pa.Table.from_pylist(
        [check("bb", {"MD5": md5}, key=key) for key, md5 in (("a", "1"), ("b", "0"))], CHECKSUMS
    ).drop_columns(["verdict", "expected", "expected_algorithm", "expected_from"])
    etag = [expected("MD5", "0", "object-etag")]
    asked: list[str] = []

    def ask(key: str, version_id: str | None) -> bool:
        asked.append(key)
        return is_md5

    found = judged_by_md5(rows, pa.chunked_array([pa.array([etag, etag], EXPECTATIONS.type)]), ask)
    assert asked == ["a"]
    assert found.column("verdict").to_pylist() == ["differs" if is_md5 else "registered", "matched"]


def test_what_a_check_says_of_its_own_reads_stays_whatever_it_is_held_against() -> None:
    said = check(others={"MD5": "bb"}, error_code="UnstableRead", error_message="two reads differ")
    silent = check(others={"MD5": "bb"})
    conflict = [expected("MD5", "cc", "object-etag"), expected("SHA256", "aa", "first_seen")]
    rows = judged_rows(
        (said, [expected("SHA256", "aa", "first_seen")]),
        (said, [expected("MD5", "bb", "manifest")]),
        (said, conflict),
        (silent, conflict),
    )
    assert [(row["verdict"], row["error_code"]) for row in rows] == [
        *[("matched", "UnstableRead")] * 3,
        ("matched", "EtagConflict"),
    ]
    assert [row["error_message"] for row in rows[:3]] == ["two reads differ"] * 3
