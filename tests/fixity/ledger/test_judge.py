"""The strongest expectation that can be compared decides; nothing else is ever called a difference."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixity.ledger.judge import EXPECTATIONS, STRENGTH_SQL, judged, strength
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


def verdicts(*rows: tuple[dict[str, Any], list[dict[str, Any]]]) -> list[tuple[str, str | None, str | None]]:
    """Verdict, source and algorithm that each check is held against."""
    names = [name for name in CHECKSUMS.names if name in rows[0][0] or CHECKSUMS.field(name).nullable]
    names = [
        name for name in names if name not in ("expected", "expected_algorithm", "expected_from", "verdict")
    ]
    columns = [pa.array([row.get(name) for row, _ in rows], CHECKSUMS.field(name).type) for name in names]
    expectations = pa.chunked_array([pa.array([each or None for _, each in rows], EXPECTATIONS.type)])
    found = judged(pa.table(columns, names=names), expectations).to_pylist()
    return [(row["verdict"], row["expected_from"], row["expected_algorithm"]) for row in found]


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
        first = next((each for each in expectations if each["algorithm"] in digests), None)
        if first is None:
            damaged = any(each["known_to_differ"] for each in expectations)
            assert (word, source, algorithm) == ("not_compared" if damaged else "registered", None, None)
        else:
            right = digests[first["algorithm"]] == first["checksum"]
            assert word == ("matched" if right else "differs")
            assert (source, algorithm) == (first["source"], first["algorithm"])
