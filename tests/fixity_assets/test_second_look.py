"""The second look of a pair's report on a real server, with versions and without."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from devstack.faults import CorruptBytes, Refuse
from devstack.faulty_proxy import FaultyProxy
from fixity.incidents import second_look
from jobs.names import CHECKSUMS_JOB, REPORT_JOB
from tests.conftest import MakeBucket
from tests.platform import PAIR, Platform, read_report, report_metadata

NOT_TWICE = "suspect, not looked at twice"


@pytest.fixture(params=["versioned", "unversioned"])
def pair(
    platform: Platform, faulty_proxy: FaultyProxy, make_bucket: MakeBucket, request: pytest.FixtureRequest
) -> Platform:
    """A pair behind a proxy, which is matched by key: a store gives each bucket version ids of its own."""
    if request.param == "versioned":
        platform.source, platform.replica = make_bucket(versioned=True), make_bucket(versioned=True)
        platform.bucket_settings["versions"] = "all"
        platform.pair_settings["match"] = "key"
    platform.endpoint_url = faulty_proxy.endpoint_url
    return platform


def said_of(result: dg.ExecuteInProcessResult) -> tuple[dict[str, Any], dict[str, tuple[str, str]], set[str]]:
    """A report's metadata, status and detail of its rows, and its red checks."""
    said = report_metadata(result)
    rows = {row["key"]: (row["status"], row["detail"]) for row in read_report(said["csv"])}
    evaluations = result.get_asset_check_evaluations()
    return said, rows, {each.check_name for each in evaluations if not each.passed}


def test_what_two_looks_find_is_reported_and_what_one_found_is_not(
    pair: Platform, faulty_proxy: FaultyProxy, instance: dg.DagsterInstance
) -> None:
    for key in ("flips", "ok", "refused"):
        pair.put(key)
    pair.put("differs", b"one", replica=b"two")
    for key in ("gone", "missing", "not listed"):
        pair.s3.put_object(Bucket=pair.source, Key=key, Body=b"the same")
    faulty_proxy.fault(CorruptBytes(at=3, times=1), key="flips")
    faulty_proxy.fault(Refuse(403, times=1), key="refused")
    pair.check_both(instance)
    pair.s3.delete_object(Bucket=pair.source, Key="gone")
    pair.s3.put_object(Bucket=pair.replica, Key="not listed", Body=b"the same")
    said, rows, red = said_of(pair.run(instance, REPORT_JOB, PAIR))
    assert {key: status for key, (status, _) in rows.items()} == {
        "differs": "mismatch", "flips": "ok", "gone": "not_checked", "missing": "missing_replica",
        "not listed": "ok", "ok": "ok", "refused": "ok",
    }  # fmt: skip
    assert red == {"no_mismatches", "no_missing_replica", "all_checked", "no_open_incidents"}
    assert (said["looked_again"], said["turned_out_right"], said["not_looked_at_twice"]) == (6, 3, 0)
    assert [(row["key"], row["status"]) for row in said["suspects"]] == [
        ("differs", "mismatch"), ("missing", "missing_replica"),
    ]  # fmt: skip
    # Nothing is read again for the next report, and the wrong first checksum is no baseline.
    read = len(faulty_proxy.gets())
    _, again, _ = said_of(pair.run(instance, REPORT_JOB, PAIR))
    assert (again, len(faulty_proxy.gets())) == (rows, read)
    checked = pair.run(instance, CHECKSUMS_JOB, PAIR).get_asset_check_evaluations()
    lost = {"nothing_lost"}  # the object that was deleted from the source, of which only a warning is made
    assert {each.check_name for each in checked if not each.passed} == {"no_open_incidents"} | lost


def test_an_object_that_the_listing_of_its_key_lacks_is_found_by_head(
    platform: Platform, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.s3.put_object(Bucket=platform.source, Key="a", Body=b"the same")
    platform.check_both(instance)
    platform.s3.put_object(Bucket=platform.replica, Key="a", Body=b"the same")
    monkeypatch.setattr("fixity.buckets.s3.reader.S3Reader.find", lambda *_: None)
    for looked in (1, None):
        said, rows, red = said_of(platform.run(instance, REPORT_JOB, PAIR))
        assert (rows, red, said.get("looked_again")) == ({"a": ("ok", "")}, set(), looked)


def test_a_store_that_cannot_be_reached_for_the_second_look_leaves_a_report_that_says_so(
    platform: Platform, faulty_proxy: FaultyProxy, instance: dg.DagsterInstance
) -> None:
    platform.put("a", b"one", replica=b"two")
    platform.endpoint_url = faulty_proxy.endpoint_url
    platform.check_both(instance)
    faulty_proxy.fault(Refuse(403, code="ExpiredToken", times=None))
    faulty_proxy.fault(Refuse(403, code="ExpiredToken", times=None), listing=True)
    said, rows, red = said_of(platform.run(instance, REPORT_JOB, PAIR))
    status, detail = rows["a"]
    assert status == "mismatch" and detail.startswith(f"{NOT_TWICE}: ") and "ExpiredToken" in detail
    assert said["not_looked_at_twice"] == 1 and "no_mismatches" in red


def test_a_bucket_that_is_another_one_by_now_is_not_asked(
    platform: Platform, instance: dg.DagsterInstance, make_bucket: MakeBucket
) -> None:
    platform.put("a", b"one", replica=b"two")
    platform.check_both(instance)
    platform.replica = make_bucket()
    _, rows, _ = said_of(platform.run(instance, REPORT_JOB, PAIR))
    assert f"{NOT_TWICE}: {PAIR}-repl was listed at" in rows["a"][1]


def test_a_mass_of_suspects_is_told_as_one_finding(
    platform: Platform, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_look, "MASS_ROWS", 3)
    platform.more["second_look"] = {"objects": 2}
    for key in "abc":
        platform.put(key, b"one", replica=b"two")
    result = platform.verify(instance)
    said, rows, _ = said_of(result)
    assert said["one_finding"].startswith("3 of 3 rows say that something is wrong (3 mismatch)")
    assert set(rows.values()) == {("mismatch", f"{NOT_TWICE}: so many suspects are one finding")}
    told = {each.check_name: each.description for each in result.get_asset_check_evaluations()}
    assert told["no_mismatches"] == (f"3 objects different in source and replica. {said['one_finding']}")
