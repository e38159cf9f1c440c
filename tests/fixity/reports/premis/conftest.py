"""The bucket of the tests of PREMIS events."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixity.reports.premis.support import ODD, Refusing
from tests.fixity.rolling.support import Rolling


@pytest.fixture
def bucket(tmp_path: Path) -> Rolling:
    rolling = Rolling(tmp_path)
    rolling.store = Refusing()
    rolling.put(*ODD)
    rolling.take_inventory()
    return rolling
