"""Completion reports: each checksum is held against what is expected of its object when it comes in."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta
from typing import Any

import pytest

from fixity.clock import utc_now
from fixity.engines.s3_batch.batch_jobs import COMPLETE, JobState
from fixity.ledger import ready
from fixity.ledger.damage import Damage, damaged_now
from fixity.ledger.fold import settings_of
from tests.fixity.engines.records import keep_check
from tests.fixity.engines.s3_batch.reports import BUCKET, NOON, Ingest, listed, row
from tests.fixity.support import sha256

OTHER = {
    "checksum_base64": base64.b64encode(hashlib.sha256(b"other").digest()).decode(),
    "checksum_hex": sha256(b"other"),
}
"""What S3 says of bytes that are others."""


def later(ingest: Ingest) -> Ingest:
    """The report of a job a month later, over the same bucket."""
    again = Ingest(ingest.folder / "later")
    again.lake = ingest.lake
    again.manifest["ReportCreationDate"] = "2026-02-24T01:26:27Z"
    return again


def verdicts(ingest: Ingest, run_id: str) -> list[tuple[Any, ...]]:
    names = ("key", "verdict", "expected", "expected_algorithm", "expected_from")
    return [tuple(each[name] for name in names) for each in ingest.table(run_id)]


def damaged(ingest: Ingest) -> list[Damage]:
    return damaged_now(ingest.lake, ready(ingest.lake, BUCKET, settings_of(ingest.bucket), "look"))


@pytest.fixture
def checked(ingest: Ingest) -> Ingest:
    """A bucket of two objects, both checked by a job."""
    ingest.listing(listed("a"), listed("k"))
    ingest.result("succeeded", row("a") + row("k"))
    ingest.run("first")
    return ingest


def test_the_first_report_of_a_bucket_registers_its_checksums_and_nothing_is_folded_for_it(
    checked: Ingest,
) -> None:
    nothing = (None, None, None)
    assert verdicts(checked, "first") == [("a", "registered", *nothing), ("k", "registered", *nothing)]
    assert not checked.lake.list("standing/")


def test_a_checksum_that_differs_from_what_was_first_seen_is_damage(checked: Ingest) -> None:
    again = later(checked)
    again.result("succeeded", row("a") + row("k", **OTHER))
    again.run("second")
    assert verdicts(checked, "second") == [
        ("a", "matched", sha256(b"a"), "SHA256", "first_seen"),
        ("k", "differs", sha256(b"k"), "SHA256", "first_seen"),
    ]
    (damage,) = damaged(checked)
    assert (damage.key, damage.expected, damage.actual) == ("k", sha256(b"k"), sha256(b"other"))


def test_a_checksum_that_differs_from_a_record_is_damage_though_nothing_was_seen_before(
    ingest: Ingest,
) -> None:
    ingest.listing(listed("a"), listed("k"))
    deposited = sha256(b"as deposited")
    keep_check(ingest.lake, BUCKET, listed("k"), checksum=sha256(b"k"), expected=deposited, at=NOON)
    ingest.result("succeeded", row("a") + row("k"))
    ingest.run()
    assert verdicts(ingest, "run") == [
        ("a", "registered", None, None, None),
        ("k", "differs", deposited, "SHA256", "manifest"),
    ]
    assert [(each.key, each.expected) for each in damaged(ingest)] == [("k", deposited)]


def test_a_composite_checksum_that_nobody_asked_for_is_no_result(checked: Ingest) -> None:
    again = later(checked)
    again.result("succeeded", row("a") + row("k", checksumType="COMPOSITE", **OTHER))
    again.run("second")
    assert verdicts(checked, "second")[1] == ("k", "not_compared", None, None, None)
    assert checked.table("second")[1]["error_code"] == "OtherChecksumType"
    assert damaged(checked) == []


def test_what_failed_or_is_gone_is_not_compared(checked: Ingest) -> None:
    again = later(checked)
    again.find = lambda key, version: None
    again.result("succeeded", row("k", ETag="rewritten"))
    again.run("second")
    assert [each["error_code"] for each in checked.table("second")] == [
        "DeletedSinceListed",
        "ChangedSinceListed",
    ]
    assert {verdict for _, verdict, *_ in verdicts(checked, "second")} == {"not_compared"}


def test_a_run_that_is_tried_again_does_not_hold_its_checks_against_themselves(checked: Ingest) -> None:
    before = checked.table("first")
    kept = checked.run("first")
    assert (kept.file, kept.succeeded, kept.objects) == (f"checksums/{BUCKET}/first.parquet", 2, 2)
    assert kept.bytes_read == sum(each["bytes_read"] for each in before)
    assert checked.table("first") == before


def test_what_was_proved_right_after_a_report_is_no_damage(checked: Ingest) -> None:
    again = later(checked)
    again.result("succeeded", row("k", **OTHER) + row("a"))
    again.run("second")
    right = sha256(b"k")
    at = NOON + timedelta(days=90)
    keep_check(checked.lake, BUCKET, listed("k"), checksum=right, expected=right, at=at)
    assert damaged(checked) == []


@pytest.mark.parametrize("token", [None, "of-the-platform"])
def test_damage_found_since_is_not_hidden_by_a_report_whose_clock_is_ahead_of_ours(
    checked: Ingest, token: str | None
) -> None:
    """The job began before the damage was found, but its clock, ahead by 50 seconds, says: after."""
    now = utc_now()
    ahead = timedelta(seconds=50)
    again = later(checked)
    again.state = JobState("j", COMPLETE, created_at=now - timedelta(seconds=10) + ahead)
    again.manifest["ReportCreationDate"] = (now + ahead).isoformat()
    again.token, again.noted = token, now - timedelta(seconds=9)
    again.result("succeeded", row("a") + row("k"))
    keep_check(checked.lake, BUCKET, listed("k"), checksum=sha256(b"other"), expected=sha256(b"k"), at=now)
    again.run("second")
    assert [(each["key"], each["verdict"]) for each in checked.table("second")][1] == ("k", "matched")
    assert [each.key for each in damaged(checked)] == ["k"]


def test_damage_by_a_report_whose_clock_is_ahead_of_ours_is_taken_back_by_a_read_of_now(
    checked: Ingest,
) -> None:
    again = later(checked)
    again.manifest["ReportCreationDate"] = (utc_now() + timedelta(seconds=50)).isoformat()
    again.result("succeeded", row("a") + row("k", **OTHER))
    again.run("second")
    assert [each.key for each in damaged(checked)] == ["k"]
    right = sha256(b"k")
    keep_check(checked.lake, BUCKET, listed("k"), checksum=right, expected=right, at=utc_now())
    assert damaged(checked) == []
