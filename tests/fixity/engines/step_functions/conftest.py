"""A bucket that map runs write to: each has a consignment of its own in it; and a ledger of a bucket."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.fixity.engines.step_functions.ledger import Ledger

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture(scope="session")
def results_bucket(s3: S3Client) -> str:
    """A bucket on the real server."""
    s3.create_bucket(Bucket="map-results")
    return "map-results"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path)
