"""Where requests go and who signs them, from the catalog; and what is said when nobody can."""

from __future__ import annotations

import ssl
from pathlib import Path

import boto3
import pytest

from devstack.seaweedfs import ACCESS_KEY, REGION
from fixity.buckets import BucketUnreachable, Throttle
from fixity.buckets.s3.address import resolve
from fixity.buckets.s3.reader import S3Reader
from fixity.catalog import Store
from tests.fixity.buckets.scripted import ScriptedServer, answer
from tests.fixity.support import Naps, listed

PROFILES = ("default", "archive")
EMPTY = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"


def store(**said: object) -> Store:
    return Store.model_validate({"name": "s", "region": REGION, **said})


def test_a_bucket_of_an_endpoint_stands_in_the_path_unless_told_otherwise() -> None:
    path = resolve(store(endpoint_url="http://store.example:8333"), "b")
    assert (path.origin.host_header, path.base_path, path.region) == ("store.example:8333", "/b", REGION)
    virtual = resolve(store(endpoint_url="http://store.example", addressing_style="virtual"), "b")
    assert (virtual.origin.host_header, virtual.base_path) == ("b.store.example", "")
    assert virtual.keys().access_key == ACCESS_KEY


def test_an_endpoint_with_https_is_verified() -> None:
    tls = resolve(store(endpoint_url="https://store.example"), "b").origin.tls
    assert tls is not None
    assert (tls.verify_mode, tls.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert resolve(store(endpoint_url="https://store.example"), "b").origin.port == 443


def open_over_tls(port: int, bundle: Path | None) -> S3Reader:
    endpoint = store(endpoint_url=f"https://127.0.0.1:{port}", ca_bundle=bundle)
    return S3Reader("b", resolve(endpoint, "b"), Naps().throttle())


def test_an_endpoint_with_an_authority_of_ones_own_is_listed_over_tls(
    authority: Path, server_tls: ssl.SSLContext
) -> None:
    with ScriptedServer([answer(EMPTY)], tls=server_tls) as server:
        assert listed(open_over_tls(server.port, authority / "ca.pem")) == []
        assert server.requests[0].startswith("GET /b?")


def test_the_environments_bundle_is_used_where_the_catalog_names_none(
    authority: Path, server_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority / "ca.pem"))
    with ScriptedServer([answer(EMPTY)], tls=server_tls) as server:
        assert listed(open_over_tls(server.port, None)) == []


def test_an_unknown_authority_makes_the_bucket_unreachable_and_no_request_is_sent(
    server_tls: ssl.SSLContext,
) -> None:
    with ScriptedServer([answer(EMPTY)], tls=server_tls) as server:
        with pytest.raises(BucketUnreachable, match=r"not trusted.*ca_bundle") as raised:
            listed(open_over_tls(server.port, None))
        assert (raised.value.final, server.opened, server.requests) == (True, 1, [])


@pytest.mark.parametrize("there", [True, False])
def test_a_bundle_that_cannot_be_read_is_told_by_name(tmp_path: Path, there: bool) -> None:
    bundle = tmp_path / "bundle.pem"
    if there:
        bundle.write_text("no certificates")
    with pytest.raises(BucketUnreachable, match=r"bundle\.pem cannot be read"):
        resolve(store(endpoint_url="https://store.example", ca_bundle=bundle), "b")


@pytest.mark.parametrize(
    "environment",
    [
        {"AWS_ACCESS_KEY_ID": "one", "AWS_SECRET_ACCESS_KEY": "two"},
        {"AWS_SESSION_TOKEN": "three"},
        {"AWS_SECURITY_TOKEN": "four", "AWS_SESSION_TOKEN": "three"},
        {"AWS_CREDENTIAL_EXPIRATION": "2999-01-01T00:00:00Z"},
        {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
        {"AWS_PROFILE": "archive"},
    ],
)
def test_keys_are_those_of_botocores_chain_whether_it_is_asked_or_not(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "credentials"
    sections = (f"[{name}]\naws_access_key_id = {name}\naws_secret_access_key = s\n" for name in PROFILES)
    shared.write_text("".join(sections))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(shared))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    expected = boto3.Session().get_credentials()
    assert expected is not None
    keys = resolve(store(endpoint_url="http://store.example"), "b").keys()
    frozen = expected.get_frozen_credentials()
    assert (keys.access_key, keys.secret_key, keys.token) == (
        frozen.access_key,
        frozen.secret_key,
        frozen.token,
    )


def test_a_profile_named_in_the_catalog_comes_before_the_environments_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "credentials"
    shared.write_text("[archive]\naws_access_key_id = of-the-profile\naws_secret_access_key = s\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(shared))
    keys = resolve(store(endpoint_url="http://store.example", profile="archive"), "b").keys()
    assert keys.access_key == "of-the-profile"


def test_no_credentials_says_how_to_give_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(BucketUnreachable, match=r"no credentials for the store 's'.*AWS_PROFILE"):
        resolve(store(endpoint_url="http://store.example"), "b")


def test_a_profile_that_is_not_there_is_told_by_name() -> None:
    with pytest.raises(BucketUnreachable, match="nobody"):
        resolve(store(endpoint_url="http://store.example", profile="nobody"), "b")


def test_a_secret_is_in_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    refusal = answer(b"<Error><Code>SignatureDoesNotMatch</Code></Error>", status="403 Forbidden")
    with ScriptedServer([refusal]) as server:
        address = resolve(store(endpoint_url=f"http://127.0.0.1:{server.port}"), "b")
        with pytest.raises(BucketUnreachable, match="SignatureDoesNotMatch") as raised:
            listed(S3Reader("b", address, Throttle(1)))
    assert "very-secret" not in f"{raised.value!r} {raised.value.__cause__!r} {server.requests}"
