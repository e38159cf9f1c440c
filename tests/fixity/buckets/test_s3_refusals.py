"""Stores that are busy, refuse or go down: told apart, and never taken for damage."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from devstack import faults
from devstack.faulty_proxy import FaultyProxy
from devstack.seaweedfs import REGION, SeaweedFS
from devstack.stub_s3 import StubS3
from fixity.buckets import BucketUnreachable, ObjectUnreadable
from fixity.buckets.s3.attributes import Attributes
from fixity.catalog import Store
from fixity.catalog.clients import s3_client
from fixity.engines.stream.engine import check_objects
from tests.conftest import MakeBucket
from tests.fixity.buckets.conftest import RIGHT
from tests.fixity.support import Naps, by_sha256, check, listed, only, outcome, s3_store, sha256

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.mark.parametrize("status", [503, 429])
def test_throttling_is_waited_out_as_long_as_the_store_says_and_halves_the_pace(
    faulty_proxy: FaultyProxy, filled: str, status: int
) -> None:
    faulty_proxy.fault(faults.Throttle(times=4, status=status, retry_after=17))
    naps = Naps()
    throttle = naps.throttle(concurrency=16)
    store = s3_store(faulty_proxy.endpoint_url, filled, throttle=throttle)
    assert outcome(store, only(store, "k")) == RIGHT
    assert len(naps) == 4
    assert all(17 <= nap <= 30 for nap in naps)
    assert throttle.allowed == 2  # 16 halved four times, and one that went well


def test_throttled_for_ever_is_a_failure_and_nothing_else(faulty_proxy: FaultyProxy, filled: str) -> None:
    faulty_proxy.fault(faults.Throttle(times=None))
    naps = Naps()
    store = s3_store(faulty_proxy.endpoint_url, filled, throttle=naps.throttle())
    assert outcome(store, only(store, "k")) == ("failed", "SlowDown")
    assert (len(faulty_proxy.gets("k")), len(naps)) == (10, 9)


def test_a_store_that_throttles_all_for_ever_is_unreachable_rather_than_full_of_failures(
    faulty_proxy: FaultyProxy, filled: str
) -> None:
    store = s3_store(faulty_proxy.endpoint_url, filled)
    item = only(store, "k")
    faulty_proxy.fault(faults.Throttle(times=None))
    faulty_proxy.fault(faults.Throttle(times=None), listing=True)
    with pytest.raises(BucketUnreachable, match="after 10 attempts") as raised:
        check(store, item)
    assert not raised.value.final


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (faults.ServerError(times=None), ("failed", "InternalError")),
        (faults.ServerError(times=None, status=502), ("failed", "Http502")),
        (faults.Refuse(times=None), ("failed", "AccessDenied")),
        (faults.Refuse(times=None, code="InvalidObjectState"), ("skipped", "Archived")),
        (faults.Refuse(times=None, status=400, code="KeyTooLongError"), ("failed", "KeyTooLongError")),
        (faults.Refuse(times=None, status=404), ("failed", "NoSuchKey")),
    ],
)
def test_one_object_that_cannot_be_read_is_told_with_its_reason_and_the_others_go_on(
    faulty_proxy: FaultyProxy, filled: str, fault: faults.Fault, expected: tuple[str, str]
) -> None:
    faulty_proxy.fault(fault, key="k")
    store = s3_store(faulty_proxy.endpoint_url, filled)
    items = listed(store)
    checks = sorted(check_objects(store, enumerate(items), by_sha256, threads=2))
    assert [(each.status, each.error_code) for each in checks] == [expected, ("succeeded", None)]
    assert checks[0].checksum is None
    assert checks[0].error_message
    assert checks[1].checksum == sha256(b"other")


@pytest.mark.parametrize(
    "code", ["ExpiredToken", "InvalidAccessKeyId", "RequestTimeTooSkewed", "NoSuchBucket"]
)
def test_what_is_wrong_with_the_bucket_ends_the_run_and_is_no_failure_of_an_object(
    faulty_proxy: FaultyProxy, filled: str, code: str
) -> None:
    store = s3_store(faulty_proxy.endpoint_url, filled)
    item = only(store, "k")
    faulty_proxy.fault(faults.Refuse(times=None, code=code))
    with pytest.raises(BucketUnreachable, match=code):
        check(store, item)


LOST = [
    (403, "AccessDenied"),
    (403, "SignatureDoesNotMatch"),
    (400, "InvalidToken"),
    (400, "ExpiredTokenException"),
    (401, "Unauthorized"),
]


@pytest.fixture
def sixty(s3: S3Client, make_bucket: MakeBucket) -> str:
    """A bucket of sixty small objects."""
    name = make_bucket()
    for number in range(60):
        s3.put_object(Bucket=name, Key=f"k{number:02}", Body=b"%d" % number)
    return name


@pytest.mark.parametrize(("status", "code"), LOST)
def test_rights_lost_in_mid_run_end_it_within_twenty_requests(
    faulty_proxy: FaultyProxy, sixty: str, status: int, code: str
) -> None:
    store = s3_store(faulty_proxy.endpoint_url, sixty, throttle=Naps().throttle(concurrency=16))
    items = listed(store)
    refused = faults.Refuse(status, code=code, times=None)

    def withdraw() -> None:
        faulty_proxy.fault(refused)
        faulty_proxy.fault(refused, listing=True)

    faulty_proxy.fault(faults.Overwrite(withdraw), key="k20")
    checks = []
    with pytest.raises(
        BucketUnreachable, match=f"Its objects are refused too .{code}.*renew the keys"
    ) as raised:
        for each in check_objects(store, enumerate(items), by_sha256, threads=16):
            checks.append(each)  # noqa: PERF402 - what came before the end is looked at
    assert raised.value.final
    assert sum(request.fault is refused for request in faulty_proxy.requests) <= 20
    assert sum(each.status == "failed" for each in checks) <= 2


@pytest.mark.parametrize(("status", "code"), LOST)
def test_objects_that_are_refused_in_a_bucket_that_may_be_listed_are_failures(
    faulty_proxy: FaultyProxy, sixty: str, status: int, code: str
) -> None:
    store = s3_store(faulty_proxy.endpoint_url, sixty)
    items = listed(store)
    pages = len(faulty_proxy.requests)
    faulty_proxy.fault(faults.Refuse(status, code=code, times=None))
    checks = list(check_objects(store, enumerate(items), by_sha256, threads=4))
    assert [(each.status, each.error_code) for each in checks] == [("failed", code)] * 60
    asked = len(faulty_proxy.requests) - pages - 60
    assert 1 <= asked <= 5  # ever more rarely


def test_a_few_refused_objects_among_others_do_not_ask_for_the_listing(
    faulty_proxy: FaultyProxy, sixty: str
) -> None:
    store = s3_store(faulty_proxy.endpoint_url, sixty)
    items = listed(store)
    for number in range(0, 60, 2):
        faulty_proxy.fault(faults.Refuse(times=None), key=f"k{number:02}")
    faulty_proxy.fault(faults.Refuse(times=None), listing=True)
    checks = sorted(check_objects(store, enumerate(items), by_sha256, threads=1))
    assert [each.status for each in checks] == ["failed", "succeeded"] * 30


def test_a_listing_that_fails_for_another_reason_ends_the_run_for_now(
    faulty_proxy: FaultyProxy, sixty: str
) -> None:
    store = s3_store(faulty_proxy.endpoint_url, sixty)
    items = listed(store)
    faulty_proxy.fault(faults.Refuse(times=None))
    faulty_proxy.fault(faults.ServerError(times=None), listing=True)
    with pytest.raises(BucketUnreachable, match="after 4 attempts") as raised:
        list(check_objects(store, enumerate(items), by_sha256, threads=1))
    assert not raised.value.final


@pytest.mark.parametrize(("status", "code"), LOST)
def test_rights_lost_while_attributes_are_asked_for_are_found_too(
    faulty_proxy: FaultyProxy, sixty: str, status: int, code: str
) -> None:
    client = s3_client(Store(name="s", endpoint_url=faulty_proxy.endpoint_url, region=REGION))
    attributes = Attributes(client, sixty)
    faulty_proxy.fault(faults.Refuse(status, code=code, times=None), method="HEAD")
    for number in range(9):
        with pytest.raises(ObjectUnreadable):
            attributes.head(f"k{number:02}")
    faulty_proxy.fault(faults.Refuse(status, code=code, times=None), listing=True)
    with pytest.raises(BucketUnreachable, match="Its objects are refused too"):
        for number in range(20):
            with suppress(ObjectUnreadable):
                attributes.head(f"k{number:02}")
    faulty_proxy.forget()
    with pytest.raises(BucketUnreachable):
        attributes.tags("k00")
    assert faulty_proxy.requests == []


@pytest.mark.parametrize(("status", "code"), LOST)
def test_a_refusal_of_attributes_is_one_request(
    faulty_proxy: FaultyProxy, sixty: str, status: int, code: str
) -> None:
    client = s3_client(Store(name="s", endpoint_url=faulty_proxy.endpoint_url, region=REGION))
    faulty_proxy.fault(faults.Refuse(status, code=code, times=None), method="HEAD")
    with pytest.raises(ObjectUnreadable):
        Attributes(client, sixty).head("k00")
    assert [(request.method, request.key) for request in faulty_proxy.requests] == [("HEAD", "k00")]


def test_a_server_that_goes_down_in_the_middle_is_unreachable_and_not_a_million_failures(
    seaweedfs: SeaweedFS, s3: S3Client, bucket: str
) -> None:
    for number in range(40):
        s3.put_object(Bucket=bucket, Key=f"small/{number}", Body=b"x")
    with FaultyProxy(seaweedfs.endpoint_url) as proxy:
        store = s3_store(proxy.endpoint_url, bucket, prefix="small/")
        items = listed(store)
        proxy.fault(faults.HangUpBeforeAnswer(times=None), key="small/7")
        down = threading.Event()

        def go_down() -> None:
            if not down.is_set():
                down.set()
                proxy.fault(faults.HangUpBeforeAnswer(times=None))
                proxy.fault(faults.HangUpBeforeAnswer(times=None), listing=True)
                proxy.close_connections()

        proxy.fault(faults.Overwrite(go_down), key="small/30")
        checks = []
        with pytest.raises(BucketUnreachable):
            for each in check_objects(store, enumerate(items), by_sha256, threads=1):
                checks.append(each)  # noqa: PERF402 - what came before the end is looked at
        assert down.is_set()
        assert 1 <= len(checks) < 40
        assert {(each.status, each.error_code) for each in checks} <= {
            ("succeeded", None),
            ("failed", "ConnectionError"),
        }


def test_archived_objects_are_skipped(stub_s3: StubS3) -> None:
    stub_s3.put("b", "k", b"frozen", storage_class="DEEP_ARCHIVE")
    store = s3_store(stub_s3.endpoint_url, "b")
    assert outcome(store, only(store, "k")) == ("skipped", "Archived")
