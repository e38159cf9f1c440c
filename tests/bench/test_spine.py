"""What the benchmark of the whole spine exports is all that a user's export has, though it is not kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import rolling, spine
from fixity.lake import LocalLake

_OBJECTS = 25_000  # more than one document's


def test_documents_are_made_and_counted_to_the_last_byte_but_only_the_table_stays(tmp_path: Path) -> None:
    folder = rolling.make_lake(tmp_path / "ledger", _OBJECTS)
    spine.fold(folder)
    counted, plain = spine.CountingLake(folder), LocalLake(folder)
    assert rolling.export_all(counted) == _OBJECTS
    assert [each.name for each in plain.list("premis/") if each.name.endswith(".xml")] == []
    assert Path(plain.location("premis/bench/bench.parquet")).is_file()
    assert rolling.export_all(plain) == 0  # a killed export's documents are made anew from the kept table
    documents = [each.size for each in plain.list("premis/") if each.name.endswith(".xml")]
    assert len(documents) > 1
    assert counted.documents == sum(documents)


def test_the_step_fails_where_an_object_has_no_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = rolling.make_lake(tmp_path / "ledger", _OBJECTS)
    monkeypatch.setattr(rolling, "export_all", lambda lake: _OBJECTS - 1)
    with pytest.raises(AssertionError):
        spine.premis(folder)
    assert not (folder / "bytes-of-documents").exists()
