"""A table of the lake that is broken ends the run that needs it, by name, and changes nothing."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from fixity.catalog import Pair, load_catalog
from fixity.clock import utc_now
from fixity.lake import Lake, LakeError, LocalLake, open_lake
from fixity.lake.latest import point_to_latest
from fixity.ledger import lost as lost_objects
from fixity.ledger import ready
from fixity.ledger.fold import Settings, settings_of
from fixity.reports.pair import Examine, First, PairReport, make_report
from fixity.status import status_of
from fixity.tables import Provenance
from fixity_assets import fixity_report, pair_report
from fixity_assets.checksums_keep import keep_table
from fixity_assets.checksums_read import plan_shards
from fixity_assets.definitions import build_definitions
from fixity_assets.describe import RETRIES, failures_in_plain_words
from fixity_cli.main import app
from jobs.names import CHECKSUMS_JOB, INVENTORY_JOB, REPORT_JOB
from tests.platform import report_metadata


@pytest.fixture
def definitions(tmp_path: Path) -> dg.Definitions:
    """A pair of two equal directories."""
    for side in ("here", "there"):
        (tmp_path / side).mkdir()
        (tmp_path / side / "a").write_text("the same")
    catalog = (
        "lake: ./lake\nbuckets: {here: {path: here}, there: {path: there}}\npairs: {here: {replica: there}}"
    )
    (tmp_path / "fixity.yaml").write_text(catalog)
    return build_definitions(load_catalog(tmp_path / "fixity.yaml"))


def _run(definitions: dg.Definitions, instance: dg.DagsterInstance, job: str, partition: str) -> str:
    """Run a job; why it failed, or nothing. A step that is not retried fails once."""
    result = definitions.resolve_job_def(job).execute_in_process(
        instance=instance, partition_key=partition, raise_on_error=False
    )
    failures = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert not [event for event in result.all_events if event.event_type_value == "STEP_UP_FOR_RETRY"]
    assert result.success == (not failures)
    return "; ".join(str(data.user_failure_data and data.user_failure_data.description) for data in failures)


def _cut_short(whole: bytes) -> bytes:
    return whole[:-10]


def _spoiled_within(whole: bytes) -> bytes:
    """Its first column's page cannot be unpacked; its end, which says what is in it, is as it was."""
    return whole[:4] + b"\xff" * 40 + whole[44:]


@pytest.mark.parametrize("damaged", [_cut_short, _spoiled_within])
def test_a_damaged_file_of_a_ledger_is_named_and_the_report_goes_on_without_it_and_is_red(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    tmp_path: Path,
    damaged: Callable[[bytes], bytes],
) -> None:
    for bucket in ("here", "there"):
        for _ in range(2):
            assert _run(definitions, instance, CHECKSUMS_JOB, bucket) == ""
    catalog = load_catalog(tmp_path / "fixity.yaml")
    ready(open_lake(catalog), "there", settings_of(catalog.buckets["there"]), "folded")
    newest = json.loads((tmp_path / "lake/checksums/there/NEWEST.json").read_text())["run_id"]
    table = tmp_path / f"lake/checksums/there/{newest}.parquet"
    whole = table.read_bytes()
    table.write_bytes(damaged(whole))
    job = definitions.resolve_job_def(REPORT_JOB)
    folded = job.execute_in_process(instance=instance, partition_key="here")
    assert all(check.passed for check in folded.get_asset_check_evaluations())  # what it said is known still
    shutil.rmtree(tmp_path / "lake/standing")
    report = job.execute_in_process(instance=instance, partition_key="here")
    (event,) = report.get_asset_materialization_events()
    metadata = event.step_materialization_data.materialization.metadata
    assert metadata["mismatches"].value == 0 and metadata["matches"].value
    assert str(metadata["left_out"].value).startswith(f"{table} cannot be used")
    (failed,) = [check for check in report.get_asset_check_evaluations() if not check.passed]
    assert (failed.check_name, failed.severity) == ("ledger_readable", dg.AssetCheckSeverity.ERROR)
    assert str(table) in (failed.description or "")
    (stats,) = (tmp_path / "lake/metadata/0000-00-00-LATEST").rglob("here_*.json")
    said = json.loads(stats.read_text())
    assert said["source_left_out"] == [] and str(table) in said["replica_left_out"][0]
    table.write_bytes(whole)
    again = job.execute_in_process(instance=instance, partition_key="here")
    assert all(check.passed for check in again.get_asset_check_evaluations())
    assert json.loads(stats.read_text())["replica_left_out"] == []


@pytest.mark.parametrize("damaged", [_cut_short, _spoiled_within])
def test_a_damaged_file_of_a_ledger_ends_no_check_of_the_bucket(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    tmp_path: Path,
    damaged: Callable[[bytes], bytes],
) -> None:
    for _ in range(2):
        assert _run(definitions, instance, CHECKSUMS_JOB, "here") == ""
    newest = json.loads((tmp_path / "lake/checksums/here/NEWEST.json").read_text())["run_id"]
    table = tmp_path / f"lake/checksums/here/{newest}.parquet"
    table.write_bytes(damaged(table.read_bytes()))
    for _ in range(2):
        assert _run(definitions, instance, CHECKSUMS_JOB, "here") == ""
    newest = json.loads((tmp_path / "lake/checksums/here/NEWEST.json").read_text())["run_id"]
    (row,) = pq.read_table(tmp_path / f"lake/checksums/here/{newest}.parquet").to_pylist()
    assert row["verdict"] == "matched"


