"""Stores that say that a bucket is elsewhere: asked once in its region, never at another host."""

from __future__ import annotations

import re
import socket

import pytest
from botocore.credentials import Credentials

from devstack.seaweedfs import REGION
from fixity.buckets import BucketUnreachable, ListedObject
from fixity.buckets.s3.address import Address
from fixity.buckets.s3.http1 import Origin
from fixity.buckets.s3.reader import S3Reader
from fixity.buckets.s3.redirects import moved
from tests.fixity.buckets.scripted import ScriptedServer, answer
from tests.fixity.buckets.test_other_stores import ETAG, header, reader
from tests.fixity.buckets.test_s3_odd_answers import K, listing
from tests.fixity.support import Naps, listed, outcome, sha256

MOVED = answer(
    b"<Error><Code>PermanentRedirect</Code></Error>",
    "x-amz-bucket-region: eu-west-1",
    "Location: https://elsewhere.example/",
    status="301 Moved Permanently",
)


def regions(server: ScriptedServer) -> list[str]:
    """The region that each request is signed for."""
    return [
        re.sub(r".*Credential=[^/]+/[0-9]+/([^/]+)/.*", r"\1", header(request, "authorization") or "")
        for request in server.requests
    ]


def test_a_bucket_in_another_region_is_read_there_and_later_requests_go_there_at_once() -> None:
    with ScriptedServer([MOVED], [answer(listing(K)), answer(b"0123456789", ETAG)]) as server:
        store = reader(server)
        assert [outcome(store, item) for item in listed(store)] == [("succeeded", sha256(b"0123456789"))]
        assert regions(server) == [REGION, "eu-west-1", "eu-west-1"]


def test_one_object_that_is_redirected_in_vain_moves_no_other() -> None:
    with ScriptedServer([MOVED], [MOVED], [answer(b"0123456789", ETAG)]) as server:
        store = reader(server)
        assert outcome(store, K)[0] == "failed"
        assert outcome(store, K) == ("succeeded", sha256(b"0123456789"))
        assert regions(server) == [REGION, "eu-west-1", REGION]


