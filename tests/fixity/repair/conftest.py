from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from devstack.seaweedfs import SeaweedFS
from tests.conftest import MakeBucket
from tests.fixity.repair.places import Places

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class MakePlaces(Protocol):
    """Makes a pair of two kinds of places; with `other`, one of several replicas."""

    def __call__(self, source: str, replica: str, other: str | None = None, **more: Any) -> Places: ...


@pytest.fixture
def places(tmp_path: Path, s3: S3Client, seaweedfs: SeaweedFS, make_bucket: MakeBucket) -> MakePlaces:
    def make(source: str, replica: str, other: str | None = None, **more: Any) -> Places:
        kinds = {"a": source, "b": replica, **({"c": other} if other else {})}
        return Places(tmp_path, s3, seaweedfs, make_bucket, kinds, **more)

    return make
