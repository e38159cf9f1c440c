"""Listings: read as boto3 reads them, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

import botocore.session
import pytest
from botocore.handlers import decode_list_object_v2, decode_list_object_versions
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from hypothesis import given
from hypothesis import strategies as st

from devstack import faults
from devstack.faulty_proxy import FaultyProxy
from devstack.seaweedfs import s3_client
from devstack.stub_s3 import StubS3
from devstack.stub_s3_bucket import Bucket, StoredVersion
from devstack.stub_s3_listing import list_objects_v2, list_versions
from fixity.buckets import BucketUnreachable, ListedObject
from fixity.buckets.s3.columns import ListingError
from fixity.buckets.s3.listing import parse_page
from tests.fixity.buckets.scripted import ScriptedServer, answer
from tests.fixity.support import Naps, listed, s3_store

NS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'

any_keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
xml_keys = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
    | st.sampled_from("\t\n\r"),
    min_size=1,
    max_size=12,
)
versions = st.builds(
    StoredVersion,
    body=st.none() | st.just(b""),
    etag=st.sampled_from(['"d41d8cd98f00b204e9800998ecf8427e"', '"abc-2"', "bare", ""]),
    size=st.integers(0, 2**50),
    last_modified=st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC)),
    version_id=st.sampled_from(["null", "v1", "3sL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY"]),
    storage_class=st.sampled_from(["STANDARD", "GLACIER", "INTELLIGENT_TIERING"]),
    checksum_algorithm=st.sampled_from([None, "SHA256", "CRC64NVME"]),
)


@st.composite
def buckets(draw: st.DrawFn, keys: st.SearchStrategy[str]) -> Bucket:
    bucket = Bucket()
    for key in draw(st.lists(keys, max_size=6, unique=True)):
        for version in draw(st.lists(versions, min_size=1, max_size=3, unique_by=lambda v: v.version_id)):
            bucket.put(key, version)
    return bucket


@cache
def _s3_model() -> ServiceModel:
    return botocore.session.get_session().get_service_model("s3")


def boto3s(body: bytes, all_versions: bool) -> tuple[list[tuple[object, ...]], dict[str, Any]]:
    """What boto3 makes of a page: rows as our inventory has them, and the parsed answer."""
    operation = "ListObjectVersions" if all_versions else "ListObjectsV2"
    shape = _s3_model().operation_model(operation).output_shape
    assert shape is not None
    response = {"status_code": 200, "headers": {}, "body": body, "context": {}}
    parsed: dict[str, Any] = create_parser("rest-xml").parse(response, shape)
    decode = decode_list_object_versions if all_versions else decode_list_object_v2
    decode(parsed, {"encoding_type_auto_set": True})
    rows: list[tuple[object, ...]] = [
        (
            each["Key"],
            each.get("VersionId"),
            each.get("IsLatest", True),
            each["Size"],
            each.get("ETag", "").strip('"') or None,
            each["LastModified"],
            each["StorageClass"],
            ",".join(each.get("ChecksumAlgorithm", [])) or None,
        )
        for each in parsed.get("Versions" if all_versions else "Contents", [])
    ]
    return rows, parsed


def ours(body: bytes, all_versions: bool) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in parse_page(body, all_versions).batch.to_pylist()]


@given(buckets(any_keys), st.integers(1, 4))
def test_a_page_of_encoded_keys_reads_as_boto3_reads_it(bucket: Bucket, most: int) -> None:
    query = {"encoding-type": "url", "max-keys": str(most)}
    body = list_objects_v2("b", bucket, query)
    expected, parsed = boto3s(body, all_versions=False)
    assert ours(body, all_versions=False) == expected
    token = parsed.get("NextContinuationToken")
    assert parse_page(body, False).next_parameters == (token and {"continuation-token": token})
    body = list_versions("b", bucket, query)
    expected, parsed = boto3s(body, all_versions=True)
    assert ours(body, all_versions=True) == expected
    following = parse_page(body, True).next_parameters
    assert (following is not None) == parsed["IsTruncated"]
    if following is not None:
        assert following["key-marker"] == parsed["NextKeyMarker"]
        assert following["version-id-marker"] == parsed["NextVersionIdMarker"]


@given(buckets(xml_keys))
def test_a_page_of_plain_keys_reads_as_boto3_reads_it(bucket: Bucket) -> None:
    for all_versions, lister in ((False, list_objects_v2), (True, list_versions)):
        body = lister("b", bucket, {})
        assert ours(body, all_versions) == boto3s(body, all_versions)[0]


@given(buckets(any_keys), st.integers(1, 3))
def test_page_by_page_over_the_wire_all_versions_come_once_and_delete_markers_never(
    stub: StubS3, bucket: Bucket, page: int
) -> None:
    stub.buckets["b"] = bucket
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fixity.buckets.s3.reader._PAGE", page)
        every = listed(s3_store(stub.endpoint_url, "b", versions=True))
        current = listed(s3_store(stub.endpoint_url, "b"))
    assert [(item.key, item.version_id, item.is_latest) for item in every] == [
        (key, version.version_id, version is bucket.versions(key)[0])
        for key in bucket.keys
        for version in bucket.versions(key)
        if version.body is not None
    ]
    assert [(item.key, item.version_id) for item in current] == [
        (key, None) for key in bucket.keys if bucket.versions(key)[0].body is not None
    ]


@pytest.fixture(scope="module")
def stub() -> Iterator[StubS3]:
    with StubS3() as server:
        yield server


def test_all_of_a_large_bucket_is_listed_as_boto3_lists_it(stub: StubS3) -> None:
    stub.make_synthetic_bucket("many", 3500, size=7)
    pages = s3_client(stub.endpoint_url).get_paginator("list_objects_v2").paginate(Bucket="many")
    expected = [(each["Key"], each["ETag"].strip('"')) for page in pages for each in page["Contents"]]
    assert [(item.key, item.etag) for item in listed(s3_store(stub.endpoint_url, "many"))] == expected


@pytest.mark.parametrize("all_versions", [False, True])
def test_an_empty_bucket_lists_nothing(stub: StubS3, all_versions: bool) -> None:
    stub.make_bucket("empty")
    assert listed(s3_store(stub.endpoint_url, "empty", versions=all_versions)) == []


def keys_of(items: list[ListedObject]) -> list[str]:
    return [item.key for item in items]


@pytest.mark.parametrize("prefix", ["a/", "é😀+ ", "a"])
def test_a_prefix_is_asked_for_and_taken_off(stub: StubS3, prefix: str) -> None:
    stub.buckets["prefixed"] = Bucket()
    for key in ("x", "y/😀", "😀"):
        stub.put("prefixed", prefix + key, b"in")
    stub.put("prefixed", "\x01 before", b"out")
    stub.put("prefixed", "😁 after", b"out")
    stub.put("prefixed", prefix, b"")  # the marker that consoles make for a folder
    assert keys_of(listed(s3_store(stub.endpoint_url, "prefixed", prefix=prefix))) == ["x", "y/😀", "😀"]


def test_an_object_named_as_the_prefix_that_has_bytes_is_not_left_out(stub: StubS3) -> None:
    stub.put("named", "a/", b"bytes")
    (item,) = listed(s3_store(stub.endpoint_url, "named", prefix="a/"))
    assert (item.key, item.size) == ("", 5)


def page_of(*elements: str, root: str = "ListBucketResult") -> bytes:
    return f"<{root} {NS}>{''.join(elements)}</{root}>".encode()


ENTRY = "<Contents><Key>k</Key><Size>1</Size></Contents>"
WHOLE = page_of("<IsTruncated>false</IsTruncated>", ENTRY)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not XML"),
        (b"<html>hello", "not XML"),
        (WHOLE[:-10], "not XML"),
        (b"<html/>", "not <ListBucketResult>"),
        (b"<Error><Code>Busy</Code></Error>", "not <ListBucketResult>"),
        (page_of("<IsTruncated>false</IsTruncated>", root="ListVersionsResult"), "not <ListBucketResult>"),
        (page_of(), "whether more pages follow"),
        (page_of(ENTRY), "whether more pages follow"),
        (page_of("<IsTruncated>perhaps</IsTruncated>"), "whether more pages follow"),
        (page_of("<IsTruncated>true</IsTruncated>", ENTRY), "does not say where"),
        (
            page_of("<IsTruncated>false</IsTruncated><Contents><Size>1</Size></Contents>"),
            "no Key: 'the first entry'",
        ),
        (page_of("<IsTruncated>false</IsTruncated><Contents><Key>k</Key></Contents>"), "no Size: 'k'"),
        (page_of(ENTRY.replace(">1<", ">many<")), "with the size 'many'"),
        (page_of("<IsTruncated>false</IsTruncated><KeyCount>2</KeyCount>", ENTRY), "KeyCount is '2'"),
        (page_of("<IsTruncated>false</IsTruncated><KeyCount>1e9</KeyCount>", ENTRY), "KeyCount is '1e9'"),
        (page_of("<IsTruncated>false</IsTruncated><KeyCount>1</KeyCount>"), "0 entries, but its KeyCount"),
        (page_of("<IsTruncated>false</IsTruncated>", f"<Objects>{ENTRY}</Objects>"), "0 in known entries"),
        (page_of("<IsTruncated>false</IsTruncated>", ENTRY.replace("Contents", "Version")), "known entries"),
        (page_of("<IsTruncated>false</IsTruncated>", ENTRY.replace("<Size>", "<Key>j</Key><Size>")), "keys"),
        (
            page_of("<IsTruncated>false</IsTruncated>", ENTRY.replace("</Size>", "</Size><Size>2</Size>")),
            "more than one Size",
        ),
        (
            page_of(
                "<IsTruncated>false</IsTruncated><CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>", ENTRY
            ),
            "common prefixes",
        ),
    ],
)
def test_what_is_no_whole_listing_is_refused_rather_than_taken_for_a_part(body: bytes, why: str) -> None:
    with pytest.raises(ListingError, match=why):
        parse_page(body, versions=False)


def test_a_listing_without_namespace_is_read_too() -> None:
    assert [row[0] for row in ours(WHOLE.replace(NS.encode(), b""), all_versions=False)] == ["k"]


def test_a_listing_that_is_garbage_once_is_asked_for_again() -> None:
    with ScriptedServer([answer(b"<html>"), answer(WHOLE[:-5]), answer(WHOLE)]) as server:
        assert keys_of(listed(s3_store(f"http://127.0.0.1:{server.port}", "b"))) == ["k"]


def test_a_listing_that_stays_garbage_makes_the_bucket_unreachable() -> None:
    with (
        ScriptedServer([answer(b"<html>")] * 9) as server,
        pytest.raises(
            BucketUnreachable, match="b cannot be listed, after 3 attempts: the listing is not XML"
        ),
    ):
        listed(s3_store(f"http://127.0.0.1:{server.port}", "b"))


@pytest.mark.parametrize("tokens", ["11", "1212", "1231"])
def test_a_listing_that_goes_in_circles_ends(tokens: str) -> None:
    pages = [
        answer(
            page_of(
                "<IsTruncated>true</IsTruncated>",
                f"<NextContinuationToken>{token}</NextContinuationToken>",
                ENTRY,
            )
        )
        for token in tokens
    ]
    with (
        ScriptedServer(pages) as server,
        pytest.raises(BucketUnreachable, match="does not advance"),
    ):
        listed(s3_store(f"http://127.0.0.1:{server.port}", "b"))


def test_a_store_that_ignores_the_prefix_is_refused_rather_than_cut_into() -> None:
    with (
        ScriptedServer([answer(WHOLE)]) as server,
        pytest.raises(BucketUnreachable, match="outside the prefix"),
    ):
        listed(s3_store(f"http://127.0.0.1:{server.port}", "b", prefix="p/"))


@pytest.mark.parametrize(
    "fault",
    [
        faults.Throttle(times=3, retry_after=20),
        faults.Throttle(times=3, status=429),
        faults.ServerError(times=2),
        faults.ServerError(times=2, status=502),
        faults.HangUpBeforeAnswer(times=3),
        faults.CutConnection(100, times=3),
        faults.CutConnection(100, times=3, reset=True),
        faults.ShortBody(100, times=2),
    ],
)
def test_a_listing_in_trouble_is_tried_again_until_it_is_whole(
    faulty_proxy: FaultyProxy, filled: str, fault: faults.Fault
) -> None:
    faulty_proxy.fault(fault, listing=True)
    naps = Naps()
    store = s3_store(faulty_proxy.endpoint_url, filled, throttle=naps.throttle())
    assert keys_of(listed(store)) == ["k", "other"]
    assert len(naps) >= 1
    if isinstance(fault, faults.Throttle) and fault.retry_after:
        assert min(naps) >= 20


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (faults.Refuse(times=None), "AccessDenied"),
        (faults.Refuse(times=None, status=400, code="ExpiredToken"), "have expired"),
        (faults.Refuse(times=None, status=403, code="InvalidAccessKeyId"), "access key"),
        (faults.Refuse(times=None, status=404, code="NoSuchBucket"), "no such bucket"),
        (faults.Throttle(times=None), "after 10 attempts"),
        (faults.ServerError(times=None), "after 4 attempts"),
        (faults.CutConnection(100, times=None), "after 5 attempts"),
        (faults.Stall(100, times=None), "after 5 attempts: TimeoutError"),
    ],
)
def test_a_bucket_that_cannot_be_listed_is_unreachable_and_the_message_says_why(
    faulty_proxy: FaultyProxy, filled: str, fault: faults.Fault, why: str
) -> None:
    faulty_proxy.fault(fault, listing=True)
    with pytest.raises(BucketUnreachable, match=why) as raised:
        listed(s3_store(faulty_proxy.endpoint_url, filled, timeout=0.1))
    assert filled in str(raised.value)


def test_nobody_at_the_other_end_is_unreachable_and_may_pass() -> None:
    with ScriptedServer([]) as gone:
        port = gone.port
    answered = rf"ConnectionRefusedError: .*, before a response of 127\.0\.0\.1:{port} came"
    with pytest.raises(BucketUnreachable, match=answered) as raised:
        listed(s3_store(f"http://127.0.0.1:{port}", "b"))
    assert not raised.value.final
