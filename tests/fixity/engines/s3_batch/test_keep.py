"""Completion reports: what becomes a checksum, and what a failed row."""

from __future__ import annotations

import base64
import hashlib
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fixity.engines.s3_batch.batch_jobs import COMPLETE, JobState
from tests.fixity.engines.s3_batch.reports import (
    CRC32_ROW,
    NOON,
    REAL_ROW,
    Ingest,
    etag,
    failed_row,
    listed,
    row,
)


def only(ingest: Ingest) -> dict[str, Any]:
    """The one row that was kept."""
    ingest.run()
    (kept,) = ingest.table()
    return kept


def test_a_real_row_becomes_a_checksum(ingest: Ingest) -> None:
    ingest.bucket_settings["bucket"] = "test-stack-private"
    ingest.listing(listed("wasteland01elio.pdf", tag="b6962e69f0505dc50e8022c7f0bf09b6"))
    ingest.result("succeeded", REAL_ROW)
    kept = only(ingest)
    assert kept["checksum"] == "9769072b18003829d11657060dc98dcfb5c96d50c197bf40eb40d92e2d2d7869"
    assert (kept["status"], kept["algorithm"], kept["checksum_type"]) == (
        "succeeded",
        "SHA256",
        "FULL_OBJECT",
    )
    assert (kept["evidence"], kept["storage_class"], kept["bytes_read"]) == ("s3_batch", "GLACIER", 19)
    # The report of a job of others: its clock may be a minute ahead.
    assert kept["checked_at"].isoformat() == "2026-01-24T01:25:27.366827+00:00"


def test_the_other_spelling_and_escaped_base64_are_read_too(ingest: Ingest) -> None:
    ingest.bucket_settings.update(bucket="amzn-s3-demo-bucket1", algorithm="CRC32")
    ingest.listing(listed("s3-standard-1mb-test-object", tag="3c3c1813042989094598e4b57ecbdc82"))
    ingest.result("succeeded", CRC32_ROW)
    assert only(ingest)["checksum"] == "6d2f5339"


@pytest.mark.parametrize(
    ("other", "code", "said"),
    [
        ({"checksum_hex": "00" * 32}, "ContradictoryChecksum", "are different bytes"),
        ({"checksum_base64": "AAAA"}, "ContradictoryChecksum", "are different bytes"),
        ({"checksum_hex": "6D2F5339", "checksum_base64": "bS9TOQ=="}, "MalformedChecksum", "of 32 bytes"),
        ({"checksum_hex": "zz"}, "MalformedChecksum", "hex zz"),
        ({"checksum_base64": "!"}, "MalformedChecksum", "base64 !"),
        ({"checksum_hex": None}, "MalformedChecksum", "hex (none)"),
        ({"checksumAlgorithm": "MD5"}, "OtherAlgorithm", "S3 computed MD5 but SHA256 was requested"),
        ({"ETag": None}, "MalformedResult", "not understood"),
    ],
)
def test_a_checksum_that_cannot_be_relied_upon_is_a_failed_row(
    ingest: Ingest, other: dict[str, str], code: str, said: str
) -> None:
    ingest.listing(listed("k"))
    ingest.result("succeeded", row("k", **other))
    kept = only(ingest)
    assert (kept["status"], kept["error_code"], kept["checksum"]) == ("failed", code, None)
    assert said in kept["error_message"]


def test_two_rows_for_one_object_are_no_checksum(ingest: Ingest) -> None:
    ingest.listing(listed("a"), listed("k"))
    ingest.result("succeeded", row("a") + row("k") + row("k", checksum_hex="00" * 32))
    ingest.run()
    assert [each["error_code"] for each in ingest.table()] == [None, "ReportedTwice"]


def test_an_object_overwritten_since_it_was_listed_is_skipped_and_one_not_named_too(ingest: Ingest) -> None:
    ingest.listing(listed("changed", tag="another"), listed("gone"), listed("same"))
    ingest.result("succeeded", row("changed") + row("same") + row("written-later"))
    ingest.run()
    assert [(each["key"], each["status"], each["error_code"]) for each in ingest.table()] == [
        ("changed", "skipped", "ChangedSinceListed"),
        ("gone", "skipped", "NotInReport"),
        ("same", "succeeded", None),
    ]


