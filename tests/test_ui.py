"""A running Dagster: driven through GraphQL as the UI drives it, and looked at in a browser."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from devstack.browser import CHROMIUM, chromium
from devstack.dagster_dev import DagsterDev, dagster_dev
from devstack.seaweedfs import SeaweedFS
from fixity.doctor import OK
from fixity_cli.deployment import look_at_webserver
from fixity_cli.run_process import PROCESS_TAG
from tests.command import run_command
from tests.platform import PAIR, Platform

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_BACKFILL = """
mutation ($backfill: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $backfill) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}"""
_MATERIALIZATIONS = """
query ($asset: AssetKeyInput!, $partitions: [String!]) {
  assetOrError(assetKey: $asset) {
    ... on Asset {
      assetMaterializations(partitions: $partitions, limit: 5) {
        runId partition
        metadataEntries { __typename label ... on IntMetadataEntry { intValue } }
      }
    }
  }
}"""
_CHECKS = """
query ($asset: AssetKeyInput!) {
  assetChecksOrError: assetNodeOrError(assetKey: $asset) {
    ... on AssetNode {
      assetChecksOrError {
        ... on AssetChecks {
          checks { name executionForLatestMaterialization { status evaluation { severity success } } }
        }
      }
    }
  }
}"""


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory, s3: S3Client, seaweedfs: SeaweedFS) -> Iterator[DagsterDev]:
    """Dagster over a pair with one changed object, verified by a backfill and the sensor."""
    folder = tmp_path_factory.mktemp("dev")
    for bucket in ("ui-source", "ui-replica"):
        s3.create_bucket(Bucket=bucket)
    platform = Platform(folder, s3, seaweedfs.endpoint_url, "ui-source", "ui-replica")
    for number in range(5):
        platform.put(f"file-{number}.txt")
    platform.put("changed.txt", b"as deposited", replica=b"not any more")
    (folder / "jobs.py").write_text("raise SystemExit('not ours')")  # must not stand in for our package
    catalog = yaml.safe_load(platform.file.read_text())
    for name in ("clean", "clean-repl"):
        (folder / name).mkdir()
        (folder / name / "letter").write_text("the same")
        catalog["buckets"][name] = {"path": name}
    catalog["pairs"]["clean"] = {"replica": "clean-repl"}
    (folder / "fixity.yaml").write_text(yaml.safe_dump(catalog))
    with dagster_dev(folder, folder / "fixity.yaml") as running:
        yield running
    for bucket in ("ui-source", "ui-replica"):
        s3.delete_bucket(Bucket=bucket)


def _reports(dev: DagsterDev) -> list[dict[str, Any]]:
    asked = dev.ask(_MATERIALIZATIONS, asset={"path": ["fixity_report"]}, partitions=[PAIR])
    reports: list[dict[str, Any]] = asked["assetOrError"].get("assetMaterializations", [])
    return reports


@pytest.fixture(scope="module")
def report(dev: DagsterDev) -> dict[str, Any]:
    """The report that follows a backfill of both buckets by itself."""
    backfill = {
        "assetSelection": [{"path": ["inventory"]}, {"path": ["checksums"]}],
        "partitionNames": [PAIR, f"{PAIR}-repl"],
    }
    launched = dev.ask(_BACKFILL, backfill=backfill)["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    return dev.wait_for(lambda: next(iter(_reports(dev)), None), "report")


def test_materializing_both_buckets_makes_the_report_follow_by_itself(report: dict[str, Any]) -> None:
    counts = {entry["label"]: entry.get("intValue") for entry in report["metadataEntries"]}
    assert (counts["total_objects"], counts["matches"], counts["mismatches"]) == (6, 5, 1)


def test_the_doctor_finds_the_servers_all_right(dev: DagsterDev) -> None:
    found = [(each.about, each.state) for each in look_at_webserver(dev.url)]
    assert found == [("webserver", OK), ("code server fixity", OK)]


def test_runs_are_copies_of_a_process_that_has_loaded_all(dev: DagsterDev, report: dict[str, Any]) -> None:
    asked = dev.ask("{ runsOrError { ... on Runs { results { status tags { key value } } } } }")
    started = [run for run in asked["runsOrError"]["results"] if run["status"] in ("STARTED", "SUCCESS")]
    tags = [{tag["key"]: tag["value"] for tag in run["tags"]} for run in started]
    of_daemon = [each for each in tags if not each.get("dagster/partition", "").startswith("clean")]
    assert len(of_daemon) >= 3  # the clean pair is run by the command
    assert all(PROCESS_TAG in each for each in of_daemon)


def test_the_asset_checks_are_green_or_red_per_pair(dev: DagsterDev, report: dict[str, Any]) -> None:
    def all_evaluated(asset: str = "fixity_report") -> dict[str, bool] | None:
        asked = dev.ask(_CHECKS, asset={"path": [asset]})
        checks = asked["assetChecksOrError"]["assetChecksOrError"]["checks"]
        last = {check["name"]: check["executionForLatestMaterialization"] for check in checks}
        if not all(last.values()) or not all(one["evaluation"] for one in last.values()):
            return None
        return {name: one["evaluation"]["success"] for name, one in last.items()}

    passed = dev.wait_for(all_evaluated, "evaluation of every check")
    assert {name for name, success in passed.items() if not success} == {"no_mismatches"}
    _run_a_clean_pair(dev)
    dev.wait_for(
        lambda: all((all_evaluated() or {"": False}).values()) or None, "the report's front page is green"
    )
    _look_at_the_status(dev)
    status = dev.wait_for(lambda: all_evaluated("fixity_status"), "evaluation of the status")
    red = {name for name, success in status.items() if not success}
    assert red == {"all_buckets_verified", "all_pairs_verified"}


def _run_a_clean_pair(dev: DagsterDev) -> None:
    """Not in a test of its own, since it changes what ran last."""
    verified = _command(dev, "verify", "clean")
    assert verified.returncode == 0, verified.stderr


def _command(dev: DagsterDev, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `fixity WORDS` over the same catalog and instance."""
    folder = dev.log.parent
    return run_command(words, folder, {**os.environ, "DAGSTER_HOME": str(folder / "home")})


