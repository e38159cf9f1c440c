"""A pair of two directories: as nobody has checked it, and checked, compared and all right."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devstack.seaweedfs import SeaweedFS
from fixity.pages import make_pages
from tests.fixity.pages.archive import compare, keep_checked
from tests.fixity.repair.places import Places

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def _no_bucket(*, versioned: bool = False) -> str:
    raise AssertionError("these places are directories")


@pytest.fixture
def unchecked(tmp_path: Path, s3: S3Client, seaweedfs: SeaweedFS) -> Places:
    """A pair of two empty directories that nobody has checked."""
    return Places(tmp_path, s3, seaweedfs, _no_bucket, {"a": "directory", "b": "directory"})


@pytest.fixture(scope="module")
def _checked(tmp_path_factory: pytest.TempPathFactory, s3: S3Client, seaweedfs: SeaweedFS) -> Places:
    folder = tmp_path_factory.mktemp("archive") / "places"
    folder.mkdir()
    places = Places(folder, s3, seaweedfs, _no_bucket, {"a": "directory", "b": "directory"})
    places.both("one.txt", "two.txt", "three.txt")
    keep_checked(places, "a")
    keep_checked(places, "b")
    compare(places)
    for _ in range(2):  # the first one folds the snapshots, so the second makes them again
        make_pages(places.lake, places.catalog)
    shutil.copytree(folder, folder.with_name("as it was"))
    return places


@pytest.fixture
def places(_checked: Places) -> Places:
    """The pair with three objects, checked and compared: all is right, and the pages say so."""
    shutil.rmtree(_checked.folder)
    shutil.copytree(_checked.folder.with_name("as it was"), _checked.folder)
    return _checked
