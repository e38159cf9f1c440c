"""What the tests of this folder share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixity.incidents.archive import GOOD, Archive, write


@pytest.fixture
def local(tmp_path: Path) -> Archive:
    """Three directories with the same file; the third is another replica of the first."""
    buckets = {}
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "letter", GOOD)
        buckets[name] = {"path": f"./{name}"}
    return Archive.of(tmp_path, buckets, {"a": {"replica": "b"}, "other": {"source": "a", "replica": "c"}})