def test_of_several_versions_the_listed_one_is_known_by_its_etag(ingest: Ingest) -> None:
    ingest.listing(listed("k", tag="new"), listed("l", tag="none-of-them"))
    ingest.result("succeeded", row("k", "v1", ETag="old") + row("k", "v2", ETag="new"))
    ingest.result("succeeded", row("l", "v1", ETag="old") + row("l", "v2", ETag="older"))
    ingest.run()
    assert [(each["status"], each["checksum_type"]) for each in ingest.table()] == [
        ("succeeded", "FULL_OBJECT"),
        ("skipped", None),
    ]


def test_without_a_listed_etag_versions_that_differ_are_no_checksum(ingest: Ingest) -> None:
    other = base64.b64encode(bytes(32)).decode()
    ingest.listing({**listed("film"), "etag": None})
    ingest.result(
        "succeeded",
        row("film", "v1") + row("film", "v2", ETag="x", checksum_hex="00" * 32, checksum_base64=other),
    )
    kept = only(ingest)
    assert (kept["checksum"], kept["error_code"]) == (None, "ContradictoryChecksum")


def test_a_version_that_failed_is_not_checked_by_an_older_one_with_the_same_bytes(ingest: Ingest) -> None:
    ingest.listing(listed("k"), listed("l"), listed("m"))
    ingest.result("succeeded", row("k", "v1") + row("k", "v0") + row("l", "v1", ETag="old") + row("m", "v1"))
    ingest.result("failed", failed_row("k", "Denied", "v2") + failed_row("l", "Denied", "v2"))
    ingest.run()
    assert [(each["status"], each["error_code"], each["checksum"] is None) for each in ingest.table()] == [
        ("failed", "VersionNotTold", True),
        ("failed", "PermanentFailure", True),
        ("succeeded", None, False),
    ]
    assert ingest.table()[0]["error_message"] == (
        "S3 could not read the version v2 (PermanentFailure: Denied (403)), and the inventory does not tell "
        "whether it is the current one"
    )


def test_versions_meet_by_their_ids_and_an_unversioned_one_by_having_none(ingest: Ingest) -> None:
    ingest.bucket_settings["versions"] = "all"
    ingest.listing(listed("k", "v1"), listed("k", "null"), listed("l", None))
    ingest.result("succeeded", row("k", "v1") + row("k", "null") + row("l", ""))
    ingest.run()
    assert [(each["version_id"], each["status"]) for each in ingest.table()] == [
        ("null", "succeeded"),
        ("v1", "succeeded"),
        (None, "succeeded"),
    ]


def test_odd_keys_come_through_raw_or_decoded_as_the_bucket_says(ingest: Ingest) -> None:
    keys = ["a b+c%2F", "line\nbreak", 'quo"te', "com,ma", "é/😀"]
    ingest.listing(*(listed(key) for key in keys))
    ingest.result("succeeded", "".join(row(key) for key in keys))
    assert ingest.run().succeeded == len(keys)


def test_encoded_keys_are_decoded_where_the_bucket_says_so(tmp_path: Path) -> None:
    ingest = Ingest(tmp_path, batch_settings={"decode_report_keys": True})
    ingest.listing(listed("a b+c/é"))
    ingest.result("succeeded", row("a%20b+c/%C3%A9", ETag=etag("a b+c/é")))
    assert only(ingest)["status"] == "succeeded"


def test_a_prefix_is_taken_off_and_what_is_outside_left_out(ingest: Ingest) -> None:
    ingest.bucket_settings["prefix"] = "box/"
    ingest.listing(listed("k", tag=etag("box/k")))
    ingest.result("succeeded", row("box/k") + row("elsewhere"))
    assert only(ingest)["status"] == "succeeded"


def test_a_report_of_a_selection_says_nothing_of_other_objects(ingest: Ingest) -> None:
    ingest.objects = 1
    ingest.listing(listed("a"), listed("k"))
    ingest.result("succeeded", row("k"))
    assert only(ingest)["key"] == "k"