def test_a_lake_that_is_away_for_a_moment_is_waited_for_by_the_report(
    definitions: dg.Definitions, instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bucket in ("here", "there"):
        assert _run(definitions, instance, CHECKSUMS_JOB, bucket) == ""
    monkeypatch.setattr(fixity_report, "RETRIES", dg.RetryPolicy(max_retries=1, delay=0))
    attempts: list[str] = []

    def away_at_first(
        lake: Lake, pair: Pair, settings: Settings, run_id: str, examine: Examine, first: First
    ) -> PairReport:
        attempts.append(pair.name)
        if len(attempts) == 1:
            raise LakeError("the lake is away")
        return make_report(lake, pair, settings, run_id, examine, first=first)

    monkeypatch.setattr(pair_report, "make_report", away_at_first)
    again = build_definitions(load_catalog(tmp_path / "fixity.yaml"))
    result = again.resolve_job_def(REPORT_JOB).execute_in_process(instance=instance, partition_key="here")
    assert result.success and attempts == ["here", "here"]
    assert report_metadata(result)["matches"] == 1


def test_a_file_of_a_ledger_that_is_gone_is_told_by_the_next_run_and_report_until_it_is_accepted_as_lost(
    definitions: dg.Definitions, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    def is_red(job: str, asset: str) -> bool:
        result = definitions.resolve_job_def(job).execute_in_process(instance=instance, partition_key="here")
        (check,) = (
            each
            for each in result.get_asset_check_evaluations()
            if each.check_name == "ledger_readable" and each.asset_key == dg.AssetKey(asset)
        )
        return not check.passed

    for bucket in ("here", "there"):
        assert _run(definitions, instance, INVENTORY_JOB, bucket) == ""
        assert _run(definitions, instance, CHECKSUMS_JOB, bucket) == ""
    (kept,) = (tmp_path / "lake/checksums/here").glob("*.parquet")
    kept.unlink()
    (tmp_path / "here/a").write_text("changed")  # nothing is left that could say so
    assert is_red(CHECKSUMS_JOB, "checksums") and is_red(REPORT_JOB, "fixity_report")
    catalog = ["--catalog", str(tmp_path / "fixity.yaml")]
    done = CliRunner().invoke(app, ["lake", "accept", "--lost", *catalog])
    assert (done.exit_code, done.stdout.count("accepted as lost")) == (0, 2) and kept.name in done.stdout
    assert not is_red(CHECKSUMS_JOB, "checksums") and not is_red(REPORT_JOB, "fixity_report")


def test_after_a_table_by_a_clock_that_is_ahead_nothing_is_listed_read_or_reported_until_it_is_said(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for bucket in ("here", "there"):
        assert _run(definitions, instance, INVENTORY_JOB, bucket) == ""
        assert _run(definitions, instance, CHECKSUMS_JOB, bucket) == ""
    lake = LocalLake(tmp_path / "lake")
    listed = Provenance.read(next((tmp_path / "lake/checksums/here").glob("*.parquet")))
    point_to_latest(lake, "checksums/here/", listed, newest=utc_now() + timedelta(hours=23))
    for job in (INVENTORY_JOB, CHECKSUMS_JOB, REPORT_JOB):
        text = _run(definitions, instance, job, "here")
        assert "one of the clocks is wrong" in text and "fixity lake redate here" in text
    command = ["lake", "redate", "here", "--catalog", str(tmp_path / "fixity.yaml")]
    assert CliRunner().invoke(app, command).exit_code == 0
    for job in (INVENTORY_JOB, CHECKSUMS_JOB, REPORT_JOB):
        assert _run(definitions, instance, job, "here") == ""


def test_objects_that_vanish_from_both_sides_at_once_are_a_warning_of_each_bucket_until_they_are_back(
    definitions: dg.Definitions, instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(bucket: str) -> list[int]:
        result = definitions.resolve_job_def(CHECKSUMS_JOB).execute_in_process(
            instance=instance, partition_key=bucket
        )
        return [
            check.metadata["lost"].value  # type: ignore[misc]
            for check in result.get_asset_check_evaluations()
            if check.check_name == "nothing_lost" and check.passed == (check.metadata["lost"].value == 0)
        ]

    sides = ("here", "there")
    for side in sides:
        (tmp_path / side / "b").write_text("once kept")
    assert [lost(side) for side in sides] == [[0], [0]]
    for side in sides:
        (tmp_path / side / "b").rename(tmp_path / f"{side}-b")
    assert [lost(side) for side in sides] == [[1], [1]]
    assert [lost(side) for side in sides] == [[1], [1]]  # and it stays so
    shutil.rmtree(tmp_path / "lake/standing")  # which is derived; a minute later
    later = lost_objects._SQL.replace("INTERVAL 1 MINUTE", "INTERVAL 0 MINUTE")
    monkeypatch.setattr(lost_objects, "_SQL", later)
    assert [lost(side) for side in sides] == [[1], [1]]
    catalog = load_catalog(tmp_path / "fixity.yaml")
    states = {row.name: row.state for row in status_of(open_lake(catalog), catalog, utc_now()).rows}
    assert {states[side] for side in sides} - {"verified"} == {"warning"}
    for side in sides:
        (tmp_path / f"{side}-b").rename(tmp_path / side / "b")
    assert [lost(side) for side in sides] == [[0], [0]]


def test_a_lake_that_is_away_after_the_table_was_kept_is_waited_for(
    definitions: dg.Definitions, instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _run(definitions, instance, INVENTORY_JOB, "here") == ""
    assert keep_table.retry_policy == plan_shards.retry_policy == RETRIES
    monkeypatch.setattr(keep_table, "_retry_policy", dg.RetryPolicy(max_retries=1, delay=0))
    attempts: list[str] = []

    def away_at_first(lake: Lake, folder: str, provenance: Provenance, newest: datetime) -> None:
        attempts.append(folder)
        if len(attempts) == 1:
            raise LakeError("the lake is away")
        point_to_latest(lake, folder, provenance, newest=newest)

    monkeypatch.setattr("fixity.ledger.write.point_to_latest", away_at_first)
    again = build_definitions(load_catalog(tmp_path / "fixity.yaml"))
    job = again.resolve_job_def(CHECKSUMS_JOB)
    assert job.execute_in_process(instance=instance, partition_key="here").success
    assert attempts == ["checksums/here/"] * 2


def test_old_scratch_is_swept_by_the_next_run_unless_its_own_run_goes_on(
    definitions: dg.Definitions, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    goes_on = dg.DagsterRun(job_name="check_bucket", status=dg.DagsterRunStatus.STARTED)
    instance.add_run(goes_on)
    for run in (goes_on.run_id, "left"):
        plan = tmp_path / "lake/scratch" / run / "plan.json"
        plan.parent.mkdir(parents=True)
        plan.write_text("{}")
        os.utime(plan, (0, 0))
    assert _run(definitions, instance, CHECKSUMS_JOB, "here") == ""
    assert [folder.name for folder in (tmp_path / "lake/scratch").iterdir()] == [goes_on.run_id]


def test_a_ledger_that_lost_its_records_is_red_until_a_person_accepts_it_and_the_check_says_so(
    definitions: dg.Definitions, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    def check() -> dg.AssetCheckEvaluation:
        result = definitions.resolve_job_def(CHECKSUMS_JOB).execute_in_process(
            instance=instance, partition_key="here"
        )
        (found,) = [
            each for each in result.get_asset_check_evaluations() if each.check_name == "ledger_readable"
        ]
        return found

    assert check().passed
    shutil.rmtree(tmp_path / "lake/log")
    red = check()
    assert not red.passed and "fixity lake accept" in (red.description or "")
    command = ["lake", "accept", "--catalog", str(tmp_path / "fixity.yaml")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0 and "2 accepted. Nothing proves" in done.stdout
    green = check()
    assert green.passed
    (accepted,) = [value.value for name, value in green.metadata.items() if name.startswith("accepted on ")]
    assert accepted == 1


def test_scratch_that_cannot_be_swept_ends_no_run(
    definitions: dg.Definitions, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*arguments: object) -> list[str]:
        raise LakeError("scratch/work-of-another-user cannot be listed: Permission denied")

    monkeypatch.setattr("fixity_assets.checksums_read.sweep", denied)
    assert _run(definitions, instance, CHECKSUMS_JOB, "here") == ""


def test_a_truncated_inventory_is_named_by_what_would_hash_it(
    definitions: dg.Definitions, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    assert _run(definitions, instance, INVENTORY_JOB, "here") == ""
    (table,) = (tmp_path / "lake/inventory/here").glob("*.parquet")
    table.write_bytes(table.read_bytes()[:50])
    result = dg.materialize(
        [asset for asset in definitions.assets or [] if isinstance(asset, dg.AssetsDefinition)],
        selection="checksums",
        partition_key="here",
        resources=dict(definitions.resources or {}),
        instance=instance,
        raise_on_error=False,
    )
    (failure,) = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert failure.user_failure_data
    assert f"{table} is not a whole table" in (failure.user_failure_data.description or "")


def test_what_the_readers_of_tables_say_is_told_without_a_stack_trace_and_other_faults_are_not() -> None:
    import duckdb
    import pyarrow as pa

    for error, name in (
        (duckdb.IOException("a broken file"), "duckdb"),
        (pa.ArrowInvalid("broken"), "pyarrow"),
    ):
        with pytest.raises(dg.Failure, match="broken") as told, failures_in_plain_words():
            raise error
        assert (told.value.description or "").startswith(f"{name}, which reads the lake's tables: ")
    with pytest.raises(ZeroDivisionError), failures_in_plain_words():
        raise ZeroDivisionError
