"""The two lakes, in turn for the tests of what is kept; readers that are closed at a test's end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devstack.seaweedfs import REGION, SeaweedFS
from fixity.buckets.s3.address import Address
from fixity.buckets.s3.requests import Requests
from fixity.buckets.throttle import Throttle
from fixity.catalog import Store
from fixity.lake import Lake, LocalLake
from fixity.lake.s3 import S3Lake

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture(autouse=True)
def readers_are_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the connections of each S3 reader that a test opens.

    A socket that is collected while it is open warns, in whichever test runs then; warnings are errors.
    """
    opened: list[Requests] = []

    def noted(name: str, address: Address, throttle: Throttle) -> Requests:
        opened.append(Requests(name, address, throttle))
        return opened[-1]

    monkeypatch.setattr("fixity.buckets.s3.reader.Requests", noted)
    yield
    for each in opened:
        each.close()


@pytest.fixture(scope="session")
def lake_bucket(s3: S3Client) -> str:
    """A bucket on the real server in which each test has a lake of its own."""
    s3.create_bucket(Bucket="lakes")
    return "lakes"


@pytest.fixture(params=["directory", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lake]:
    """An empty lake: first in a directory, then in a bucket."""
    if request.param == "directory":
        yield LocalLake(tmp_path / "lake")
        return
    server: SeaweedFS = request.getfixturevalue("seaweedfs")
    bucket: str = request.getfixturevalue("lake_bucket")
    store = Store(name="loopback", endpoint_url=server.endpoint_url, region=REGION)
    yield S3Lake(bucket, f"{tmp_path.name}/", store)