def test_a_bucket_of_aws_is_asked_for_at_its_own_host_in_its_region(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer([MOVED], [answer(listing(K)), answer(b"0123456789", ETAG)]) as server:
        here = ("127.0.0.1", server.port)
        connect = socket.create_connection
        monkeypatch.setattr(socket, "create_connection", lambda _, timeout: connect(here, timeout))
        origin = Origin("b.s3.us-east-1.amazonaws.com", 80, timeout=10)
        keys = Credentials("key", "secret").get_frozen_credentials
        store = S3Reader("a", Address(origin, "", "us-east-1", keys), Naps().throttle(), backoff=0)
        assert [outcome(store, item)[0] for item in listed(store)] == ["succeeded"]
        hosts = [header(request, "host") for request in server.requests]
        assert hosts == ["b.s3.us-east-1.amazonaws.com", *["b.s3.eu-west-1.amazonaws.com"] * 2]
        assert regions(server) == ["us-east-1", "eu-west-1", "eu-west-1"]


@pytest.mark.parametrize(
    ("host", "region", "to"),
    [
        ("s3.us-east-1.amazonaws.com", "eu-west-1", "s3.eu-west-1.amazonaws.com"),
        ("s3.amazonaws.com", "us-east-1", "s3.us-east-1.amazonaws.com"),
        ("my.bucket.s3-us-west-2.amazonaws.com", "us-gov-west-1", "my.bucket.s3.us-gov-west-1.amazonaws.com"),
        ("b.s3.cn-north-1.amazonaws.com.cn", "cn-northwest-1", "b.s3.cn-northwest-1.amazonaws.com.cn"),
        ("b.s3.us-east-1.amazonaws.com", "us-east-1", None),
        ("b.s3.us-east-1.amazonaws.com", "cn-north-1", None),
        ("b.s3.us-east-1.amazonaws.com", "eu-west-1.evil.example", None),
        ("b.s3.us-east-1.amazonaws.com", "evil", None),
        ("b.s3.us-east-1.amazonaws.com", "", None),
        ("b.s3.dualstack.us-east-1.amazonaws.com", "eu-west-1", None),
        ("a-1.s3-accesspoint.us-east-1.amazonaws.com", "eu-west-1", None),
        ("bucket.vpce-1.s3.us-east-1.vpce.amazonaws.com", "eu-west-1", None),
        ("minio.example", "eu-west-1", "minio.example"),
        ("minio.example", "us-east-1", None),
        ("minio.example", "x y", None),
    ],
)
def test_only_the_same_bucket_in_another_region_is_asked(host: str, region: str, to: str | None) -> None:
    signed_for = "" if host == "s3.amazonaws.com" else "us-east-1"
    found = moved(301, {"x-amz-bucket-region": region}, {}, host, signed_for)
    assert found == (to and (to, region))
    assert moved(404, {"x-amz-bucket-region": region}, {}, host, signed_for) is None


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        ("301 Moved Permanently", ["x-amz-bucket-region: eu-west-1"], "<Code>PermanentRedirect</Code>"),
        ("307 Temporary Redirect", ["x-amz-bucket-region: eu-west-1"], "<Code>TemporaryRedirect</Code>"),
        (
            "400 Bad Request",
            [],
            "<Code>AuthorizationHeaderMalformed</Code><Message>the region is wrong</Message>"
            "<Region>eu-west-1</Region>",
        ),
    ],
)
def test_a_redirect_names_the_right_region_and_the_key_to_set(
    status: str, headers: list[str], body: str
) -> None:
    refusal = answer(f"<Error>{body}</Error>".encode(), *headers, status=status)
    with ScriptedServer([refusal]) as server:
        with pytest.raises(
            BucketUnreachable, match=r"^a cannot be listed: .*in the region eu-west-1.*`region: eu-west-1`"
        ) as told:
            listed(reader(server))
        assert told.value.final
        assert regions(server) == [REGION, "eu-west-1"]  # it is tried there once
        store, item = reader(server), ListedObject("k", None, True, 1, "e", None, None)
        assert outcome(store, item)[0] == outcome(store, item)[0] == "failed"
        with pytest.raises(BucketUnreachable, match="eu-west-1"):
            outcome(store, item)


@pytest.mark.parametrize(
    ("headers", "body", "told"),
    [
        (
            [],
            "<Endpoint>b.s3-eu-west-1.amazonaws.com</Endpoint>",
            r"on to b\.s3-eu-west-1\.amazonaws\.com: set",
        ),
        (["Location: https://far.example:9000/b?token=secret"], "", r"on to https://far\.example:9000: set"),
        (["Location: https://user:secret@far.example/"], "", "does not say which"),
        (["Location: /b/"], "", "does not say which"),
        ([], "<Endpoint>\u200b&#10;secret</Endpoint>", "does not say which"),
        ([], f"<Endpoint>{'secret' * 1000}</Endpoint>", "does not say which"),
        ([f"x-amz-bucket-region: {REGION}"], "", "does not say which"),
    ],
)
def test_a_redirect_elsewhere_names_the_endpoint_and_nothing_that_does_not_belong_there(
    headers: list[str], body: str, told: str
) -> None:
    refusal = answer(f"<Error>{body}</Error>".encode(), *headers, status="301 Moved Permanently")
    with ScriptedServer([refusal]) as server:
        with pytest.raises(BucketUnreachable, match=told) as raised:
            listed(reader(server))
        assert "secret" not in str(raised.value)


def test_a_header_that_is_malformed_for_another_reason_is_not_told_as_a_redirect() -> None:
    body = b"<Error><Code>AuthorizationHeaderMalformed</Code><Message>no key</Message></Error>"
    with (
        ScriptedServer([answer(body, status="400 Bad Request")]) as server,
        pytest.raises(BucketUnreachable, match=r"AuthorizationHeaderMalformed: no key"),
    ):
        listed(reader(server))
