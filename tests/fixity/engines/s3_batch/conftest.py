"""What the tests of completion reports share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixity.engines.s3_batch.reports import Ingest


@pytest.fixture
def ingest(tmp_path: Path) -> Ingest:
    return Ingest(tmp_path)
