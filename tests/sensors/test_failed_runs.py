"""Runs that fail before they have a result make the status red, also those that the daemon ran."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

import fixity.status.coverage
from fixity.clock import utc_now
from fixity.errors import FixityError
from fixity.lake import LakeError, open_lake
from fixity.status import Result, Status, StatusRow, keep_result, status_of
from jobs.names import CHECKSUMS_JOB, COVERAGE_JOB, MAP_RESULTS_JOB, MAP_RUNS, PREMIS_JOB, ROLL_JOB, SEAL_JOB
from resources import CatalogResource, LakeResource
from sensors.failed_runs import failed_runs_sensor
from tests.platform import PAIR, Platform


def _tick(platform: Platform, instance: dg.DagsterInstance, cursor: str | None = None) -> dg.SensorResult:
    resources = {"lake": LakeResource(catalog=CatalogResource(file=str(platform.file)))}
    with dg.build_sensor_context(instance=instance, cursor=cursor, resources=resources) as context:
        result = failed_runs_sensor()(context)
    assert isinstance(result, dg.SensorResult)
    return result


def _row(platform: Platform, name: str, kind: str = "bucket") -> StatusRow:
    status = status_of(open_lake(platform.catalog), platform.catalog, utc_now())
    (row,) = [row for row in status.rows if (row.kind, row.name) == (kind, name)]
    return row


def test_each_run_keeps_its_checks_and_one_that_cannot_reach_its_bucket_is_red_until_a_later_one_can(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    platform.put("a")
    platform.put("b", b"one", replica=b"two")
    platform.verify(instance)
    pair = _row(platform, PAIR, "pair")
    assert pair.state == "problem" and pair.counts["mismatches"] == 1 and pair.oldest_evidence is not None
    assert {finding.check for finding in pair.red} == {"no_mismatches", "no_open_incidents"}
    platform.s3.put_object(Bucket=platform.source, Key="b", Body=b"two")

    there, platform.replica = platform.replica, "no-such-bucket"
    failed = platform.run(instance, CHECKSUMS_JOB, f"{PAIR}-repl")
    assert not failed.success
    platform.replica = there
    first = _tick(platform, instance)
    row = _row(platform, f"{PAIR}-repl")
    assert row.failed_run == failed.run_id and "no-such-bucket" in row.red[0].text
    assert platform.run(instance, CHECKSUMS_JOB, f"{PAIR}-repl").success
    again = _tick(platform, instance, first.cursor)
    assert _row(platform, f"{PAIR}-repl").failed_run is None and again.cursor == first.cursor


def test_coverage_is_kept_for_each_bucket_and_a_run_of_it_that_fails_is_a_problem_of_the_platform(
    platform: Platform, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def coverage() -> tuple[bool, Status]:
        job = platform.definitions().resolve_job_def(COVERAGE_JOB)
        done = job.execute_in_process(instance=instance, raise_on_error=False)
        _tick(platform, instance)
        return done.success, status_of(open_lake(platform.catalog), platform.catalog, utc_now())

    platform.bucket_settings["fixity_every"] = "90d"
    done, status = coverage()
    assert done and not status.platform
    reds = [(row.name, [finding.check for finding in row.red]) for row in status.rows if row.kind == "bucket"]
    assert reds == [(name, ["schedule_runs"]) for name in (PAIR, f"{PAIR}-repl")]

    def fail(*_: object, **__: object) -> None:
        raise FixityError("no coverage today")

    with monkeypatch.context() as patch:
        patch.setattr(fixity.status.coverage, "bucket_coverage", fail)
        done, status = coverage()
    (finding,) = status.platform
    assert not done and finding.text.endswith("no coverage today")
    assert coverage()[1].platform == ()


@pytest.mark.parametrize(
    ("asset", "name", "needs"),
    [
        ("premis_events", "export_events", {}),
        ("map_results", "find_run", {"map_results": {"bucket": "maps"}}),
    ],
)
def test_an_export_or_a_map_that_failed_is_red_until_a_later_one_has_a_result(
    platform: Platform,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    asset: str,
    name: str,
    needs: dict[str, Any],
) -> None:
    def fail(*_: object) -> None:
        raise FixityError("not today")

    def red() -> list[str]:
        status = status_of(open_lake(platform.catalog), platform.catalog, utc_now())
        found = [*status.platform, *(finding for row in status.rows for finding in row.red)]
        return [finding.text.rpartition(": ")[2] for finding in found if finding.asset == asset]

    platform.more = needs
    instance.add_dynamic_partitions(str(MAP_RUNS.name), ["a/run"])
    partition = PAIR if asset == "premis_events" else "a/run"
    with monkeypatch.context() as patch:
        patch.setattr(f"fixity_assets.{asset}.{name}", fail)
        job = MAP_RESULTS_JOB if needs else PREMIS_JOB
        assert not platform.run(instance, job, partition).success
    _tick(platform, instance)
    assert red() == ["not today"]
    if needs:  # that a map which is gathered keeps it is shown in test_map_results
        keep_result(open_lake(platform.catalog), Result(asset, None, "a-later-run", utc_now()))
    else:
        assert platform.run(instance, job, partition).success
    assert red() == []


def test_a_sealing_that_failed_is_red(platform: Platform, instance: dg.DagsterInstance) -> None:
    platform.more = {"log": {"key": str(platform.folder / "no-key.pem")}}
    assert not platform.run(instance, SEAL_JOB, None).success
    _tick(platform, instance)
    status = status_of(open_lake(platform.catalog), platform.catalog, utc_now())
    failed = [each.text for each in status.platform if (each.asset, each.check) == ("log", "run")]
    assert len(failed) == 1 and "no-key.pem cannot be read" in failed[0]


def test_a_lake_that_cannot_be_written_is_tried_again_by_the_next_tick(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    replica, platform.replica = platform.replica, "no-such-bucket"
    assert not platform.run(instance, CHECKSUMS_JOB, f"{PAIR}-repl").success
    platform.replica = replica
    lake = platform.folder / "lake"
    lake.rename(platform.folder / "away")
    lake.write_text("no folder")
    with pytest.raises(LakeError):
        _tick(platform, instance)
    lake.unlink()
    (platform.folder / "away").rename(lake)
    _tick(platform, instance)
    assert _row(platform, f"{PAIR}-repl").failed_run is not None


def test_a_run_that_is_refused_as_wrong_usage_is_kept_only_if_no_person_started_it(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    platform.put("a")
    assert platform.run(instance, CHECKSUMS_JOB, PAIR).success
    for tags, states in (({}, "verified"), ({"dagster/schedule_name": "roll"}, "problem")):
        roll = platform.definitions().resolve_job_def(ROLL_JOB)
        refused = roll.execute_in_process(
            instance=instance, partition_key=PAIR, raise_on_error=False, tags=tags
        )
        assert not refused.success  # the bucket has no term
        _tick(platform, instance)
        assert _row(platform, PAIR).state == states
