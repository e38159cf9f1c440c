"""Drills through the real jobs, in a directory and on a real server: what the schedule finds, what not."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest
import yaml

from devstack.seaweedfs import SeaweedFS
from fixity.buckets import ListedObject
from fixity.catalog import Catalog, load_catalog
from fixity.clock import utc_now
from fixity.drills import Drill, DrillRefused, Order, begin, drill
from fixity.drills.plan import DELETED, TRUNCATED, Planned, draw
from fixity.incidents.state import incidents_now
from fixity.lake import Lake, open_lake
from fixity.repair import RepairRun
from fixity.repair.sides import Side, open_side
from fixity_assets.definitions import build_definitions
from jobs.names import DRILL_JOB, DRILLS_ASSET, INVENTORY_JOB, ROLL_JOB
from jobs.rolling import rolling_schedules
from tests.conftest import MakeBucket
from tests.platform import definitions_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NAME = "fire"
TERM = timedelta(days=90)


class Ground:
    """A bucket for drills, of which a test sets the clock back to begin one."""

    def __init__(self, folder: Path, bucket: dict[str, Any], endpoint_url: str) -> None:
        self.folder = folder
        said = {
            "lake": "./lake",
            "stores": {"real": {"endpoint_url": endpoint_url, "region": "us-east-1"}},
            "buckets": {NAME: {"fixity_every": "90d", **bucket}},
            "drills": [NAME],
        }
        (folder / "fixity.yaml").write_text(yaml.safe_dump(said))
        self.catalog: Catalog = load_catalog(folder / "fixity.yaml")
        self.lake: Lake = open_lake(self.catalog)
        self.runs = 0

    def drill(self, order: Order | None = None, now: Callable[[], datetime] = utc_now) -> list[Drill]:
        self.runs += 1
        with open_side(self.catalog, self.catalog.buckets[NAME], 2) as side:
            return drill(RepairRun(self.lake, f"run{self.runs}", {NAME: side}, now=now), side, order)

    def run(self, instance: dg.DagsterInstance, job: str) -> dg.ExecuteInProcessResult:
        job_definition = definitions_of(self.catalog).resolve_job_def(job)
        return job_definition.execute_in_process(instance=instance, partition_key=NAME)


@pytest.fixture
def directory(tmp_path: Path) -> Ground:
    (tmp_path / NAME).mkdir()
    return Ground(tmp_path, {"path": f"./{NAME}"}, "http://127.0.0.1:9")


@pytest.fixture(params=["directory", "s3"])
def ground(
    request: pytest.FixtureRequest, tmp_path: Path, seaweedfs: SeaweedFS, make_bucket: MakeBucket
) -> Ground:
    if request.param == "directory":
        made: Ground = request.getfixturevalue("directory")
        return made
    bucket = {"store": "real", "bucket": make_bucket(), "prefix": "drills/"}
    return Ground(tmp_path, bucket, seaweedfs.endpoint_url)


def _ago(age: timedelta) -> Callable[[], datetime]:
    return lambda: utc_now() - age


def _evaluations(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {each.check_name: each for each in result.get_asset_check_evaluations()}


def _objects(result: dg.ExecuteInProcessResult) -> list[dict[str, Any]]:
    (event,) = result.get_asset_materialization_events()
    table = event.step_materialization_data.materialization.metadata["objects"]
    assert event.asset_key == dg.AssetKey(DRILLS_ASSET) and isinstance(table, dg.TableMetadataValue)
    return [dict(each.data) for each in table.records]


def test_the_schedule_finds_all_damage_once_it_is_due_and_the_drill_leaves_nothing_wrong(
    ground: Ground, instance: dg.DagsterInstance
) -> None:
    (begun,) = ground.drill(Order(7, 6, "warden"), _ago(TERM + timedelta(hours=1)))
    assert not begun.is_over and not any(each.found_at for each in begun.objects)
    first_look = ground.run(instance, DRILL_JOB)
    assert _evaluations(first_look)["all_found"].passed  # nothing is found, but there is time left
    assert {row["found_as"] for row in _objects(first_look)} == {""}

    ground.run(instance, INVENTORY_JOB)
    rolled = _evaluations(ground.run(instance, ROLL_JOB))
    assert not rolled["no_damage"].passed and not rolled["no_open_incidents"].passed
    looked = ground.run(instance, DRILL_JOB)
    assert _evaluations(looked)["all_found"].passed and _evaluations(looked)["no_open_incidents"].passed
    how = {each.key: "lost" if each.damage == DELETED else "differs" for each in draw(7, 6)}
    assert {row["key"]: row["found_as"] for row in _objects(looked)} == how
    assert all("after 90 d 1 h" in row["result"] for row in _objects(looked))

    (over,) = ground.drill()
    assert over.is_over and over.id == begun.id
    (incident,) = incidents_now(ground.lake)
    assert incident.state == "dismissed"
    assert {(each.person, each.reason) for each in incident.events if each.event == "dismissed"} == {
        ("warden", f"drill {begun.id}")
    }
    ground.run(instance, INVENTORY_JOB)
    after = _evaluations(ground.run(instance, ROLL_JOB))
    assert all(each.passed for each in after.values()), after
    second = ground.drill(Order(8, 6, "warden"))
    assert [each.is_over for each in second] == [True, False]


def test_what_nobody_looked_at_in_time_is_red_until_another_drill_is_found(
    directory: Ground, instance: dg.DagsterInstance
) -> None:
    directory.drill(Order(7, 6, "warden"), _ago(TERM + timedelta(days=1, hours=2)))
    said = _evaluations(directory.run(instance, DRILL_JOB))["all_found"]
    assert not said.passed and said.severity == dg.AssetCheckSeverity.ERROR
    assert (said.description or "").startswith("6 not found in time: fixity-drill/0001 (")
    assert "not found after 91 d 2 h, but it was due by " in (said.description or "")
    directory.drill(Order(8, 6, "warden"))  # a new one, in which there is time left, turns nothing green
    again = directory.run(instance, DRILL_JOB)
    assert not _evaluations(again)["all_found"].passed and len(_objects(again)) == 12


def test_what_is_damaged_in_a_directory_looks_untouched(
    directory: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = directory.folder / NAME
    before: dict[str, os.stat_result] = {}
    damage = begin._do_damage

    def remember(side: Side, planned: Planned) -> ListedObject | None:
        before[planned.key] = (root / planned.key).stat()
        return damage(side, planned)

    monkeypatch.setattr(begin, "_do_damage", remember)
    directory.drill(Order(7, 6, "warden"))
    for each in draw(7, 6):
        path = root / each.key
        if each.damaged is None:
            assert not path.exists()
            continue
        assert path.read_bytes() == each.damaged
        assert path.stat().st_mtime_ns == before[each.key].st_mtime_ns
        assert (path.stat().st_size == before[each.key].st_size) == (each.damage != TRUNCATED)


def test_a_drill_that_is_killed_while_it_damages_is_none_and_the_next_one_begins_with_right_bytes(
    directory: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage, left = begin._do_damage, iter(range(3))

    def killed(side: Side, planned: Planned) -> ListedObject | None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return damage(side, planned)

    with monkeypatch.context() as patch:
        patch.setattr(begin, "_do_damage", killed)
        with pytest.raises(KeyboardInterrupt):
            directory.drill(Order(7, 6, "warden"))
    assert directory.drill() == []
    (made,) = directory.drill(Order(8, 6, "warden"))
    assert made.seed == 8


def test_a_place_with_anything_else_in_it_is_left_alone(ground: Ground, s3: S3Client) -> None:
    bucket = ground.catalog.buckets[NAME]
    if bucket.path is not None:
        (Path(bucket.path) / "letter").write_text("to be kept")
    else:
        s3.put_object(Bucket=bucket.real_name, Key="drills/letter", Body=b"to be kept")
    with pytest.raises(DrillRefused, match="has an object that no drill has made, letter"):
        ground.drill(Order(7, 6, "warden"))
    with open_side(ground.catalog, bucket, 2) as side:
        assert [batch["key"].to_pylist() for batch in side.reader.list_objects()] == [["letter"]]


def test_without_a_drill_the_check_warns(directory: Ground, instance: dg.DagsterInstance) -> None:
    said = _evaluations(directory.run(instance, DRILL_JOB))["all_found"]
    assert not said.passed and said.severity == dg.AssetCheckSeverity.WARN
    (daily,) = [each for each in rolling_schedules(directory.catalog) if each.name == "look_at_drills"]
    repository = definitions_of(directory.catalog).get_repository_def()
    with dg.build_schedule_context(instance, utc_now(), repository_def=repository) as context:
        requests = daily.evaluate_tick(context).run_requests or ()
    assert [each.partition_key for each in requests] == [NAME]


def test_a_catalog_without_drills_defines_none(tmp_path: Path) -> None:
    (tmp_path / "fixity.yaml").write_text("lake: ./lake\nbuckets: {a: {path: a, fixity_every: 90d}}\n")
    catalog = load_catalog(tmp_path / "fixity.yaml")
    graph = build_definitions(catalog).resolve_asset_graph()
    assert dg.AssetKey(DRILLS_ASSET) not in graph.get_all_asset_keys()
    assert "look_at_drills" not in {each.name for each in rolling_schedules(catalog)}
