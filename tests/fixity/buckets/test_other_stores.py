"""Stores that do otherwise than S3: read all the same, or refused with what to set in the catalog."""

from __future__ import annotations

import gzip
from dataclasses import replace

import pytest

from devstack.seaweedfs import REGION
from fixity.buckets import BucketUnreachable
from fixity.buckets.s3.address import resolve
from fixity.buckets.s3.attributes import Attributes
from fixity.buckets.s3.reader import S3Reader
from fixity.catalog import Store
from fixity.catalog.clients import s3_client
from tests.fixity.buckets.scripted import ScriptedServer, answer, chunked
from tests.fixity.buckets.test_s3_odd_answers import K, listing
from tests.fixity.support import Naps, listed, outcome, sha256

EMPTY = answer(b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
ETAG = 'ETag: "e"'
STORED = "x-goog-stored-content-encoding: gzip"
MISSING = answer(b"<Error><Code>PreconditionFailed</Code></Error>", status="412 Precondition Failed")


def reader(server: ScriptedServer, path: str = "", bucket: str = "b", **said: object) -> S3Reader:
    store = Store.model_validate(
        {"name": "s", "region": REGION, "endpoint_url": f"http://127.0.0.1:{server.port}{path}", **said}
    )
    return S3Reader("a", resolve(store, bucket), Naps().throttle(), backoff=0)


def header(request: str, name: str) -> str | None:
    lines = (line.partition(": ") for line in request.split("\r\n"))
    return next((value for found, _, value in lines if found.lower() == name), None)


# --- bytes as stored --------------------------------------------------------------------------

LONG, SHORT = b"archival text " * 2000, b"x"  # both are packed to another length, one to a greater
PACKED = {body: gzip.compress(body, mtime=0) for body in (LONG, SHORT)}


@pytest.mark.parametrize("headers", [(ETAG, STORED), (ETAG,)], ids=["said", "unsaid"])
@pytest.mark.parametrize("body", [LONG, SHORT])
def test_an_object_that_the_store_unpacks_is_asked_for_as_it_is_stored(
    body: bytes, headers: tuple[str, ...]
) -> None:
    packed = PACKED[body]
    item = replace(K, size=len(packed))
    stored = answer(packed, *headers, "Content-Encoding: gzip")
    with ScriptedServer([chunked(body, headers=headers)], [stored, stored]) as server:
        store = reader(server)
        assert outcome(store, item) == ("succeeded", sha256(packed))
        assert outcome(store, item) == ("succeeded", sha256(packed))
        asked = [header(request, "accept-encoding") for request in server.requests]
        ranges = [header(request, "range") for request in server.requests]
    assert asked == [None, "gzip", "gzip"]  # the next object is asked for in this way at once
    assert ranges == [None] * 3  # what was unpacked is never gone on with


def test_unpacked_bytes_of_the_listed_length_are_not_taken_for_those_stored() -> None:
    packed = gzip.compress(b"archive", mtime=0)
    item = replace(K, size=len(packed))
    unpacked = answer(bytes(len(packed)), ETAG, STORED)
    stored = answer(packed, ETAG, STORED, "Content-Encoding: gzip")
    with ScriptedServer([unpacked], [stored]) as server:
        assert outcome(reader(server), item) == ("succeeded", sha256(packed))


def test_a_store_that_unpacks_whatever_is_asked_for_gives_a_failure_and_no_checksum() -> None:
    item = replace(K, size=len(PACKED[LONG]))
    unpacked = [chunked(LONG, headers=(ETAG, STORED))]
    with ScriptedServer(*[unpacked] * 4, [answer(listing(item))]) as server:
        assert outcome(reader(server), item) == ("failed", "SizeMismatch")


def test_an_object_that_was_uploaded_packed_is_read_at_once_where_the_store_leaves_it_so() -> None:
    stored = answer(PACKED[LONG], ETAG, "Content-Encoding: gzip")
    item = replace(K, size=len(PACKED[LONG]))
    with ScriptedServer([stored]) as server:
        assert outcome(reader(server), item) == ("succeeded", sha256(PACKED[LONG]))
        assert header(server.requests[0], "accept-encoding") is None


# --- If-Match ---------------------------------------------------------------------------------


def test_a_store_that_compares_if_match_with_the_quotes_is_read_without_it() -> None:
    right = answer(b"0123456789", ETAG)
    with ScriptedServer([MISSING, answer(listing(K)), right, right]) as server:
        store = reader(server)
        assert [outcome(store, K)[1] for _ in range(2)] == [sha256(b"0123456789")] * 2
        asked = [header(request, "if-match") for request in server.requests]
    assert asked == ['"e"', None, None, None]  # only the first object is asked for twice


def test_what_a_store_calls_a_precondition_that_failed_does_not_matter() -> None:
    odd = answer(b"<Error><Code>ConditionNotMet</Code></Error>", status="412 Precondition Failed")
    with ScriptedServer([odd, answer(listing(K)), answer(b"0123456789", ETAG)]) as server:
        assert outcome(reader(server), K) == ("succeeded", sha256(b"0123456789"))


def test_without_if_match_the_etag_of_the_answer_proves_the_object() -> None:
    other = answer(b"9876543210", 'ETag: "f"')
    changed = answer(listing(replace(K, etag="f")))
    with ScriptedServer([MISSING, answer(listing(K)), other], [changed]) as server:
        assert outcome(reader(server), K) == ("skipped", "ChangedSinceListed")


def test_without_if_match_and_without_an_etag_the_listing_is_looked_at_once_more() -> None:
    nameless = answer(b"9876543210")
    changed = answer(listing(replace(K, etag="f")))
    with ScriptedServer([MISSING, answer(listing(K)), nameless, changed]) as server:
        assert outcome(reader(server), K) == ("skipped", "ChangedSinceListed")


def test_a_precondition_that_failed_because_the_object_changed_is_that() -> None:
    with ScriptedServer([MISSING, answer(listing(replace(K, etag="f")))]) as server:
        assert outcome(reader(server), K) == ("skipped", "ChangedSinceListed")


@pytest.mark.parametrize(
    ("listed_as", "answered"), [('"AB12"' * 1, "ab12"), ("W/&quot;{}&quot;", 'W/"{}"'), ("{}", '"{}"')]
)
def test_an_etag_is_the_same_in_each_spelling(listed_as: str, answered: str) -> None:
    digits = "0123456789abcdef" * 2
    page = listing(K).replace(b'"e"', listed_as.replace("AB12", digits.upper()).format(digits).encode())
    right = answer(b"0123456789", f"ETag: {answered.replace('ab12', digits).format(digits)}")
    with ScriptedServer([answer(page), right]) as server:
        store = reader(server)
        (item,) = listed(store)
        assert outcome(store, item) == ("succeeded", sha256(b"0123456789"))


# --- who pays, and where ----------------------------------------------------------------------


def test_requester_pays_is_said_and_signed_in_listing_reading_and_looking_up() -> None:
    head = answer(b"", ETAG, "x-amz-meta-a: b")
    with ScriptedServer([answer(listing(K)), answer(b"0123456789", ETAG)], [head]) as server:
        store = reader(server, requester_pays=True)
        assert [outcome(store, item)[0] for item in listed(store)] == ["succeeded"]
        endpoint = f"http://127.0.0.1:{server.port}"
        said = {"name": "s", "region": REGION, "endpoint_url": endpoint, "requester_pays": True}
        assert Attributes(s3_client(Store.model_validate(said)), "b").head("k").etag == "e"
        assert len(server.requests) == 3
        for request in server.requests:
            assert header(request, "x-amz-request-payer") == "requester"
            assert "x-amz-request-payer;" in (header(request, "authorization") or "").replace(",", ";")


def test_a_listing_that_is_refused_names_the_key_for_a_bucket_whose_requester_pays() -> None:
    refusal = answer(b"<Error><Code>AccessDenied</Code></Error>", status="403 Forbidden")
    with (
        ScriptedServer([refusal] * 9) as server,
        pytest.raises(BucketUnreachable, match="`requester_pays: true`"),
    ):
        listed(reader(server))


def test_nobody_is_made_to_pay_unless_the_catalog_says_so() -> None:
    with ScriptedServer([EMPTY]) as server:
        assert listed(reader(server)) == []
        assert header(server.requests[0], "x-amz-request-payer") is None


@pytest.mark.parametrize(
    ("path", "bucket", "asked"),
    [
        ("/storage/v1/s3", "b", "/storage/v1/s3/b"),
        ("", "t:b", "/t%3Ab"),
        ("/s3", "tenant:b", "/s3/tenant%3Ab"),
        ("", "Old_Bucket", "/Old_Bucket"),
    ],
)
def test_a_path_of_the_endpoint_and_a_tenant_stand_in_every_request(
    path: str, bucket: str, asked: str
) -> None:
    head = answer(b"", ETAG)
    with ScriptedServer([answer(listing(K)), answer(b"0123456789", ETAG)], [head]) as server:
        store = reader(server, path, bucket)
        assert [outcome(store, item)[0] for item in listed(store)] == ["succeeded"]
        endpoint = f"http://127.0.0.1:{server.port}{path}"
        said = {"name": "s", "region": REGION, "endpoint_url": endpoint}
        Attributes(s3_client(Store.model_validate(said)), bucket).head("k")
        lines = [request.partition("\r\n")[0] for request in server.requests]
    assert lines[0].startswith(f"GET {asked}?")
    assert lines[1:] == [f"GET {asked}/k HTTP/1.1", f"HEAD {asked}/k HTTP/1.1"]


@pytest.mark.parametrize(
    ("arn", "host", "region"),
    [
        (
            "arn:aws:s3:eu-west-1:111122223333:accesspoint/deposit",
            "deposit-111122223333.s3-accesspoint.eu-west-1.amazonaws.com",
            "eu-west-1",
        ),
        (
            "arn:aws-cn:s3:cn-north-1:111122223333:accesspoint:deposit",
            "deposit-111122223333.s3-accesspoint.cn-north-1.amazonaws.com.cn",
            "cn-north-1",
        ),
    ],
)
def test_an_access_point_has_a_host_of_its_own_in_its_own_region(arn: str, host: str, region: str) -> None:
    address = resolve(Store(name="aws", region=REGION), arn)
    assert (address.origin.host_header, address.base_path, address.region) == (host, "", region)
