"""What a store sends of an object is compared with what was asked for, before anybody reads it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from devstack import faults
from devstack.faulty_proxy import FaultyProxy
from devstack.seaweedfs import REGION
from fixity.catalog import Store
from fixity.catalog.byte_ranges import WrongRange
from fixity.catalog.clients import s3_client
from tests.conftest import MakeBucket


@dataclass(frozen=True)
class _Says(faults.Fault):
    """The answer has another Content-Range, or none."""

    content_range: str | None

    def response_headers(self, headers: faults.Headers) -> faults.Headers:
        kept = [(name, value) for name, value in headers if name.lower() != "content-range"]
        return kept if self.content_range is None else [*kept, ("Content-Range", self.content_range)]


@pytest.mark.parametrize(
    ("asked", "said", "is_it"),
    [
        ("bytes=2-4", "bytes 2-4/10", True),
        ("bytes=2-4", "bytes 2-4/*", True),
        ("bytes=2-4", "bytes 3-5/10", False),
        ("bytes=2-4", "bytes 2-5/10", False),  # more than came
        ("bytes=2-4", "bytes 2-4/4", False),  # it would end before
        ("bytes=2-4", "items 2-4/10", False),
        ("bytes=2-4", None, False),
        ("bytes=8-12", "bytes 8-9/10", True),
        ("bytes=8-12", "bytes 8-9/*", False),  # there may be more
        ("bytes=8-", "bytes 8-9/10", True),
        ("bytes=8-", "bytes 8-9/11", False),
        ("bytes=-3", "bytes 7-9/10", True),
        ("bytes=-3", "bytes 7-9/*", False),
        ("bytes=-3", "bytes 6-8/10", False),
        ("bytes=-12", "bytes 0-9/10", True),
    ],
)
def test_only_the_range_that_was_asked_for_is_read(
    faulty_proxy: FaultyProxy, make_bucket: MakeBucket, asked: str, said: str | None, is_it: bool
) -> None:
    client = s3_client(Store(name="behind", endpoint_url=faulty_proxy.endpoint_url, region=REGION))
    bucket = make_bucket()
    client.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    faulty_proxy.fault(_Says(said), key="k")
    if is_it:
        assert client.get_object(Bucket=bucket, Key="k", Range=asked)["Body"].read() in b"0123456789"
    else:
        with pytest.raises(WrongRange, match=f"{asked} was asked for"):
            client.get_object(Bucket=bucket, Key="k", Range=asked)


def test_a_part_of_an_object_is_not_taken_for_the_whole(
    faulty_proxy: FaultyProxy, make_bucket: MakeBucket
) -> None:
    client = s3_client(Store(name="behind", endpoint_url=faulty_proxy.endpoint_url, region=REGION))
    bucket = make_bucket()
    client.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    faulty_proxy.fault(faults.WrongRange(), key="k")
    with pytest.raises(WrongRange, match="the whole object was asked for"):
        client.get_object(Bucket=bucket, Key="k")
