"""An object on a real server, which the tests of reading share."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.conftest import MakeBucket
from tests.fixity.support import sha256

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BODY = random.Random(1).randbytes(900_000)
RIGHT = ("succeeded", sha256(BODY))
PIECE = 256 * 1024  # what is read at a time: what came of a piece that broke is asked for again


@pytest.fixture(scope="session")
def filled(s3: S3Client) -> str:
    """A bucket with two objects, `k` of BODY and `other`, which no test changes."""
    name = "objects-to-read"
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="k", Body=BODY)
    s3.put_object(Bucket=name, Key="other", Body=b"other")
    return name


@pytest.fixture
def bucket(s3: S3Client, make_bucket: MakeBucket) -> str:
    """A bucket of the test's own with one object, `k` of BODY."""
    name = make_bucket()
    s3.put_object(Bucket=name, Key="k", Body=BODY)
    return name
