"""What the tests of ingest may ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixity.ingest.bags import Look


@pytest.fixture
def look(tmp_path: Path) -> Look:
    return Look(tmp_path)
