"""What a plan says that a repair costs is what the repair then costs: bytes, and requests of a server."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devstack.faulty_proxy import FaultyProxy, Recorded
from devstack.seaweedfs import SeaweedFS
from fixity.repair.words import Cost, cost_of
from tests.conftest import MakeBucket
from tests.fixity.repair.conftest import MakePlaces
from tests.fixity.repair.places import GOOD, Places

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEYS = ["k0", "k1"]
OF_A_RUN = 9
"""Requests that are about no object, at most: whether a bucket keeps versions, obeys preconditions."""


@pytest.mark.parametrize(
    ("replica", "state"),
    [("s3", "bad"), ("versions", "bad"), ("elsewhere", "missing"), ("s3", "right by now")],
)
def test_a_repair_sends_the_requests_that_its_plan_names(
    tmp_path: Path,
    s3: S3Client,
    seaweedfs: SeaweedFS,
    faulty_proxy: FaultyProxy,
    make_bucket: MakeBucket,
    replica: str,
    state: str,
) -> None:
    pair = Places(tmp_path, s3, seaweedfs, make_bucket, {"a": "s3", "b": replica})
    pair.endpoint_url = faulty_proxy.endpoint_url
    pair.both(*KEYS)
    for key in KEYS:
        pair.corrupt("b", key) if state != "missing" else pair.opened(key)
    pair.check("b")
    if state == "right by now":
        time.sleep(1)  # S3 has whole seconds: what is put again within one looks as it was
    for key in KEYS if state != "bad" else ():
        pair.delete("b", key) if state == "missing" else pair.put("b", key)
    said = cost_of(pair.plan())
    faulty_proxy.forget()
    repaired = pair.repair()
    assert [repaired.is_right(each) for each in repaired.done] == [True] * len(KEYS)

    sent = faulty_proxy.requests
    of_keys = [request for request in sent if _names_a_key(request)]
    reads = [request for request in of_keys if request.method in ("GET", "HEAD")]
    assert (said.reads, said.writes) == (len(reads), len(of_keys) - len(reads))
    assert len(sent) - len(of_keys) <= OF_A_RUN
    bodies = [request for request in reads if request.method == "GET" and "?" not in request.path]
    assert sum(said.read.values()) == len(bodies) * len(GOOD)
    assert said.copied == (0 if state == "right by now" else len(KEYS) * len(GOOD))


def _names_a_key(request: Recorded) -> bool:
    """Whether a request is for an object or a copy of it that is set aside, or lists it alone."""
    return request.path.split("&prefix=")[-1].split("?")[0].rsplit("/", 1)[-1] in KEYS


MIB, GIB = 1024**2, 1024**3


@pytest.mark.parametrize(
    ("size", "by_store", "writes"),
    [
        (64 * MIB, False, 1),
        (65 * MIB, False, 5 + 2),  # parts of 16 MiB, and a request each to begin and to end
        (5 * GIB, True, 1),
        (5 * GIB + 1, True, 321 + 2),
    ],
)
def test_large_objects_are_written_in_as_many_requests_as_they_have_parts(
    places: MakePlaces, size: int, by_store: bool, writes: int
) -> None:
    pair = places("directory", "directory")
    pair.both("k")
    pair.corrupt("b", "k")
    pair.check("b")
    (planned,) = pair.plan()
    assert planned.source and planned.target
    large = replace(planned.source, size=size)
    planned = replace(planned, source=large, by_store=by_store)
    kept = replace(planned, target=large)
    assert cost_of([replace(planned, bad_bytes="version")]) == Cost(size, {"a": size, "b": size}, 8, writes)
    # The store sets bad bytes aside, whoever copies the good ones.
    aside = 1 if size <= 5 * GIB else writes
    assert cost_of([kept]) == Cost(size, {"a": size, "b": size}, 10, writes + aside)
