"""A bucket that map runs write to: each has a consignment of its own in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture(scope="session")
def results_bucket(s3: S3Client) -> str:
    """A bucket on the real server."""
    s3.create_bucket(Bucket="map-results")
    return "map-results"
