"""Many objects are read in few threads, over plain connections and TLS: each gets its own bytes alone."""

from __future__ import annotations

import random
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from devstack import faults
from devstack.faulty_proxy import FaultyProxy
from devstack.stub_s3 import StubS3
from fixity.buckets import Throttle
from fixity.buckets.s3.reader import S3Reader
from fixity.digests.algorithms import Digest
from fixity.engines.stream.engine import check_objects
from fixity.in_order import processors
from tests.fixity.support import address, by_sha256, listed, s3_store, sha256

_AT_ONCE = 24
_SIZES = (0, 1, 100, 8_192, 65_536, 300_000, 2_000_000)


@contextmanager
def with_tls(url: str, context: ssl.SSLContext) -> Iterator[int]:
    """The port of a relay that takes TLS and passes on to a server without."""
    to = urlsplit(url)

    def passes_on(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(65_536):
                target.sendall(piece)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def serve(client: socket.socket) -> None:
        with (
            suppress(OSError),
            context.wrap_socket(client, server_side=True) as outer,
            socket.create_connection((str(to.hostname), to.port or 0)) as inner,
        ):
            there = threading.Thread(target=passes_on, args=(outer, inner), daemon=True)
            there.start()
            passes_on(inner, outer)
            there.join(5)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def bodies(stub_s3: StubS3) -> dict[str, bytes]:
    made = random.Random(7)
    bodies = {f"{number:03d}": made.randbytes(_SIZES[number % len(_SIZES)]) for number in range(70)}
    for key, body in bodies.items():
        stub_s3.put("b", key, body)
    return bodies


def refuse_unless_right(store: S3Reader, bodies: dict[str, bytes]) -> None:
    items = listed(store)
    threads: set[str] = set()

    def digest_of(position: int, item: object) -> Digest:
        threads.add(threading.current_thread().name)
        return by_sha256(position, item)  # type: ignore[arg-type]

    checks = {check.position: check for check in check_objects(store, enumerate(items), digest_of, _AT_ONCE)}
    told = {item.key: (checks[at].status, checks[at].checksum) for at, item in enumerate(items)}
    assert told == {key: ("succeeded", sha256(body)) for key, body in bodies.items()}
    assert 1 <= len(threads) <= processors()


def test_many_are_read_over_plain_connections(stub_s3: StubS3, bodies: dict[str, bytes]) -> None:
    refuse_unless_right(s3_store(stub_s3.endpoint_url, "b", throttle=Throttle(_AT_ONCE)), bodies)


def test_many_are_read_over_tls(
    stub_s3: StubS3, bodies: dict[str, bytes], authority: Path, server_tls: ssl.SSLContext
) -> None:
    trusting = ssl.create_default_context(cafile=str(authority / "ca.pem"))
    with with_tls(stub_s3.endpoint_url, server_tls) as port:
        where = address(f"https://127.0.0.1:{port}", "b")
        store = S3Reader("b", replace(where, origin=replace(where.origin, tls=trusting)), Throttle(_AT_ONCE))
        refuse_unless_right(store, bodies)


def test_many_are_read_though_connections_break_in_the_middle(
    stub_s3: StubS3, bodies: dict[str, bytes]
) -> None:
    with FaultyProxy(stub_s3.endpoint_url) as proxy:
        proxy.fault(faults.CutConnection(50, times=30))
        store = s3_store(proxy.endpoint_url, "b", throttle=Throttle(_AT_ONCE, sleep=lambda seconds: None))
        refuse_unless_right(store, bodies)


def test_a_store_that_asks_for_fewer_is_asked_by_fewer_and_all_are_read(
    stub_s3: StubS3, bodies: dict[str, bytes]
) -> None:
    with FaultyProxy(stub_s3.endpoint_url) as proxy:
        throttle = Throttle(_AT_ONCE, clock=lambda: 0.0)
        store = s3_store(proxy.endpoint_url, "b", throttle=throttle)
        items = listed(store)
        throttle._allowed = 2.0  # as if it had been asked for fewer many times
        checks = list(check_objects(store, enumerate(items[:12]), by_sha256, _AT_ONCE))
        assert [check.status for check in checks] == ["succeeded"] * 12
        assert proxy.max_concurrent <= 8  # it grows by one a round
