"""Archives whose provider writes lists, on the real server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devstack.seaweedfs import SeaweedFS
from tests.fixity.inventories.archive import Archive
from tests.fixity.inventories.lists import Lists

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from tests.conftest import MakeBucket


@pytest.fixture
def make_archive(
    tmp_path: Path, s3: S3Client, seaweedfs: SeaweedFS, make_bucket: MakeBucket
) -> Callable[..., Archive]:
    def make(*, versioned: bool = False) -> Archive:
        name = make_bucket(versioned=False)
        if versioned:  # with an object from before
            s3.put_object(Bucket=name, Key="before", Body=b"versioning")
            s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return Archive(s3, seaweedfs.endpoint_url, name, Lists(s3, make_bucket()), tmp_path)

    return make


@pytest.fixture
def archive(make_archive: Callable[..., Archive]) -> Archive:
    return make_archive()
