"""Texts of errors: a few KiB are read, and no credential that a server sends back is shown."""

from __future__ import annotations

import html
import json
import threading
from collections.abc import Callable, Iterator
from email.message import Message
from urllib.parse import urlsplit

import pytest
from botocore.credentials import Credentials

from devstack.loopback import LoopbackServer, S3Handler, S3Request
from devstack.seaweedfs import REGION
from fixity.buckets import ObjectError
from fixity.buckets.s3.address import Address
from fixity.buckets.s3.attributes import Attributes
from fixity.buckets.s3.http1 import Origin
from fixity.buckets.s3.reader import S3Reader
from fixity.catalog import Store
from fixity.catalog.clients import s3_client
from tests.fixity.buckets.scripted import ScriptedServer, answer
from tests.fixity.buckets.test_s3_odd_answers import LISTED, K
from tests.fixity.support import Naps, check, s3_store

Echo = Callable[["Message[str, str]"], bytes]
ACCESS, SECRET, TOKEN = "an-access-key", "a-secret-key-of-the-user", "IQoJb3JpZ2luX2VjEHo/+=" * 20
MEBI = 1024 * 1024


class _EchoHandler(S3Handler):
    server: EchoServer

    def handle_request(self, request: S3Request, body: bytes) -> None:
        if request.is_listing:
            return self.send_whole(200, [], LISTED.partition(b"\r\n\r\n")[2])
        self.server.authorizations.append(request.headers["Authorization"])
        return self.send_whole(self.server.status, [], self.server.echo(request.headers))


class EchoServer(LoopbackServer):
    """Refuses every object, and sends the request's headers back as `echo` writes them."""

    def __init__(self, status: int, echo: Echo) -> None:
        super().__init__(_EchoHandler)
        self.status = status
        self.echo = echo
        self.authorizations: list[str] = []


def _lines(headers: Message[str, str]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in headers.items())


ECHOES: dict[str, Echo] = {
    "xml": lambda headers: (
        f"<Error><Code>SignatureDoesNotMatch</Code><Message>No. {html.escape(_lines(headers))}</Message>"
        f"<AWSAccessKeyId>{ACCESS}</AWSAccessKeyId></Error>"
    ).encode(),
    "code": lambda headers: f"<Error><Code>{headers['Authorization']}</Code></Error>".encode(),
    "html": lambda headers: f"<html><pre>{html.escape(_lines(headers))}</pre>".encode(),
    "json": lambda headers: json.dumps(dict(headers.items())).encode(),
    "token": lambda headers: f"who is {headers['x-amz-security-token']}?".encode(),
    "signature": lambda headers: f"this is wrong: {headers['Authorization'].split('=')[-1]}".encode(),
    "key": lambda headers: f"who is {ACCESS}?".encode(),
    "late": lambda headers: b" " * 8100 + _lines(headers).encode(),
}


@pytest.fixture(params=[403, 400, 500])
def status(request: pytest.FixtureRequest) -> Iterator[int]:
    yield request.param


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
def test_headers_that_a_server_sends_back_are_never_shown(
    status: int, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    with EchoServer(status, echo) as server:
        parts = urlsplit(server.endpoint_url)
        origin = Origin(str(parts.hostname), server.server_port, timeout=10.0)
        keys = Credentials(ACCESS, SECRET, TOKEN).get_frozen_credentials
        store = S3Reader("b", Address(origin, "/b", REGION, keys), Naps().throttle())
        done = check(store, K)
        told = [f"{done.error_code}: {done.error_message}"]
        client = s3_client(Store(name="s", endpoint_url=server.endpoint_url, region=REGION))
        with pytest.raises(ObjectError) as raised:
            Attributes(client, "b").tags("k")
        told.append(str(raised.value))
        signatures = [each.split("=")[-1] for each in server.authorizations]
    assert done.status == "failed" and len(signatures) >= 2
    for text in told:
        assert not [each for each in signatures if each[:16] in text]
        assert TOKEN[:16] not in text and SECRET not in text and "AWS4" not in text
    assert ACCESS not in told[0]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"<Error><Code>AccessDenied</Code><Message>" + b"no " * MEBI, ("AccessDenied", "no no no")),
        (
            b"<Error><Message>" + b"no " * MEBI + b"</Message>",
            ("AccessDenied", "no no"),
        ),
        (b"no " * MEBI, ("AccessDenied", "no no no")),
        (b"\x00\xff" * MEBI, ("AccessDenied", "")),
        (b"<Error><Code>" + b"A" * 4 * MEBI, ("AccessDenied", "no message")),
        (b"<a>" * MEBI, ("AccessDenied", "<a><a>")),
    ],
)
def test_of_an_error_of_megabytes_a_few_kib_are_read_and_the_connection_is_dropped(
    body: bytes, told: tuple[str, str]
) -> None:
    # It says a terabyte and never ends: whoever waits for all of it waits for ever.
    endless = answer(body, f"Content-Length: {10**12}", status="403 Forbidden", length=False)
    held = threading.Event()
    with ScriptedServer([endless], [endless], after_answer=held.wait) as server:
        store = s3_store(f"http://127.0.0.1:{server.port}", "b")
        first, second = check(store, K), check(store, K)
        held.set()
        assert server.opened == 2
    for done in (first, second):
        assert (done.status, done.error_code) == ("failed", told[0])
        assert str(done.error_message).startswith(told[1])
        assert len(str(done.error_message)) <= 500 and str(done.error_message).isprintable()


def test_what_came_of_an_error_that_breaks_off_is_told() -> None:
    said = answer(b"<Error><Code>NoSuchUpload</Code>", "Content-Length: 99", status="400 Bad", length=False)
    with ScriptedServer([said]) as server:
        done = check(s3_store(f"http://127.0.0.1:{server.port}", "b"), K)
    assert (done.error_code, done.error_message) == ("NoSuchUpload", "no message (HTTP 400)")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "headers", [("ETag: " + "\x1b" * 60_000,), ('ETag: "e"', "Content-Range: " + "\x1b[2J" * 9_000)]
)
def test_a_header_that_makes_an_error_is_cut_and_printable_in_the_table(headers: tuple[str, ...]) -> None:
    odd = answer(b"0123456789", *headers, status="206 Partial Content")
    with ScriptedServer([odd] * 5, [LISTED] * 5) as server:
        done = check(s3_store(f"http://127.0.0.1:{server.port}", "b"), K)
    assert done.status == "failed"
    assert len(str(done.error_message)) <= 500 and str(done.error_message).isprintable()
