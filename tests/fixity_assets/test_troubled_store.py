"""A store that throttles, or sends less than it says: nobody's bytes are called damaged because of it."""

from __future__ import annotations

import dagster as dg
import pytest

from devstack.faults import Fault, ShortBody, Throttle
from devstack.faulty_proxy import FaultyProxy
from fixity.buckets import Throttle as BucketThrottle
from tests.platform import Platform, read_report, report_metadata

KEYS = [f"key-{number:02d}" for number in range(20)]


@pytest.fixture
def faulty(platform: Platform, faulty_proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> FaultyProxy:
    """The pair behind the proxy; nobody waits between two attempts."""
    monkeypatch.setattr(BucketThrottle, "back_off", lambda *arguments: None)
    for key in KEYS:
        platform.put(key, key.encode() * 1000)
    platform.endpoint_url = faulty_proxy.endpoint_url
    return faulty_proxy


@pytest.mark.parametrize(
    "fault",
    [Throttle(times=9), Throttle(times=9, status=429), ShortBody(100, times=3),
     ShortBody(100, claim_all=True, times=4)],
    ids=["503", "429", "short", "short of what it claims"],
)  # fmt: skip
def test_trouble_that_passes_is_not_seen_in_the_report(
    platform: Platform, instance: dg.DagsterInstance, faulty: FaultyProxy, fault: Fault
) -> None:
    faulty.fault(fault, key="key-07")
    faulty.fault(Throttle(times=4), listing=True)
    said = report_metadata(platform.verify(instance))
    assert (said["total_objects"], said["matches"], said["dagster/row_count"]) == (20, 20, 20)
    assert sum(request.fault is fault for request in faulty.requests) == fault.times


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (Throttle(times=None), "SlowDown"),
        (ShortBody(100, times=None), "SizeMismatch"),
        (ShortBody(0, claim_all=True, times=None), "ConnectionError"),
    ],
    ids=["503", "short", "short of what it claims"],
)
def test_trouble_that_stays_is_a_failed_check_and_no_mismatch(
    platform: Platform, instance: dg.DagsterInstance, faulty: FaultyProxy, fault: Fault, why: str
) -> None:
    faulty.fault(fault, key="key-07")
    result = platform.verify(instance)
    said = report_metadata(result)
    assert (said["matches"], said["mismatches"], said["failed_source"]) == (19, 0, 1)
    (row,) = [row for row in read_report(said["csv"]) if row["status"] != "ok"]
    assert (row["key"], row["status"], row["checksum_source"]) == ("key-07", "failed_source", "")
    assert why in row["detail"]
    checks = {check.check_name: check.passed for check in result.get_asset_check_evaluations()}
    assert checks["no_mismatches"] and not checks["no_failures"]