def _look_at_the_status(dev: DagsterDev) -> None:
    """The chart and the rows are there without a click, and the worst is red."""

    def made() -> list[dict[str, Any]]:
        asked = dev.ask(_MATERIALIZATIONS, asset={"path": ["fixity_status"]}, partitions=None)
        runs: list[dict[str, Any]] = asked["assetOrError"].get("assetMaterializations", [])
        counts = {
            entry["label"]: entry.get("intValue") for run in runs[:1] for entry in run["metadataEntries"]
        }
        return runs if counts.get("verified (green)") == 3 else []

    assert len(dev.wait_for(made, "status with the clean pair")) <= 4  # of dozens of results
    if CHROMIUM is None:
        return
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1500, "height": 1800})
        page.goto(f"{dev.url}/assets/fixity_status")
        page.get_by_text("pair deposit").first.wait_for(timeout=60_000)
        chart = page.locator("img[alt='status']").first
        chart.wait_for(timeout=60_000)
        assert chart.evaluate("image => image.complete && image.naturalWidth") == 400
        shown = page.inner_text("body")
    for text in ("no_mismatches of fixity_report", "pair clean", "To do:", "Is everything verified?"):
        assert text in shown, shown


def test_the_report_is_made_once_for_one_pair_of_tables(dev: DagsterDev, report: dict[str, Any]) -> None:
    ticks = """
    query ($sensor: SensorSelector!) {
      sensorOrError(sensorSelector: $sensor) {
        ... on Sensor { sensorState { ticks(limit: 20) { status timestamp skipReason } } }
      }
    }"""
    sensor = {
        "repositoryName": "__repository__",
        "repositoryLocationName": "fixity",
        "sensorName": "report_when_both_sides_are_checked",
    }

    def later_tick() -> bool:
        state = dev.ask(ticks, sensor=sensor)["sensorOrError"]["sensorState"]
        done = [tick["status"] for tick in state["ticks"] if tick["status"] != "STARTED"]
        return bool(done) and done[0] == "SKIPPED" and "SUCCESS" in done

    dev.wait_for(later_tick, "tick after the one that asked for the report")
    assert len(_reports(dev)) == 1


def test_a_run_of_the_command_is_in_the_history_of_its_job_and_can_be_re_executed(
    dev: DagsterDev, report: dict[str, Any]
) -> None:
    assert _command(dev, "inventory", PAIR).returncode == 0
    history = """
    {
      pipelineOrError(params: {
        pipelineName: "take_inventory", repositoryName: "__repository__", repositoryLocationName: "fixity"
      }) { ... on Pipeline { runs(limit: 5) { runId status } } }
    }"""
    (run,) = dev.ask(history)["pipelineOrError"]["runs"]
    again = """
    mutation ($run: String!) {
      launchRunReexecution(reexecutionParams: {parentRunId: $run, strategy: ALL_STEPS}) { __typename }
    }"""
    launched = dev.ask(again, run=run["runId"])["launchRunReexecution"]
    assert launched["__typename"] == "LaunchRunSuccess"

    def both() -> bool:
        runs = dev.ask(history)["pipelineOrError"]["runs"]
        return [each["status"] for each in runs] == ["SUCCESS", "SUCCESS"]

    dev.wait_for(both, "success of the re-execution")


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed (apt-get install chromium)")
def test_the_report_s_page_shows_counts_chart_problems_and_the_csv(
    dev: DagsterDev, report: dict[str, Any], tmp_path: Path
) -> None:
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1500, "height": 1300})
        page.goto(f"{dev.url}/assets/fixity_report?view=partitions&partition={PAIR}")
        page.get_by_text("missing_replica").first.wait_for(timeout=60_000)
        shown = page.content()
        page.get_by_text("[Show Markdown]").first.click()
        chart = page.locator(f"img[alt='{PAIR}']").first
        chart.wait_for(timeout=60_000)
        drawn = chart.evaluate("image => image.complete && image.naturalWidth")
        page.screenshot(path=str(tmp_path / "report.png"))
    assert drawn == 640
    for expected in ("mismatches", "total_objects", "_checksum-report.csv", "not_ok"):
        assert expected in shown
