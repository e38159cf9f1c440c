"""The wire: every way in which a body may come, and every way in which it may not."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack import faults
from devstack.faulty_proxy import FaultyProxy
from fixity.buckets.s3.http1 import Connection, Origin
from fixity.buckets.s3.receive import BrokenConnection
from tests.fixity.buckets.scripted import ScriptedServer, answer, chunked


def connect(server: ScriptedServer, timeout: float = 10.0, tls: ssl.SSLContext | None = None) -> Connection:
    return Connection(Origin("127.0.0.1", server.port, tls, timeout))


def read(connection: Connection, target: str = "/") -> bytes:
    return connection.request("GET", target, {}).read()


def test_a_request_is_sent_exactly_as_it_was_written() -> None:
    with ScriptedServer([answer(b"")]) as server, connect(server) as connection:
        connection.request("GET", "//a/./b/../%C3%A9%2F?x=%26", {"if-match": '"e"', "range": "bytes=5-"})
        assert server.requests == [
            f"GET //a/./b/../%C3%A9%2F?x=%26 HTTP/1.1\r\nhost: 127.0.0.1:{server.port}\r\n"
            'if-match: "e"\r\nrange: bytes=5-\r\n\r\n'
        ]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (answer(b"hello"), b"hello"),
        (answer(b""), b""),
        (answer(b"hello", length=False), b"hello"),
        (b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 200 OK\ncontent-length: 5\n\nhello", b"hello"),
        (b"HTTP/1.1 200\r\nContent-Length:5\r\n\r\nhello", b"hello"),
        (chunked(b"hel", b"lo"), b"hello"),
        (chunked(), b""),
        (chunked(b"hello", end=b"0\r\nx-trailer: 1\r\n\r\n"), b"hello"),
        (
            answer(b"5;name=value\r\nhello\r\n000\r\n\r\n", "transfer-encoding: Chunked", length=False),
            b"hello",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: a\r\n\r\n" + answer(b"hello"), b"hello"),
    ],
)
def test_a_body_arrives_whole_however_its_end_is_told(said: bytes, expected: bytes) -> None:
    with ScriptedServer([said]) as server, connect(server) as connection:
        response = connection.request("GET", "/", {})
        assert (response.status, response.read(), response.complete) == (200, expected, True)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "the connection ended"),
        (b"HTTP/1.1 200", "the connection ended"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n", "the connection ended"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not an HTTP response"),
        (b"\x00\xff garbage\r\n\r\n", "not an HTTP response"),
        (b"HTTP/2 200\r\n\r\n", "not an HTTP response"),
        (b"HTTP/1.1 OK\r\n\r\n", "not an HTTP response"),
        (b"x" * 100_000, "too long"),
        (answer(b"", *[f"x-{number}: 1" for number in range(300)]), "too many headers"),
        (answer(b"", *["x-same: 1"] * 300), "too many headers"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 50, "too many interim responses"),
        (answer(b"hello", "content-length: many", length=False), "not a number"),
        (answer(b"hello", "content-length: -5", length=False), "not a number"),
        (answer(b"hello", "content-length: 1_0", length=False), "not a number"),
        (answer(b"hello", "transfer-encoding: gzip, chunked"), "not requested"),
        (answer(b"hell", "content-length: 5", length=False), "1 bytes before the body's end"),
        (chunked(b"hello", end=b""), "the connection ended"),
        (chunked(b"hello", end=b"5\r\nhel"), "2 bytes before"),
        (chunked(b"hello", end=b"0\r\n"), "the connection ended"),
        (chunked(b"hello", end=b"-5\r\nhello\r\n0\r\n\r\n"), "not the start of a chunk"),
        (chunked(b"hello", end=b"oops\r\n"), "not the start of a chunk"),
        (chunked(end=b"0\r\n" + b"x: 1\r\n" * 300), "too many headers"),
    ],
)
def test_what_is_no_whole_answer_is_a_broken_connection(said: bytes, why: str) -> None:
    with (
        ScriptedServer([said]) as server,
        connect(server) as connection,
        pytest.raises(BrokenConnection, match=why),
    ):
        read(connection)


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_an_answer_that_has_no_body_is_not_waited_for(status: str) -> None:
    said = f"HTTP/1.1 {status}\r\n\r\n".encode()
    with ScriptedServer([said, said]) as server, connect(server) as connection:
        for _ in range(2):
            response = connection.request("GET", "/", {})
            assert (response.complete, response.read()) == (True, b"")
        assert server.opened == 1


def test_an_endless_small_answer_is_given_up() -> None:
    with (
        ScriptedServer([answer(b"x" * 1000)]) as server,
        connect(server) as connection,
        pytest.raises(BrokenConnection, match="more than 100 bytes"),
    ):
        connection.request("GET", "/", {}).read(limit=100)


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=5), st.integers(1, 400))
def test_any_cut_into_chunks_gives_the_same_bytes_with_any_buffer(pieces: list[bytes], size: int) -> None:
    with ScriptedServer([chunked(*pieces)]) as server, connect(server) as connection:
        response = connection.request("GET", "/", {})
        buffer = memoryview(bytearray(size))
        got = b""
        while count := response.readinto(buffer):
            got += buffer[:count]
        assert got == b"".join(pieces)
        assert response.readinto(buffer) == 0


def test_a_connection_is_used_again_when_the_body_was_read_to_its_end() -> None:
    with ScriptedServer([answer(b"1"), chunked(b"2"), answer(b"3")]) as server, connect(server) as connection:
        assert [read(connection) for _ in range(3)] == [b"1", b"2", b"3"]
        assert server.opened == 1


def test_an_answer_that_was_not_read_to_its_end_is_never_taken_for_the_next() -> None:
    hidden = answer(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwrong")
    with ScriptedServer([hidden, answer(b"?")], [answer(b"right")]) as server, connect(server) as connection:
        response = connection.request("GET", "/", {})
        assert response.readinto(memoryview(bytearray(1))) == 1
        assert read(connection) == b"right"


def test_bytes_beyond_the_content_length_are_never_taken_for_the_next_answer() -> None:
    first = answer(b"12345") + b"surplus"
    with ScriptedServer([first, answer(b"?")], [answer(b"next")]) as server, connect(server) as connection:
        assert read(connection) == b"12345"
        assert read(connection) == b"next"


@pytest.mark.parametrize("said", ["connection: close", "Connection: Keep-Alive, Close"])
def test_a_connection_that_the_server_wants_closed_is_not_used_again(said: str) -> None:
    script = [answer(b"1", said), answer(b"never")]
    with ScriptedServer(script, [answer(b"2")]) as server, connect(server) as connection:
        assert [read(connection), read(connection)] == [b"1", b"2"]
        assert server.opened == 2


def test_a_stale_kept_alive_connection_is_retried_once_and_no_more() -> None:
    with ScriptedServer([answer(b"1")], [answer(b"2")], [b""]) as server, connect(server) as connection:
        assert [read(connection), read(connection)] == [b"1", b"2"]
        with pytest.raises(BrokenConnection):
            read(connection)
        assert server.opened == 3


def test_a_new_connection_that_breaks_is_not_retried_here() -> None:
    with ScriptedServer([b""]) as server, connect(server) as connection:
        with pytest.raises(BrokenConnection):
            read(connection)
        assert server.opened == 1


def test_a_server_that_says_nothing_times_out(faulty_proxy: FaultyProxy) -> None:
    faulty_proxy.fault(faults.Stall(times=None))
    with Connection(Origin("127.0.0.1", faulty_proxy.server_port, timeout=0.2)) as connection:
        response = connection.request("GET", "/bucket/key", {})
        with pytest.raises(TimeoutError):
            response.read()


@pytest.mark.parametrize(
    ("host", "port", "tls", "expected"),
    [
        ("store.example", 80, False, "store.example"),
        ("store.example", 443, False, "store.example:443"),
        ("store.example", 443, True, "store.example"),
        ("store.example", 8333, True, "store.example:8333"),
        ("::1", 80, False, "[::1]"),
        ("::1", 9000, False, "[::1]:9000"),
    ],
)
def test_the_host_header_names_the_port_where_it_is_not_the_schemes_own(
    host: str, port: int, tls: bool, expected: str
) -> None:
    assert Origin(host, port, ssl.create_default_context() if tls else None).host_header == expected


def test_tls_is_verified_with_an_authority_of_ones_own(authority: Path, server_tls: ssl.SSLContext) -> None:
    trusting = ssl.create_default_context(cafile=str(authority / "ca.pem"))
    with (
        ScriptedServer([answer(b"secret"), answer(b"again")], tls=server_tls) as server,
        connect(server, tls=trusting) as connection,
    ):
        assert [read(connection), read(connection)] == [b"secret", b"again"]
        assert server.opened == 1


def test_tls_is_refused_without_that_authority(server_tls: ssl.SSLContext) -> None:
    with (
        ScriptedServer([answer(b"secret")], tls=server_tls) as server,
        connect(server, tls=ssl.create_default_context()) as connection,
    ):
        with pytest.raises(ssl.SSLCertVerificationError):
            read(connection)
        assert server.requests == []


def test_tls_is_refused_where_the_certificate_names_another_host(
    authority: Path, server_tls: ssl.SSLContext
) -> None:
    trusting = ssl.create_default_context(cafile=str(authority / "ca.pem"))
    with (
        ScriptedServer([answer(b"secret")], tls=server_tls) as server,
        Connection(Origin("localhost", server.port, trusting)) as connection,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        read(connection)
