"""What an output of a map says: a checksum, or why not, of which object, and when."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fixity.catalog import Bucket
from fixity.engines.step_functions.gather import parse_time
from tests.fixity.engines.step_functions.ledger import (
    rows,
    said,
    told,
)
from tests.fixity.support import (
    sha256,
)


@pytest.mark.parametrize(
    ("output", "mapping", "status", "code"),
    [
        ({"status": "Succeeded"}, {"status": "$.status"}, "succeeded", None),
        ({"status": "failed"}, {"status": "$.status"}, "failed", "FailedInMap"),
        ({"status": "OK"}, {"status": "$.status", "statuses": {"ok": "succeeded"}}, "succeeded", None),
        (
            {"status": "Gone"},
            {"status": "$.status", "statuses": {"gone": "skipped"}},
            "skipped",
            "SkippedInMap",
        ),
        ({"status": "Odd"}, {"status": "$.status"}, "failed", "UnknownStatus"),
        ({}, {"status": "$.status"}, "failed", "UnknownStatus"),
        ({"sha256": None}, {}, "failed", "NoChecksum"),
        ({"sha256": "abc"}, {}, "failed", "InvalidChecksum"),
        ({"sha256": "z" * 64}, {}, "failed", "InvalidChecksum"),
        ({"sha256": sha256(b"x") + "-3"}, {}, "failed", "InvalidChecksum"),
        ({"sha256": sha256(b"x").upper()}, {}, "succeeded", None),
        ({"sha256": base64.b64encode(bytes.fromhex(sha256(b"x"))).decode()}, {}, "succeeded", None),
        ({"algorithm": "sha-256"}, {"algorithm": "$.algorithm"}, "succeeded", None),
    ],
)
def test_a_result_is_a_checksum_or_says_why_not(
    tmp_path: Path, output: dict[str, object], mapping: dict[str, Any], status: str, code: str | None
) -> None:
    (row,) = rows(told(tmp_path, {**said("a", b"x"), **output}, **mapping).file)
    assert (row["status"], row["error_code"]) == (status, code)
    assert row["checksum"] == (sha256(b"x") if status == "succeeded" else None)
    assert bool(row["error_message"]) == bool(code)


def test_what_is_no_check_of_a_bucket_of_the_catalog_is_counted(tmp_path: Path) -> None:
    outputs = [
        {"virus": "none"}, "text", None, 3, {"bucket": 1, "key": "a"}, {"bucket": "b", "key": ""},
        {**said("a", b"x"), "bucket": "another"},
        {**said("a", b"x"), "algorithm": "MD5"}, {**said("a", b"x"), "algorithm": "rot13"},
        {**said("\ud800", b"x")},
    ]  # fmt: skip
    kept = told(tmp_path, *outputs, algorithm="$.algorithm")
    assert kept.left_out == {"not_a_check": 7, "unknown_bucket": 1, "other_algorithm": 2}
    assert kept.buckets == [] == rows(kept.file)


def test_a_batch_is_as_many_checks_unless_the_paths_say_otherwise(tmp_path: Path) -> None:
    batch = [said("a", b"x"), said("b", b"y")]
    assert [row["key"] for row in rows(told(tmp_path, batch, said("c", b"z")).file)] == ["a", "b", "c"]
    parallel = [{"checksum": sha256(b"x")}, {"file": "a"}]
    (row,) = rows(
        told(
            tmp_path,
            parallel,
            bucket="b",
            key="$[1].file",
            checksum="$[0].checksum",
            buckets=[Bucket(name="b")],
        ).file
    )
    assert (row["key"], row["checksum"]) == ("a", sha256(b"x"))


def test_the_real_name_and_the_prefix_say_which_bucket_of_the_catalog_was_read(tmp_path: Path) -> None:
    buckets = [
        Bucket(name="letters", bucket="real", prefix="letters/"),
        Bucket(name="all", bucket="real"),
        Bucket(name="real", bucket="other"),
    ]
    outputs = [{**said("letters/1", b"x"), "bucket": "real"}, {**said("maps/1", b"x"), "bucket": "real"}]
    kept = told(tmp_path, *outputs, buckets=buckets)
    assert [(row["bucket"], row["key"]) for row in rows(kept.file)] == [
        ("letters", "1"),
        ("all", "letters/1"),
        ("all", "maps/1"),
    ]
    assert kept.buckets == ["letters", "all"]


@pytest.mark.parametrize(
    "text", ["2024-03-02T10:00:00.5Z", "2024-03-02T11:00:00.5+01:00", 1709373600.5, 1709373600500]
)
def test_times_are_read_as_step_functions_and_people_write_them(text: object) -> None:
    assert parse_time(text) == datetime(2024, 3, 2, 10, 0, 0, 500_000, UTC)


@pytest.mark.parametrize("text", ["2024-03-02T10:00:00", "yesterday", None, True, 1e300, [], -1e17])
def test_what_is_no_time_is_none(text: object) -> None:
    assert parse_time(text) is None
