"""The spine over what SeaweedFS cannot hold: odd keys, and versions with the same ids on both sides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from devstack.stub_s3 import StubS3
from jobs.names import CHECKSUMS_JOB
from tests.platform import PAIR, Platform, read_report, report_metadata

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ODD_KEYS = [
    "plain.txt", "with space", "a+b", "100%", "%2F", "&", "#1", "what?", '"quoted"', "it's", ",", ";",
    "line\nbreak", "carriage\rreturn", "tab\tstop", "/leading", "doubled//slash", "folder/",
    "./dot", "a/../b", "ünï/çödé", "emoji 🎻", "case", "CASE", "=formula", "x" * 1024,
    "日本" * 170, "\\back", "~tilde", "*", "<&>",
]  # fmt: skip
LONG_AGO = datetime.now(UTC) - timedelta(days=30)


@pytest.fixture
def stubbed(tmp_path: Path, s3: S3Client, stub_s3: StubS3) -> Platform:
    """A pair of two buckets of the stub."""
    return Platform(tmp_path, s3, stub_s3.endpoint_url, "source", "replica")


def test_odd_keys_come_through_from_the_listing_to_the_csv(
    stubbed: Platform, stub_s3: StubS3, instance: dg.DagsterInstance
) -> None:
    for key in ODD_KEYS:
        for bucket in ("source", "replica"):
            stub_s3.put(bucket, key, key.encode())
    stub_s3.put("replica", "line\nbreak", b"other bytes")
    said = report_metadata(stubbed.verify(instance))
    rows = read_report(said["csv"])
    assert [row["key"] for row in rows] == sorted(ODD_KEYS, key=str.encode)
    assert {row["key"]: row["status"] for row in rows} == {
        key: "mismatch" if key == "line\nbreak" else "ok" for key in ODD_KEYS
    }


def test_every_version_is_compared_with_its_own_copy(
    stubbed: Platform, stub_s3: StubS3, instance: dg.DagsterInstance
) -> None:
    stubbed.bucket_settings["versions"] = "all"
    for bucket in ("source", "replica"):
        stub_s3.put(bucket, "k", b"first", version_id="v1", last_modified=LONG_AGO)
        stub_s3.put(bucket, "k", b"second", version_id="v2", last_modified=LONG_AGO + timedelta(days=1))
    stub_s3.put("source", "k", b"third", version_id="v3", last_modified=LONG_AGO + timedelta(days=2))
    said = report_metadata(stubbed.verify(instance))
    assert [(row["version_id"], row["status"]) for row in read_report(said["csv"])] == [
        ("v1", "ok"),
        ("v2", "ok"),
        ("v3", "missing_replica"),
    ]


def test_a_replica_that_holds_an_older_version_is_a_mismatch_that_says_so(
    stubbed: Platform, stub_s3: StubS3, instance: dg.DagsterInstance
) -> None:
    stub_s3.put("source", "k", b"second", last_modified=LONG_AGO + timedelta(days=1))
    stub_s3.put("replica", "k", b"first!", last_modified=LONG_AGO)
    said = report_metadata(stubbed.verify(instance))
    (row,) = read_report(said["csv"])
    assert row["status"] == "mismatch" and "written before the source's current version" in row["detail"]


def test_an_archived_object_is_not_checked_rather_than_failed(
    stubbed: Platform, stub_s3: StubS3, instance: dg.DagsterInstance
) -> None:
    stub_s3.put("source", "k", b"x", storage_class="DEEP_ARCHIVE")
    stub_s3.put("replica", "k", b"x")
    result = stubbed.verify(instance)
    (row,) = read_report(report_metadata(result)["csv"])
    assert row["status"] == "not_checked" and "Archived" in row["detail"]
    failed = {check.check_name for check in result.get_asset_check_evaluations() if not check.passed}
    assert failed == {"all_checked", "something_compared"}
    of_bucket = stubbed.run(instance, CHECKSUMS_JOB, PAIR).get_asset_check_evaluations()
    (red,) = [check for check in of_bucket if not check.passed]
    assert (red.check_name, red.description) == ("all_read", "Archived: 1")


def test_what_is_newer_than_the_lag_is_pending(
    stubbed: Platform, stub_s3: StubS3, instance: dg.DagsterInstance
) -> None:
    stub_s3.put("source", "new", b"x", last_modified=datetime.now(UTC))
    stub_s3.put("source", "old", b"x", last_modified=LONG_AGO)
    stub_s3.make_bucket("replica")
    stubbed.replication_lag = "15m"
    said = report_metadata(stubbed.verify(instance))
    assert {row["key"]: row["status"] for row in read_report(said["csv"])} == {
        "new": "pending",
        "old": "missing_replica",
    }
