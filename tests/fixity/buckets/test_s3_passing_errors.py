"""Errors that pass are waited out, in listing, reading and through boto3; the store's clock is followed."""

from __future__ import annotations

import re
import time
from email.utils import formatdate

import pytest

from devstack import faults
from devstack.faulty_proxy import FaultyProxy
from devstack.seaweedfs import REGION
from fixity.buckets import BucketUnreachable, ObjectUnreadable
from fixity.buckets.s3.attributes import Attributes, Unanswered
from fixity.catalog import Store
from fixity.catalog.clients import passes, s3_client
from tests.fixity.buckets.conftest import RIGHT
from tests.fixity.buckets.scripted import ScriptedServer, answer
from tests.fixity.buckets.test_s3_odd_answers import DIGITS, LISTED, K
from tests.fixity.support import listed, only, outcome, s3_store

PASSING = [408, 500, 502, 504, 507, 520, 522, 524, 599]
LASTING = [400, 404, 501, 505]
YEAR_2020 = 1_577_836_800
SKEWED = b"<Error><Code>RequestTimeTooSkewed</Code><Message>too large</Message></Error>"


def skewed(date: str | None) -> bytes:
    headers = [] if date is None else [f"Date: {date}"]
    return answer(SKEWED, *headers, status="403 Forbidden")


def attributes(proxy: FaultyProxy, bucket: str) -> Attributes:
    return Attributes(s3_client(Store(name="s", endpoint_url=proxy.endpoint_url, region=REGION)), bucket)


def test_these_statuses_pass_and_no_others() -> None:
    passing = {status for status in range(200, 1000) if passes(status)}
    assert passing == {408, 429, *range(500, 600)} - {501, 505}


@pytest.mark.parametrize("status", PASSING)
def test_an_error_that_passes_is_tried_again_in_listing_and_reading(
    faulty_proxy: FaultyProxy, filled: str, status: int
) -> None:
    faulty_proxy.fault(faults.ServerError(times=3, status=status))
    faulty_proxy.fault(faults.ServerError(times=3, status=status), listing=True)
    store = s3_store(faulty_proxy.endpoint_url, filled)
    assert outcome(store, only(store, "k")) == RIGHT
    assert len(faulty_proxy.gets("k")) == 4


@pytest.mark.parametrize("status", LASTING)
def test_an_error_that_lasts_is_not_tried_again(faulty_proxy: FaultyProxy, filled: str, status: int) -> None:
    store = s3_store(faulty_proxy.endpoint_url, filled)
    item = only(store, "k")
    faulty_proxy.fault(faults.ServerError(times=None, status=status))
    faulty_proxy.fault(faults.ServerError(times=1, status=501), listing=True)
    if status != 404:  # for which the listing is asked
        assert outcome(store, item) == ("failed", f"Http{status}")
    assert len(faulty_proxy.gets("k")) == (status != 404)
    with pytest.raises(BucketUnreachable, match="HTTP 501"):
        listed(store)


@pytest.mark.parametrize("status", [408, 522])
def test_boto3_tries_again_what_it_would_give_up_itself(
    faulty_proxy: FaultyProxy, filled: str, status: int
) -> None:
    faulty_proxy.fault(faults.ServerError(status=status), method="HEAD")
    faulty_proxy.fault(faults.ServerError(status=status))
    of_bucket = attributes(faulty_proxy, filled)
    assert of_bucket.head("k").size == 900_000
    assert of_bucket.tags("k") == {}


def test_boto3_gives_up_what_does_not_pass_and_says_whether_it_may_yet(
    faulty_proxy: FaultyProxy, filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    of_bucket = attributes(faulty_proxy, filled)
    for status, kind, requests in ((522, Unanswered, 4), (501, ObjectUnreadable, 1)):
        faulty_proxy.forget()
        faulty_proxy.fault(faults.ServerError(times=None, status=status), method="HEAD")
        with pytest.raises(ObjectUnreadable) as raised:
            of_bucket.head("k")
        assert type(raised.value) is kind
        assert len(faulty_proxy.requests) == requests


def signed_at(server: ScriptedServer) -> list[str]:
    found = [re.search(r"x-amz-date: (\S+)", head) for head in server.requests]
    return [each[1] for each in found if each]


@pytest.mark.parametrize("what", ["listing", "object"])
def test_a_request_that_is_refused_for_its_time_is_signed_again_by_the_clock_of_the_store(what: str) -> None:
    right = LISTED if what == "listing" else answer(b"0123456789", 'ETag: "e"')
    with ScriptedServer([skewed(formatdate(YEAR_2020, usegmt=True)), right, right]) as server:
        store = s3_store(f"http://127.0.0.1:{server.port}", "b")
        if what == "listing":
            assert [item.key for item in listed(store)] == ["k"]
        else:
            assert outcome(store, K) == DIGITS
        first, second = signed_at(server)
        assert first.startswith(time.strftime("%Y", time.gmtime()))
        assert second.startswith("20200101T0000")
        assert server.opened == 1


def test_a_request_that_waited_for_too_long_is_signed_again_although_the_clocks_agree() -> None:
    with ScriptedServer([skewed(None), answer(b"0123456789", 'ETag: "e"')]) as server:
        assert outcome(s3_store(f"http://127.0.0.1:{server.port}", "b"), K) == DIGITS


@pytest.mark.parametrize(
    ("date", "why"),
    [
        (-7300, r"This machine's clock is 2 h \d min ahead of the store's"),
        (260_000, "This machine's clock is 3 d 0 h behind the store's"),
        (None, "clock is perhaps wrong"),
        ("yesterday", "clock is perhaps wrong"),
        ("Fri, 99 Foo 99999 99:99:99 GMT", "clock is perhaps wrong"),
    ],
)
def test_a_time_that_is_refused_twice_is_the_buckets_error_and_says_how_the_clocks_differ(
    date: str | int | None, why: str
) -> None:
    if isinstance(date, int):
        date = formatdate(time.time() + date, usegmt=True)
    with ScriptedServer([skewed(date)] * 4) as server:
        store = s3_store(f"http://127.0.0.1:{server.port}", "b")
        with pytest.raises(BucketUnreachable, match=why):
            outcome(store, K)
        assert len(server.requests) == 2
