"""The signature is botocore's, and a real server takes it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from devstack.seaweedfs import ACCESS_KEY, REGION, SECRET_KEY, SeaweedFS
from fixity.buckets.s3.http1 import Connection, Origin
from fixity.buckets.s3.sigv4 import Signer, encode_path, encode_query
from tests.conftest import MakeBucket
from tests.fixity.support import address

NOON = datetime(2024, 2, 29, 12, 0, 0, tzinfo=UTC)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
header_values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=30)


def botocores(
    host: str, path: str, query: str, extra: dict[str, str], credentials: Credentials, region: str
) -> str:
    """The Authorization header that botocore makes for the same request at the same time."""
    request = AWSRequest("GET", f"https://{host}{path}" + (f"?{query}" if query else ""), headers=extra)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.auth.get_current_datetime", lambda: NOON.replace(tzinfo=None))
        S3SigV4Auth(credentials, "s3", region).add_auth(request)
    return str(request.headers["Authorization"])


@given(
    key=texts,
    parameters=st.dictionaries(texts.filter(bool), texts, max_size=4),
    extra=st.dictionaries(
        st.sampled_from(["range", "if-match", "x-amz-request-payer", "x-odd"]), header_values, max_size=3
    ),
    token=st.none() | st.text("abc+/=", min_size=1, max_size=20),
    region=st.sampled_from(["us-east-1", "eu-central-2", "auto"]),
)
def test_the_signature_is_botocores(
    key: str, parameters: dict[str, str], extra: dict[str, str], token: str | None, region: str
) -> None:
    credentials = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", token)
    path, query = f"/bucket/{encode_path(key)}", encode_query(parameters)
    signer = Signer(credentials.get_frozen_credentials, region, NOON.timestamp)
    signed = signer.headers("GET", "store.example:8333", path, query, extra)
    assert signed["authorization"] == botocores("store.example:8333", path, query, extra, credentials, region)
    assert (signed["x-amz-date"], signed.get("x-amz-security-token")) == ("20240229T120000Z", token)
    assert {name: signed[name] for name in extra} == extra


def test_the_encodings_that_are_asked_for_are_sent_but_not_signed() -> None:
    signer = Signer(Credentials("AKID", "s").get_frozen_credentials, REGION, NOON.timestamp)
    plain, packed = (signer.headers("GET", "h", "/k", "", each) for each in ({}, {"accept-encoding": "gzip"}))
    assert packed == {**plain, "accept-encoding": "gzip"}


def test_renewed_credentials_and_a_new_day_change_the_kept_key() -> None:
    now = [NOON.timestamp()]
    credentials = Credentials("AKID", "first")
    signer = Signer(credentials.get_frozen_credentials, REGION, lambda: now[0])

    def sign() -> tuple[str, str]:
        ours = signer.headers("GET", "store.example", "/k")["authorization"]
        fresh = Signer(credentials.get_frozen_credentials, REGION, lambda: now[0])
        return ours, fresh.headers("GET", "store.example", "/k")["authorization"]

    seen = [sign()]
    credentials.secret_key = "second"
    seen.append(sign())
    now[0] += 86400
    seen.append(sign())
    assert all(ours == fresh for ours, fresh in seen)
    assert len({ours for ours, _ in seen}) == 3


def test_a_store_without_credentials_is_read_unsigned() -> None:
    assert Signer(None, REGION).headers("GET", "store.example", "/k", "", {"range": "bytes=1-"}) == {
        "range": "bytes=1-"
    }


def test_nothing_of_a_key_is_normalised() -> None:
    assert encode_path("/a//./b/../c d+é%2F~") == "/a//./b/../c%20d%2B%C3%A9%252F~"


def test_a_real_server_takes_the_signature_and_no_other(
    seaweedfs: SeaweedFS, make_bucket: MakeBucket
) -> None:
    bucket = make_bucket()
    key = "q r+s%é/😀&='\";,~*()!@$"
    seaweedfs.client().put_object(Bucket=bucket, Key=key, Body=b"0123456789")
    origin: Origin = address(seaweedfs.endpoint_url, bucket).origin
    path, query = f"/{bucket}/{encode_path(key)}", encode_query({"response-content-type": "a/b; c=é +"})
    extra = {"range": "bytes=2-", "if-match": '"781e5e245d69b566979b86e28d23f2c7"'}
    answers = []
    with Connection(origin) as connection:
        for secret in (SECRET_KEY, "another"):
            signer = Signer(Credentials(ACCESS_KEY, secret).get_frozen_credentials, REGION)
            headers = signer.headers("GET", origin.host_header, path, query, extra)
            response = connection.request("GET", f"{path}?{query}", headers)
            answers.append((response.status, response.read()))
    assert answers[0] == (206, b"23456789")
    assert answers[1][0] == 403
    assert b"SignatureDoesNotMatch" in answers[1][1]
