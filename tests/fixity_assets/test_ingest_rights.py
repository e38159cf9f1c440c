"""An ingest whose rights are withdrawn in mid-run."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from devstack.faults import Overwrite, Refuse
from devstack.faulty_proxy import FaultyProxy
from jobs.names import INGEST_BUCKET_JOB
from tests.platform import PAIR, Platform


@pytest.mark.parametrize("when", [{"listing": True}, {"key": "key-05"}], ids=["listed", "it reads"])
@pytest.mark.parametrize(("status", "code"), [(403, "AccessDenied"), (400, "InvalidToken")])
def test_an_ingest_that_loses_its_rights_ends_within_twenty_requests(
    platform: Platform,
    instance: dg.DagsterInstance,
    faulty_proxy: FaultyProxy,
    status: int,
    code: str,
    when: dict[str, Any],
) -> None:
    for number in range(40):
        platform.put(f"key-{number:02}")
    platform.endpoint_url = faulty_proxy.endpoint_url
    platform.bucket_settings = {"max_concurrency": 1}  # others may have read all before the rights go
    refused = Refuse(status, code=code, times=None)

    def withdraw() -> None:
        faulty_proxy.fault(refused)
        faulty_proxy.fault(refused, listing=True)

    faulty_proxy.fault(Overwrite(withdraw), **when)
    assert not platform.run(instance, INGEST_BUCKET_JOB, PAIR).success
    assert 0 < sum(request.fault is refused for request in faulty_proxy.requests) <= 20
