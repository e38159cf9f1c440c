"""Our own JSON files in another shape: each falls back to what it points to, or is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixity.catalog import Bucket
from fixity.engines.stream.shards import Plan, Shard, plan_file
from fixity.lake import LocalLake
from fixity.lake.proof import sealed, unsealed
from fixity.ledger.snapshot import Snapshot, in_force
from fixity.reports.premis import Subject, export_events
from fixity.rolling.lease import Lease, leases
from fixity.tables import PROVENANCE, Provenance, TableUnreadable
from fixity_assets.checksums_run import plan_of_run
from fixity_assets.due_batch import batch_result
from resources import StoresResource
from tests.fixity.rolling.support import BEGIN, BUCKET, Rolling
from tests.fixity.support import spoilt

PLAN = Plan("inventory/b/r1.parquet", "SHA256", [Shard(0, 7, 70), Shard(7, 3, 30)], "here", "state")
RESULT = {"damaged": 0, "reasons": {}, "table": "checksums/b/r1.parquet"}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> LocalLake:
    return LocalLake(tmp_path_factory.mktemp("lake"))


def write(lake: LocalLake, name: str, body: bytes) -> None:
    file = Path(lake.location(name))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(body)


@given(spoilt(PLAN.to_json()))
def test_a_plan_of_another_shape_is_refused_by_name(lake: LocalLake, body: bytes) -> None:
    write(lake, plan_file("scratch/r/"), body)
    stores = cast("StoresResource", None)  # it is not asked
    with pytest.raises((TableUnreadable, AttributeError)) as told:
        plan_of_run(lake, "scratch/r/", stores, "b")
    if told.type is TableUnreadable:
        assert "scratch/r/plan.json" in str(told.value)
    else:
        assert Plan.from_json(body.decode()) == PLAN


@given(spoilt(sealed(RESULT)))
def test_a_batch_whose_result_has_another_shape_is_refused_by_name(lake: LocalLake, body: bytes) -> None:
    write(lake, "scratch/r/rolled.json", body)
    try:
        assert batch_result(lake, "scratch/r/") == RESULT
    except TableUnreadable as error:
        assert "scratch/r/rolled.json" in str(error)


@given(spoilt(json.dumps({"began": BEGIN.isoformat(), "beat": BEGIN.isoformat()})))
def test_a_heartbeat_of_another_shape_is_that_of_a_killed_run(lake: LocalLake, body: bytes) -> None:
    write(lake, "scratch/rolling/b/r1/alive.json", body)
    (lease,) = leases(lake, "b")
    assert isinstance(lease, Lease) and isinstance(lease.is_alive(BEGIN), bool)


class Rolled(Rolling):
    """A bucket whose notes are kept as they were."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._notes: dict[str, str] = {}

    def note(self, name: str) -> tuple[Path, str]:
        """A file, and its content when it was first asked for."""
        file = self.folder / name
        return file, self._notes.setdefault(name, file.read_bytes().decode(errors="replace"))


@pytest.fixture(scope="module")
def rolled(tmp_path_factory: pytest.TempPathFactory) -> Rolled:
    """A bucket with a snapshot, and its events exported."""
    bucket = Rolled(tmp_path_factory.mktemp("rolled"))
    bucket.put("a", "b")
    bucket.take_inventory()
    bucket.roll()
    export_events(bucket.lake, Subject(Bucket(name=BUCKET)), "x1")
    return bucket


@given(st.data())
def test_a_note_of_a_snapshot_of_another_shape_is_none(rolled: Rolled, data: st.DataObject) -> None:
    file, whole = rolled.note("standing/b/NEWEST.json")
    file.write_bytes(data.draw(spoilt(whole)))
    assert in_force(rolled.lake, BUCKET) in (None, Snapshot(**unsealed(whole)))
    file.write_text(whole)


@settings(max_examples=5)
@given(st.data())
def test_a_note_of_exports_of_another_shape_has_nothing_exported_twice(
    rolled: Rolled, data: st.DataObject
) -> None:
    file, whole = rolled.note("premis/b/EXPORTED.json")
    file.write_bytes(data.draw(spoilt(whole)))
    assert export_events(rolled.lake, Subject(Bucket(name=BUCKET)), "x2").events == 0


PROVENANCE_TEXT = json.dumps(
    {
        "bucket": "b",
        "run_id": "r",
        "inventory_run_id": "r",
        "listed_at": BEGIN.isoformat(),
        "place": "here",
        "partial": False,
    }
)


@given(spoilt(PROVENANCE_TEXT))
def test_provenance_of_another_shape_is_refused_by_name(body: bytes) -> None:
    try:
        said = Provenance.from_metadata({PROVENANCE: body}, "checksums/b/r.parquet")
    except TableUnreadable as error:
        assert "checksums/b/r.parquet" in str(error)
    else:
        assert said.listed_at.tzinfo is not None


@pytest.mark.parametrize("files", [b"7", b"no JSON", b"null", b"\xff"])
def test_an_export_that_does_not_say_what_it_has_is_refused_by_name(tmp_path: Path, files: bytes) -> None:
    bucket = Rolling(tmp_path)
    bucket.put("a")
    bucket.take_inventory()
    bucket.roll()
    events = pq.read_table(
        bucket.folder / str(export_events(bucket.lake, Subject(Bucket(name=BUCKET)), "x1").parquet)
    )
    file = bucket.folder / "premis/b/earlier.parquet"  # of an earlier version: it has no proof
    pq.write_table(events.replace_schema_metadata({b"ledger_files": files}), file)
    with pytest.raises(TableUnreadable, match=r"earlier\.parquet"):
        export_events(bucket.lake, Subject(Bucket(name=BUCKET)), "x2")
