"""Runs of the command in Dagster's eyes: where they belong, one a bucket, and which are retried."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from fixity.catalog import Catalog, load_catalog
from fixity.errors import BucketUnreachable
from fixity.ledger.inventory import take_inventory
from fixity_assets import inventory
from fixity_assets.definitions import build_definitions
from fixity_cli.instance import prepare_home, runs_belong_to_the_location
from fixity_cli.output import output
from fixity_cli.run_process import PROCESS_TAG, executing, process_file
from fixity_cli.runs import runner
from fixity_cli.turns import wait_for_turn
from jobs.names import INVENTORY_JOB

REPOSITORY = Path(__file__).parents[2]
BUCKET = "a"


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """A bucket in a local folder, and an instance beside it."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "letter.txt").write_text("My dear friend")
    (tmp_path / "fixity.yaml").write_text("lake: ./lake\nbuckets: {a: {path: a}}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_DISABLE_TELEMETRY", "yes")
    output.begin()  # a verb of a test before may have been told to be quiet
    return load_catalog(tmp_path / "fixity.yaml")


@pytest.fixture
def ours(catalog: Catalog) -> Iterator[dg.DagsterInstance]:
    """An instance with the settings that the first command writes."""
    with dg.DagsterInstance.from_config(str(prepare_home(catalog.file))) as instance:
        runs_belong_to_the_location(instance)
        yield instance


def begin(instance: dg.DagsterInstance, catalog: Catalog, **tags: str) -> dg.DagsterRun:
    """A run on the bucket that is in progress."""
    job = build_definitions(catalog).resolve_job_def(INVENTORY_JOB)
    run = instance.create_run_for_job(job_def=job, tags={"dagster/partition": BUCKET, **tags})
    event = dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, job.name)
    instance.report_dagster_event(event, run.run_id)
    return run


def status(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    """The run's status now."""
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


def test_a_run_of_the_command_belongs_to_the_code_location_that_the_ui_loads(
    catalog: Catalog, ours: dg.DagsterInstance
) -> None:
    with runner(catalog, False) as runs:
        assert runs.run(INVENTORY_JOB, BUCKET).success
    (location,) = yaml.safe_load((REPOSITORY / "workspace.yaml").read_text())["load_from"]
    label = f"__repository__@{location['python_module']['location_name']}"
    (run,) = ours.get_runs(dg.RunsFilter(tags={".dagster/repository": label}))  # as the timeline asks
    assert run.job_name == INVENTORY_JOB and run.remote_job_origin is not None
    assert not list((Path(ours.root_directory) / "processes").iterdir())


def test_the_command_says_that_it_tries_again_and_why(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outages = iter([BucketUnreachable("no answer of the store", final=False)])

    def listed(*arguments: Any) -> object:
        for outage in outages:
            raise outage
        return take_inventory(*arguments)

    monkeypatch.setattr(inventory, "take_inventory", listed)
    monkeypatch.setattr(inventory, "RETRIES", dg.RetryPolicy(max_retries=1, delay=0.2))
    with runner(catalog, False) as runs:
        assert runs.run(INVENTORY_JOB, BUCKET).success
    assert "a: no answer of the store: tried again in 0 s" in capsys.readouterr().err


def test_the_command_waits_for_the_run_that_is_in_progress_and_says_so_once(
    catalog: Catalog, ours: dg.DagsterInstance
) -> None:
    notes: list[str] = []
    with ExitStack() as other:
        run = begin(ours, catalog)
        file = process_file(ours.root_directory, run.run_id)
        ours.add_run_tags(run.run_id, {PROCESS_TAG: str(file)})
        other.enter_context(executing(file))
        waited: list[float] = []

        def sleep(seconds: float) -> None:
            waited.append(seconds)
            if len(waited) == 3:
                ours.report_run_canceled(run)

        wait_for_turn(ours, BUCKET, notes.append, sleep)
    assert len(waited) == 3 and len(notes) == 1
    assert run.run_id in notes[0] and "Ctrl-C ends the wait" in notes[0]


def test_a_run_whose_process_is_gone_holds_nobody_up(catalog: Catalog, ours: dg.DagsterInstance) -> None:
    run = begin(ours, catalog)
    ours.add_run_tags(run.run_id, {PROCESS_TAG: str(process_file(ours.root_directory, run.run_id))})

    def sleep(_: float) -> None:
        raise AssertionError("it waits")

    wait_for_turn(ours, BUCKET, pytest.fail, sleep)
    assert status(ours, run) == dg.DagsterRunStatus.FAILURE


def test_a_run_that_another_machine_or_the_ui_executes_is_not_ended(
    catalog: Catalog, ours: dg.DagsterInstance
) -> None:
    elsewhere = begin(ours, catalog)
    first = str(process_file(ours.root_directory, elsewhere.run_id))
    again = begin(ours, catalog, **{PROCESS_TAG: first})  # a re-execution has the tags of the first run

    def sleep(_: float) -> None:
        assert status(ours, elsewhere) == status(ours, again) == dg.DagsterRunStatus.STARTED
        ours.report_run_canceled(elsewhere)
        ours.report_run_canceled(again)

    wait_for_turn(ours, BUCKET, lambda text: None, sleep)


@pytest.mark.parametrize(
    ("tags", "by_a_step", "retried"),
    [({}, False, "true"), ({}, True, "false"), ({"dagster/max_retries": "0"}, False, "false")],
    ids=["a crash", "a step that failed", "a command that was killed"],
)
def test_the_daemon_retries_what_a_crash_cut_off_and_nothing_else(
    catalog: Catalog, ours: dg.DagsterInstance, tags: dict[str, str], by_a_step: bool, retried: str
) -> None:
    from dagster._core.events import JobFailureData, RunFailureReason

    run = begin(ours, catalog, **tags)
    reason = RunFailureReason.STEP_FAILURE if by_a_step else RunFailureReason.UNKNOWN
    ours.report_run_failed(run, "it ended", JobFailureData(error=None, failure_reason=reason))
    failed = ours.get_run_by_id(run.run_id)
    assert failed is not None and failed.tags["dagster/will_retry"] == retried
