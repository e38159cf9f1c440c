"""Tables whose records are lost are accepted only when a person says so, and are told as that."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pyarrow.parquet as pq
import pytest

from fixity.lake import LocalLake
from fixity.lake.accept import accept_all
from fixity.lake.proof import proof_file
from fixity.ledger.refresh import state_of_files
from fixity.tables import TableUnreadable
from tests.fixity.lake.test_proof import NAME, flip
from tests.fixity.ledger.test_current import NEVER, current, ok, store_of
from tests.fixity.support import inventory_and_checks

NOW = datetime(2026, 11, 29, 1, 46, tzinfo=UTC)
INVENTORY = "inventory/b/r1.parquet"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A lake with one inventory of three objects, and a run over them."""
    inventory_and_checks(store_of("a", "b", "c"), LocalLake(tmp_path / "lake"), "r1")
    return tmp_path / "lake"


def accepted(folder: Path) -> dict[str, str | None]:
    return dict(accept_all(LocalLake(folder), NOW))


def test_a_lake_that_lost_its_records_is_read_again_once_its_tables_are_accepted_and_says_so(
    folder: Path,
) -> None:
    right = {key: ok(key.encode()) for key in "abc"}
    shutil.rmtree(folder / "log")
    (said,) = state_of_files(LocalLake(folder), "b", folder).left_out
    assert (
        "restore log/ from a copy of the lake, or accept its tables as they are: fixity lake accept"
        in said.why
    )
    with pytest.raises(TableUnreadable):
        current(LocalLake(folder))
    assert accepted(folder) == {NAME: None, INVENTORY: None}
    assert current(LocalLake(folder)) == right
    assert state_of_files(LocalLake(folder), "b", folder) == ([], 0, {"2026-11-29": 1})
    proof = LocalLake(folder).proof(NAME)
    assert proof is not None and proof.accepted_at == NOW.isoformat()
    assert accepted(folder) == {}  # once
    flip(folder / NAME, Random(5))  # from now on each change is found
    assert set(current(LocalLake(folder)).values()) == {NEVER}


def test_a_table_that_its_record_refutes_is_never_accepted(folder: Path) -> None:
    flip(folder / NAME, Random(6))
    assert accepted(folder) == {}
    assert [each.name for each in state_of_files(LocalLake(folder), "b", folder).left_out] == [NAME]


def test_a_table_that_cannot_be_read_is_not_accepted_and_the_others_are(folder: Path) -> None:
    shutil.rmtree(folder / "log")
    whole = (folder / NAME).read_bytes()
    (folder / NAME).write_bytes(whole[:4] + b"\xff" * 40 + whole[44:])
    found = accepted(folder)
    assert found.keys() == {NAME, INVENTORY} and found[INVENTORY] is None
    assert f"{folder / NAME} is not a whole table" in str(found[NAME])
    assert not (folder / proof_file(NAME)).exists()


def test_a_damaged_record_is_written_anew_and_a_file_of_an_earlier_version_stays_without(
    folder: Path,
) -> None:
    (folder / proof_file(NAME)).write_text("[]")
    table = pq.read_table(folder / INVENTORY)
    pq.write_table(
        table.replace_schema_metadata({b"fixity": table.schema.metadata[b"fixity"]}), folder / INVENTORY
    )
    (folder / proof_file(INVENTORY)).unlink()
    assert accepted(folder) == {NAME: None}
    assert not (folder / proof_file(INVENTORY)).exists()
