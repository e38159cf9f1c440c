"""Every trap of S3's completion reports: what becomes a checksum, what a failed row, and what is refused."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixity.s3_batch.errors import NoReport, ReportUnusable
from fixity.s3_batch.failed_rows import convert
from fixity.s3_batch.ingest import ingest_report
from fixity.s3_batch.jobs import COMPLETE, JobState
from fixity.s3_batch.records import JobRecord
from tests.fixity.s3_batch.reports import (
    CRC32_ROW,
    FAILED_ROWS,
    NOON,
    REAL_ROW,
    Ingest,
    etag,
    failed_row,
    listed,
    quoted,
    row,
)


@pytest.fixture
def ingest(tmp_path: Path) -> Ingest:
    return Ingest(tmp_path)


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
    assert kept["checked_at"].isoformat() == "2026-01-24T01:26:27.366827+00:00"


def test_the_other_spelling_and_escaped_base64_are_read_too(ingest: Ingest) -> None:
    ingest.bucket_settings.update(bucket="amzn-s3-demo-bucket1", algorithm="CRC32")
    ingest.listing(listed("s3-standard-1mb-test-object", tag="3c3c1813042989094598e4b57ecbdc82"))
    ingest.result("succeeded", CRC32_ROW)
    assert only(ingest)["checksum"] == "6d2f5339"


def test_failed_rows_are_read_though_they_are_no_csv(ingest: Ingest) -> None:
    ingest.bucket_settings["bucket"] = "amzn-s3-demo-bucket1"
    ingest.listing(listed("image_14975"), listed("image_14976"))
    ingest.result("failed", FAILED_ROWS)
    kept = ingest.run()
    assert (kept.failed, kept.succeeded, kept.reasons) == (2, 0, {"PermanentFailure": 2})
    assert [(each["status"], each["error_message"]) for each in ingest.table()] == [
        ("failed", "SSE-C encryption type is not supported for this operation (400)"),
        ("failed", "Key not found (404)"),
    ]


WORDS = st.lists(
    st.sampled_from(
        [
            "a, b",
            '"',
            '""',
            ",",
            " ",
            "KMS key disabled",
            "\n",
            "deposit",
            "{",
            "\\",
            "é",
            '",""',
            "\r\n",
        ]
    ),
    max_size=6,
).map("".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(messages=st.lists(WORDS, min_size=1, max_size=6))
def test_whatever_a_message_says_no_failed_row_is_lost(tmp_path: Path, messages: list[str]) -> None:
    keys = [f"k{number}\ndeposit,x" for number in range(len(messages))]
    said = [message.strip() for message in messages]
    file = tmp_path / "failed.csv"
    file.write_bytes(
        "".join(failed_row(quoted(key), why) for key, why in zip(keys, said, strict=True)).encode()
    )
    assert convert([(file, "here")], "deposit", tmp_path / "to") == len(keys)
    assert pq.read_table(tmp_path / "to").column("key").to_pylist() == keys


def test_a_message_with_commas_and_quotes_keeps_to_its_row(ingest: Ingest) -> None:
    said = {
        "b": "Access Denied, KMS key disabled",
        "c": "Key not found",
        "d": 'the key "k, and more',
        "e": "SSE-C",
    }
    ingest.listing(*(listed(key) for key in ["a", *said]))
    ingest.result("succeeded", row("a"))
    ingest.result("failed", "".join(failed_row(key, why) for key, why in said.items()))
    ingest.state = JobState("j", COMPLETE, 5, 1, 4, counted=True)
    ingest.run()
    assert {each["key"]: each["error_message"] for each in ingest.table() if each["status"] == "failed"} == {
        key: f"{why} (403)" for key, why in said.items()
    }


@pytest.mark.parametrize(("succeeded", "failed"), [(2, 1), (1, 2), (1, 0)])
def test_a_report_with_other_rows_than_s3_counted_is_refused(
    ingest: Ingest, succeeded: int, failed: int
) -> None:
    ingest.bucket_settings["prefix"] = "box/"
    ingest.listing(listed("a"), listed("b"))
    ingest.result("succeeded", row("outside"))
    ingest.result("failed", failed_row("box/b", "Key not found"))
    ingest.state = JobState("j", COMPLETE, 3, succeeded, failed, counted=True)
    with pytest.raises(ReportUnusable, match=r"has 1 rows of tasks that .*, where S3 counted [02]: nothing"):
        ingest.run()
    assert ingest.kept == []
    ingest.state = JobState("j", COMPLETE, 2, 1, 1, counted=True)
    assert ingest.run().failed == 1


@pytest.mark.parametrize(
    ("other", "code", "said"),
    [
        ({"checksum_hex": "00" * 32}, "ContradictoryChecksum", "are not the same bytes"),
        ({"checksum_base64": "AAAA"}, "ContradictoryChecksum", "are not the same bytes"),
        ({"checksum_hex": "6D2F5339", "checksum_base64": "bS9TOQ=="}, "MalformedChecksum", "of 32 bytes"),
        ({"checksum_hex": "zz"}, "MalformedChecksum", "hex zz"),
        ({"checksum_base64": "!"}, "MalformedChecksum", "base64 !"),
        ({"checksum_hex": None}, "MalformedChecksum", "hex (none)"),
        ({"checksumAlgorithm": "MD5"}, "OtherAlgorithm", "S3 computed MD5 where SHA256 was asked for"),
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


def test_a_message_that_is_no_json_is_a_failed_row(ingest: Ingest) -> None:
    ingest.listing(listed("k"), listed("l"))
    ingest.result("succeeded", row("l"))
    ingest.result("succeeded", 'deposit,k,,succeeded,200,,"{""checksum_hex"":"\n')
    ingest.run()
    assert [each["error_code"] for each in ingest.table()] == ["MalformedResult", None]


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
    ingest.result(
        "succeeded", row("k", "v1", ETag="old") + row("k", "v2", ETag="new", checksumType="COMPOSITE")
    )
    ingest.result("succeeded", row("l", "v1", ETag="old") + row("l", "v2", ETag="older"))
    ingest.run()
    assert [(each["status"], each["checksum_type"]) for each in ingest.table()] == [
        ("succeeded", "COMPOSITE"),
        ("skipped", None),
    ]


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


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("succeeded", row("a") + "deposit,k,,succeeded,200,\n", "Expected Number of Columns: 7 Found: 6"),
        (
            "succeeded",
            row("a") + "deposit,k,,succeeded,200,,{},8,9\n",
            "Expected Number of Columns: 7 Found:",
        ),
        ("failed", "deposit,k,,failed,200,PermanentFailure\n", "at byte 0 there is no row of the bucket"),
        ("failed", failed_row("k", "x") + "deposit,k,,fai", "at byte 147 there is no row of the bucket"),
        ("failed", b"deposit,\xff,,failed,200,x,y\n", "'utf-8' codec can't decode"),
        ("succeeded", row("k", bucket="somebody-else-s"), "a row is of the bucket somebody-else-s, not of"),
        ("succeeded", b"deposit,\xff\xfe,,succeeded,200,,x\n", "cannot be read"),
        ("succeeded", 'deposit,k,,succeeded,200,,"' + "x" * 40_000_000 + '"\n', "CSV Error on Line: 1"),
    ],
)
def test_a_file_that_is_no_result_is_refused_and_nothing_is_kept(
    ingest: Ingest, kind: str, text: str | bytes, said: str
) -> None:
    ingest.listing(listed("a"), listed("k"))
    ingest.result("succeeded", row("a") + row("k"))
    ingest.run("before")
    ingest.result(kind, text)
    ingest.put_manifest()
    with pytest.raises(
        ReportUnusable, match=r"the report of the job j of 'deposit' cannot be read"
    ) as refused:
        ingest.run("after")
    assert said in str(refused.value)
    assert ingest.kept == ["checksums/deposit/NEWEST.json", "checksums/deposit/before.parquet"]


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ('{"Format": "Report_CSV_20180820", "Resu', "is no manifest of a completion report"),
        ("[]", "is no manifest of a completion report"),
        ('{"Format": "Report_JSON"}', "has the format 'Report_JSON', not Report_CSV_20180820"),
        ('{"Format": "Report_CSV_20180820", "ReportCreationDate": "2026-01-24T01:26:27Z"}', "'Results'"),
        (
            '{"Format": "Report_CSV_20180820", "ReportCreationDate": "2026-01-24T01:26:27Z", "Results": '
            '[{"TaskExecutionStatus": "succeeded", "Key": "gone.csv", "MD5Checksum": "00"}]}',
            "gone.csv, which is not there",
        ),
    ],
)
def test_a_manifest_that_cannot_be_used_is_refused(ingest: Ingest, manifest: str, said: str) -> None:
    ingest.listing(listed("k"))
    ingest.put_manifest(manifest)
    with pytest.raises(ReportUnusable) as refused:
        ingest.run()
    assert said in str(refused.value) and ingest.kept == []


def test_without_a_manifest_there_is_no_report(ingest: Ingest) -> None:
    ingest.listing(listed("k"))
    ingest.put_manifest()
    (ingest.folder / "reports/prefix/job-j/manifest.json").rename(ingest.folder / "elsewhere")
    record = JobRecord(
        "deposit", "j", "r", NOON.isoformat(), "inventory/deposit/listing.parquet", "SHA256",
        "FULL_OBJECT", "managed", "prefix",
    )  # fmt: skip
    with pytest.raises(NoReport, match=r"prefix/job-j/manifest\.json is not there"):
        ingest_report(ingest.lake, ingest.reports, ingest.bucket, record, "run")
    assert ingest.kept == []


def test_a_result_file_that_was_cut_short_is_refused_by_its_md5(ingest: Ingest) -> None:
    ingest.listing(listed("k"))
    ingest.result("succeeded", row("k"))
    ingest.manifest["Results"][0]["MD5Checksum"] = hashlib.md5(b"whole").hexdigest()
    with pytest.raises(ReportUnusable, match=r"its MD5 is .* it may have been cut short or changed"):
        ingest.run()


def test_an_empty_report_of_an_empty_bucket_is_an_empty_table(ingest: Ingest) -> None:
    ingest.listing()
    assert ingest.run().objects == 0 and ingest.table() == []


@pytest.mark.parametrize("range_bytes", [300, 5_000, 100_000_000])
def test_however_the_keys_are_cut_into_ranges_each_object_gets_its_own_row(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch, range_bytes: int
) -> None:
    monkeypatch.setattr("fixity.s3_batch.ingest._RANGE_BYTES", range_bytes)
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