def test_an_empty_report_of_an_empty_bucket_is_an_empty_table(ingest: Ingest) -> None:
    ingest.listing()
    assert ingest.run().objects == 0 and ingest.table() == []


@pytest.mark.parametrize("range_bytes", [300, 5_000, 100_000_000])
def test_however_the_keys_are_cut_into_ranges_each_object_gets_its_own_row(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch, range_bytes: int
) -> None:
    monkeypatch.setattr("fixity.engines.s3_batch.keep._RANGE_BYTES", range_bytes)
    chance = random.Random(3)
    keys = sorted(
        {f"{chance.choice(['a', 'é', '/', '😀', 'Z'])}{chance.randrange(10**6)}" for _ in range(400)}
    )
    expected: dict[str, str | None] = {}
    rows: list[str] = []
    for key in keys:
        match chance.randrange(5):
            case 0:
                expected[key] = "NotInReport"
            case 1:
                expected[key] = "ChangedSinceListed"
                rows.append(row(key, ETag="another"))
            case 2:
                expected[key] = "ReportedTwice"
                rows += [row(key), row(key)]
            case _:
                expected[key] = None
                rows.append(row(key))
        rows.append(row(f"{key}-not-listed"))
    chance.shuffle(rows)
    ingest.listing(*map(listed, keys))
    for number in range(3):
        ingest.result("succeeded", "".join(rows[number::3]))
    ingest.run()
    kept = ingest.table()
    assert [each["key"] for each in kept] == sorted(keys, key=str.encode)
    assert {each["key"]: each["error_code"] for each in kept} == expected
    assert all(
        each["checksum"] == hashlib.sha256(each["key"].encode()).hexdigest()
        for each in kept
        if each["status"] == "succeeded"
    )


@pytest.mark.parametrize("versions", ["current", "all"])
def test_what_was_written_after_a_job_of_others_began_is_not_checked_by_it_though_its_etag_is_the_same(
    ingest: Ingest, versions: str
) -> None:
    """It is as with maps: the listing is newer than the reading, and gives whole seconds."""
    ingest.bucket_settings["versions"] = versions
    ingest.state = JobState("j", COMPLETE, created_at=NOON)
    times = {"a": NOON - timedelta(seconds=1), "b": NOON, "c": None, "d": NOON + timedelta(days=1)}
    ids = {"a": None, "b": "null", "c": None, "d": "v1"}
    ingest.listing(*({**listed(key, ids[key]), "last_modified": at} for key, at in times.items()))
    ingest.result("succeeded", "".join(row(key, ids[key] or "") for key in times))
    ingest.run()
    found = {each["key"]: (each["status"], each["error_code"]) for each in ingest.table()}
    late = ("skipped", "WrittenSinceRead")
    right = ("succeeded", None)
    assert found == {"a": right, "b": late, "c": late, "d": right}  # the version of d never changes


def test_where_both_sides_name_versions_another_one_with_the_same_bytes_does_not_stand_in(
    ingest: Ingest,
) -> None:
    """An inventory of S3 names current versions; a job reads all, and the row of the current one is lost."""
    ingest.listing(listed("k", "v2"), listed("l", "v2"), listed("m", "null"))
    ingest.result("succeeded", row("k", "v1") + row("l", "v1") + row("l", "v2") + row("m", "null"))
    ingest.run()
    assert [(each["key"], each["status"], each["error_code"]) for each in ingest.table()] == [
        ("k", "skipped", "NotInReport"),
        ("l", "succeeded", None),
        ("m", "succeeded", None),
    ]


@pytest.mark.parametrize(
    ("status", "error"), [("500", "InternalError"), ("200", "SlowDown"), ("", ""), ("503", "")]
)
def test_a_task_that_succeeded_with_another_status_than_200_is_no_success(
    ingest: Ingest, status: str, error: str
) -> None:
    ingest.listing(listed("k"), listed("l"))
    swapped = row("l").replace(",200,,", ",,200,")  # as S3's manifests name the cells
    ingest.result("succeeded", row("k").replace(",200,,", f",{status},{error},") + swapped)
    ingest.run()
    assert [(each["status"], each["error_code"]) for each in ingest.table()] == [
        ("failed", "ContradictoryStatus"),
        ("succeeded", None),
    ]
