"""Reads that break: the checksum of the bytes that were listed, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack import faults
from devstack.faulty_proxy import FaultyProxy
from tests.fixity.buckets.conftest import BODY, RIGHT
from tests.fixity.support import check, only, outcome, s3_store

if TYPE_CHECKING:
    pass


def ranges(proxy: FaultyProxy, key: str = "k") -> list[str | None]:
    return [get.headers["Range"] for get in proxy.gets(key)]


@pytest.mark.parametrize(
    ("fault", "goes_on"),
    [
        (faults.CutConnection(600_000), 600_000),
        (faults.CutConnection(0), None),
        (faults.CutConnection(len(BODY) - 1), len(BODY) - 1),
        (faults.ShortBody(600_000, claim_all=True), 600_000),
        (faults.Stall(600_000), 600_000),
        (faults.Stall(0), None),
        (faults.ShortBody(600_000), None),
        (faults.HangUpBeforeAnswer(times=2), None),
        (faults.ServerError(times=3), None),
        (faults.ServerError(status=502), None),
        (faults.ServerError(status=504), None),
    ],
)
def test_a_broken_read_goes_on_where_it_stopped_and_the_checksum_is_right(
    faulty_proxy: FaultyProxy, filled: str, fault: faults.Fault, goes_on: int | None
) -> None:
    faulty_proxy.fault(fault)
    store = s3_store(faulty_proxy.endpoint_url, filled, timeout=0.3)
    item = only(store, "k")
    done = check(store, item)
    assert (done.status, done.checksum, done.bytes_read) == (*RIGHT, len(BODY))
    last = faulty_proxy.gets("k")[-1]
    assert last.headers["Range"] == (None if goes_on is None else f"bytes={goes_on}-")
    assert {get.headers["If-Match"] for get in faulty_proxy.gets("k")} == {f'"{item.etag}"'}


def test_a_reset_connection_goes_on_too_with_what_the_network_gave(
    faulty_proxy: FaultyProxy, filled: str
) -> None:
    faulty_proxy.fault(faults.CutConnection(600_000, reset=True))
    store = s3_store(faulty_proxy.endpoint_url, filled)
    assert outcome(store, only(store, "k")) == RIGHT
    first, second = ranges(faulty_proxy)
    # A reset throws away what the network had not handed over yet: all of it, some, or nothing.
    start = int((second or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
    assert first is None and 0 <= start <= 600_000


def test_a_read_that_gets_on_may_break_any_number_of_times(faulty_proxy: FaultyProxy, filled: str) -> None:
    faulty_proxy.fault(faults.CutConnection(50_000, times=17))
    store = s3_store(faulty_proxy.endpoint_url, filled)
    assert outcome(store, only(store, "k")) == RIGHT
    assert ranges(faulty_proxy) == [None, *(f"bytes={start}-" for start in range(50_000, 850_001, 50_000))]


def test_a_read_that_does_not_get_on_fails_after_some_attempts(
    faulty_proxy: FaultyProxy, filled: str
) -> None:
    faulty_proxy.fault(faults.CutConnection(50_000))
    faulty_proxy.fault(faults.CutConnection(0, times=None))
    store = s3_store(faulty_proxy.endpoint_url, filled)
    done = check(store, only(store, "k"))
    assert (done.status, done.error_code, done.checksum) == ("failed", "ConnectionError", None)
    assert "after 50,000 of 900,000 bytes" in (done.error_message or "")
    assert len(faulty_proxy.gets("k")) == 5


def test_a_store_that_ignores_range_is_read_anew_from_the_start(
    faulty_proxy: FaultyProxy, filled: str
) -> None:
    faulty_proxy.fault(faults.CutConnection(300_000))
    faulty_proxy.fault(faults.IgnoreRange())
    store = s3_store(faulty_proxy.endpoint_url, filled)
    done = check(store, only(store, "k"))
    assert (done.status, done.checksum, done.bytes_read) == (*RIGHT, len(BODY))
    assert ranges(faulty_proxy) == [None, "bytes=300000-"]


def test_a_wrong_range_is_never_stitched_on(faulty_proxy: FaultyProxy, filled: str) -> None:
    faulty_proxy.fault(faults.CutConnection(300_000))
    faulty_proxy.fault(faults.WrongRange(times=2))
    store = s3_store(faulty_proxy.endpoint_url, filled)
    assert outcome(store, only(store, "k")) == RIGHT
    assert ranges(faulty_proxy) == [None, *["bytes=300000-"] * 3]


def test_a_range_that_stays_wrong_fails_the_check(faulty_proxy: FaultyProxy, filled: str) -> None:
    faulty_proxy.fault(faults.CutConnection(300_000))
    faulty_proxy.fault(faults.WrongRange(times=None))
    store = s3_store(faulty_proxy.endpoint_url, filled)
    assert outcome(store, only(store, "k")) == ("failed", "WrongRange")


def test_a_range_nobody_asked_for_is_not_taken_for_the_object(faulty_proxy: FaultyProxy, filled: str) -> None:
    faulty_proxy.fault(faults.WrongRange())
    store = s3_store(faulty_proxy.endpoint_url, filled)
    assert outcome(store, only(store, "k")) == RIGHT
    assert ranges(faulty_proxy) == [None, None]


def test_a_body_that_stays_short_is_a_failure_and_no_checksum(faulty_proxy: FaultyProxy, filled: str) -> None:
    faulty_proxy.fault(faults.ShortBody(1000, times=None))
    store = s3_store(faulty_proxy.endpoint_url, filled)
    assert outcome(store, only(store, "k")) == ("failed", "SizeMismatch")


def test_any_sequence_of_faults_ends_in_the_right_checksum_or_in_none(
    faulty_proxy: FaultyProxy, filled: str
) -> None:
    store = s3_store(faulty_proxy.endpoint_url, filled, timeout=0.1)
    item = only(store, "k")
    places = st.integers(0, len(BODY))
    fault = st.one_of(
        st.builds(faults.CutConnection, places, reset=st.booleans()),
        st.builds(faults.ShortBody, places, claim_all=st.booleans()),
        st.builds(faults.Stall, places),
        st.builds(faults.Throttle, status=st.sampled_from([503, 429])),
        st.builds(faults.ServerError, status=st.sampled_from([500, 502])),
        st.sampled_from(
            [
                faults.IgnoreRange(),
                faults.WrongRange(),
                faults.HangUpBeforeAnswer(),
                faults.Refuse(status=404),
            ]
        ),
    )

    @given(st.lists(fault, max_size=6))
    def holds(several: list[faults.Fault]) -> None:
        faulty_proxy.forget()
        for each in several:
            faulty_proxy.fault(each)
        done = check(store, item)
        if done.status == "succeeded":
            assert (done.checksum, done.bytes_read) == (RIGHT[1], len(BODY))
        else:
            assert (done.status, done.checksum) == ("failed", None)
            assert len(several) >= 1

    holds()
