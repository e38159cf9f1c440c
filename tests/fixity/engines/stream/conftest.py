"""Shards and parts so small that a bucket of forty objects has several of both."""

from __future__ import annotations

import pytest


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of thirty objects, parts of five: a bucket of forty has several of both."""
    monkeypatch.setattr("fixity.engines.stream.pace.SHARD_OBJECTS", 30)
    monkeypatch.setattr("fixity.engines.stream.shards.PART_OBJECTS", 5)
