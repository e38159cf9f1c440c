"""A store that trickles: the connection is dropped, the read goes on, and not for ever."""

from __future__ import annotations

import ssl
from itertools import count, pairwise
from pathlib import Path

import pytest

from devstack import faults
from devstack.faulty_proxy import FaultyProxy
from fixity.buckets import Throttle
from fixity.buckets.s3.http1 import Connection, Origin
from fixity.buckets.throttle import Pace, TooSlow
from tests.fixity.buckets.conftest import RIGHT
from tests.fixity.buckets.scripted import ScriptedServer, answer
from tests.fixity.support import Clock, check, listed, only, outcome, s3_store


def ranges(proxy: FaultyProxy) -> list[int]:
    asked = [get.headers["Range"] or "bytes=0-" for get in proxy.gets("k")]
    return [int(each.removeprefix("bytes=").removesuffix("-")) for each in asked]


def begun_at(proxy: FaultyProxy) -> list[int]:
    """Each byte that reading began at, once: a busy machine asks again when an answer comes too late."""
    return list(dict.fromkeys(ranges(proxy)))


def test_a_read_that_trickles_goes_on_elsewhere_at_the_byte(faulty_proxy: FaultyProxy, filled: str) -> None:
    clock = Clock()
    throttle = Throttle(1, floor=1024, clock=clock, sleep=clock.sleep)
    store = s3_store(faulty_proxy.endpoint_url, filled, throttle=throttle, timeout=0.7)
    item = only(store, "k")
    faulty_proxy.fault(faults.Trickle(5000, clock.tick, times=2))
    assert outcome(store, item) == RIGHT
    begun = begun_at(faulty_proxy)
    assert begun[0] == 0
    assert begun[1:]
    assert all(before + 5000 < after < 900_000 for before, after in pairwise(begun))
    assert faulty_proxy.max_concurrent <= 2  # a dropped connection may end a moment later


def test_a_read_that_trickles_for_ever_fails_as_too_slow(faulty_proxy: FaultyProxy, filled: str) -> None:
    clock = Clock()
    throttle = Throttle(1, floor=1024, clock=clock, sleep=clock.sleep)
    store = s3_store(faulty_proxy.endpoint_url, filled, throttle=throttle, timeout=0.1)
    item = only(store, "k")
    faulty_proxy.fault(faults.Trickle(100, clock.tick, times=None))
    done = check(store, item)
    assert (done.status, done.error_code, done.checksum) == ("failed", "TooSlow", None)
    assert "but min_bandwidth is 1.0 KiB a second, after" in str(done.error_message)
    assert len(begun_at(faulty_proxy)) == 3


def test_connections_that_trickle_and_end_by_themselves_make_no_progress(
    faulty_proxy: FaultyProxy, filled: str
) -> None:
    seconds = count()  # a second at each look: whenever the bytes come, somebody waited for them
    throttle = Throttle(1, floor=1024, clock=lambda: float(next(seconds)), sleep=lambda _: None)
    store = s3_store(faulty_proxy.endpoint_url, filled, throttle=throttle)
    item = only(store, "k")
    faulty_proxy.fault(faults.CutConnection(4, times=None))
    assert outcome(store, item) == ("failed", "ConnectionError")
    assert len(ranges(faulty_proxy)) == 5


def test_a_listing_that_trickles_is_asked_again(faulty_proxy: FaultyProxy, filled: str) -> None:
    clock = Clock()
    throttle = Throttle(1, floor=1024, clock=clock, sleep=clock.sleep)
    store = s3_store(faulty_proxy.endpoint_url, filled, throttle=throttle, timeout=1.0)
    faulty_proxy.fault(faults.Trickle(50, clock.tick), listing=True)
    assert [item.key for item in listed(store)] == ["k", "other"]


def test_our_own_limit_of_bandwidth_is_no_slowness_of_the_store(
    faulty_proxy: FaultyProxy, filled: str
) -> None:
    clock = Clock()
    throttle = Throttle(1, bandwidth=1000, floor=50_000, clock=clock, sleep=clock.sleep)
    store = s3_store(faulty_proxy.endpoint_url, filled, throttle=throttle)
    assert outcome(store, only(store, "k")) == RIGHT
    assert len(ranges(faulty_proxy)) == 1
    assert clock.now - 1000 > 800


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("said", [answer(b"x" * 500_000), answer(b"", *["x: " + "x" * 3000] * 190)])
def test_a_connection_that_trickles_ends_in_its_head_and_in_its_body(
    authority: Path, server_tls: ssl.SSLContext, said: bytes, tls: bool
) -> None:
    clock = Clock()
    trusting = ssl.create_default_context(cafile=str(authority / "ca.pem")) if tls else None
    with ScriptedServer([said], tls=server_tls if tls else None, after_each=clock.tick) as server:
        origin = Origin("127.0.0.1", server.port, trusting, timeout=1.0)
        with Connection(origin, Pace(1024, clock)) as connection, pytest.raises(TooSlow):
            connection.request("GET", "/", {}).read()
