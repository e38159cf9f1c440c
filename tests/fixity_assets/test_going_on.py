"""Runs of shards that are killed: whoever goes on reads only what is missing, whatever had not begun."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from multiprocessing.context import ForkProcess
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest
from dagster._core.definitions.selector import JobSubsetSelector
from dagster._core.execution.api import execute_run
from dagster._core.execution.plan.resume_retry import ReexecutionStrategy
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget

from devstack.faults import Overwrite, Refuse
from devstack.faulty_proxy import FaultyProxy
from jobs.names import CHECKSUMS_JOB, INVENTORY_JOB
from resources import ProgressResource
from tests.fixity.support import sha256
from tests.fixity_assets.elsewhere import four_shards_job, in_shards
from tests.forked import forked
from tests.platform import PAIR, Platform

KEYS = [f"key-{number:02d}" for number in range(20)]
SHARD = 2  # objects
REPOSITORY = Path(__file__).resolve().parents[2]
_DEFINITIONS = """
from fixity.catalog import load_catalog
from fixity_assets.definitions import build_definitions
defs = build_definitions(load_catalog())
"""


def ten_shards_job() -> dg.JobDefinition:
    """The job in shards of two objects."""
    return in_shards(SHARD)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the job sets is put back after each test."""
    monkeypatch.setattr("fixity.engines.stream.pace.SHARD_OBJECTS", SHARD)


Prepare = Callable[["Going", dg.DagsterInstance, str], dg.JobExecutionResult]
"""Runs the job for the first time, or again after the run of an id."""


class Going:
    """A bucket of twenty objects behind the proxy, and an instance on disk that several processes use."""

    def __init__(self, platform: Platform, proxy: FaultyProxy, home: Path) -> None:
        self.platform = platform
        self.proxy = proxy
        self.home = home
        self.shard = SHARD
        self.job = ten_shards_job
        self.home.mkdir()
        for key in KEYS:
            platform.put(key, key.encode())
        platform.endpoint_url = proxy.endpoint_url
        platform.bucket_settings["max_concurrency"] = 1

    def run(self, prepare: Prepare, again: str = "") -> str:
        """Run the job for the source in a process of its own; the run's id. It must succeed.

        Arguments: `prepare` makes the run from the one of the id `again`.
        """
        process = self.start(prepare, again)
        process.join(240)
        assert process.exitcode == 0
        with self.instance() as instance:
            return next(iter(instance.get_runs())).run_id

    def killed_after(self, shards: int) -> str:
        """Run the job until so many shards are done, and kill it (-9) in the middle of the next one."""
        asked = 0

        def kill() -> None:
            nonlocal asked
            asked += 1
            if asked == self.shard * shards + self.shard:
                os.killpg(process.pid or 0, signal.SIGKILL)

        self.proxy.fault(Overwrite(kill, times=None))
        process = self.start(new_run)
        process.join(240)
        assert process.exitcode == -signal.SIGKILL
        with self.instance() as instance:
            (run,) = instance.get_runs()
        assert run.status == dg.DagsterRunStatus.STARTED
        return run.run_id

    def start(self, prepare: Prepare, again: str = "") -> ForkProcess:
        """Run the job in a process of its own, whose status is 1 if it fails."""
        return forked(self._run, prepare, again)  # Dagster keeps a reconstructed job for the whole process

    def _run(self, prepare: Prepare, again: str) -> None:
        os.setsid()
        with self.instance() as instance:
            assert prepare(self, instance, again).success

    def instance(self) -> dg.DagsterInstance:
        """The instance, for one process."""
        return dg.DagsterInstance.local_temp(str(self.home))

    def execute(
        self,
        instance: dg.DagsterInstance,
        again: dg.ReexecutionOptions | None = None,
        **config: object,
    ) -> dg.JobExecutionResult:
        """Run the job in this process. Arguments: `config` of `checksums`."""
        job, tags = dg.reconstructable(self.job), {"dagster/partition": PAIR}
        said = {"ops": {"checksums": {"config": config}}} if config else None
        with dg.execute_job(job, instance, tags=tags, reexecution_options=again, run_config=said) as result:
            return result

    def reads(self) -> list[str]:
        """The objects that were asked for since the bucket was filled, by all runs."""
        return [str(request.key) for request in self.proxy.gets()]

    def table(self, run_id: str) -> list[dict[str, object]]:
        """The run's rows of the ledger."""
        file = self.platform.folder / "lake" / "checksums" / PAIR / f"{run_id}.parquet"
        return list(pq.read_table(file).to_pylist())


@pytest.fixture
def going(platform: Platform, faulty_proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> Going:
    """Ten shards of two objects each."""
    made = Going(platform, faulty_proxy, platform.folder / "instance")
    monkeypatch.setenv("FIXITY_CATALOG", str(platform.file))
    return made


def _failed(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRun:
    """The killed run, after Dagster's monitoring has noticed."""
    (run,) = instance.get_runs(dg.RunsFilter([run_id]))
    instance.report_run_failed(run, "its process is gone")
    (run,) = instance.get_runs(dg.RunsFilter([run_id]))
    return run


def from_failure(going: Going, instance: dg.DagsterInstance, run_id: str) -> dg.JobExecutionResult:
    """As the UI re-executes a run from failure."""
    _failed(instance, run_id)
    return going.execute(instance, dg.ReexecutionOptions.from_failure(run_id, instance))


def all_steps(going: Going, instance: dg.DagsterInstance, run_id: str) -> dg.JobExecutionResult:
    """As the UI re-executes all steps of a run."""
    _failed(instance, run_id)
    return going.execute(instance, dg.ReexecutionOptions(parent_run_id=run_id))


def automatic_retry(going: Going, instance: dg.DagsterInstance, run_id: str) -> dg.JobExecutionResult:
    """As Dagster's daemon retries a failed run (`run_retries`)."""
    definitions = going.platform.folder / "loaded.py"
    definitions.write_text(_DEFINITIONS)
    loaded = LoadableTargetOrigin(python_file=str(definitions), working_directory=str(REPOSITORY))
    origin = InProcessCodeLocationOrigin(loaded, location_name="fixity")
    with WorkspaceProcessContext(instance, InProcessWorkspaceLoadTarget(origin)) as workspace:
        context = workspace.create_request_context()
        (location,) = context.code_locations
        (repository,) = location.get_repositories()
        retry = instance.create_reexecuted_run(
            request_context=context,
            parent_run=_failed(instance, run_id),
            code_location=location,
            remote_job=location.get_job(
                JobSubsetSelector("fixity", repository, CHECKSUMS_JOB, op_selection=None)
            ),
            strategy=ReexecutionStrategy.FROM_FAILURE,
            use_parent_run_tags=True,
        )
        return execute_run(dg.reconstructable(ten_shards_job), retry, instance)


def new_run(going: Going, instance: dg.DagsterInstance, run_id: str) -> dg.JobExecutionResult:
    """As the command does when it is given again: nobody has noticed yet that the first run is dead."""
    return going.execute(instance)


@pytest.mark.parametrize(
    ("again", "shards"),
    [
        *((from_failure, shards) for shards in (0, 3, 9)),
        (new_run, 3),
        (automatic_retry, 9),
        (all_steps, 0),
    ],
)
def test_of_ten_shards_a_killed_run_reads_no_more_than_one_twice(
    going: Going, again: Prepare, shards: int
) -> None:
    killed = going.killed_after(shards)
    assert len(going.reads()) == SHARD * shards + SHARD
    _all_is_there(going, going.run(again, killed))


def test_so_it_does_when_several_processes_hash_the_shards(
    going: Going, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIXITY_EXECUTOR", "multiprocess")
    going.platform.bucket_settings["max_concurrency"] = 2
    assert going.platform.file.exists()
    going.shard, going.job = 5, four_shards_job  # a shard is at least a step
    _all_is_there(going, going.run(from_failure, going.killed_after(2)), at_once=2)


def batch(going: Going, instance: dg.DagsterInstance, run_id: str) -> dg.JobExecutionResult:
    """As the schedule of rolling fixity does."""
    return going.execute(instance, objects="due")


def failed_batch(going: Going, instance: dg.DagsterInstance, run_id: str) -> dg.JobExecutionResult:
    """The same, of which one shard fails: its last step says so, and no other step failed."""
    result = batch(going, instance, run_id)
    failed = [event.step_key for event in result.all_events if event.is_step_failure]
    assert failed == ["checksums.keep_table"]
    return result


def test_a_batch_is_read_by_several_processes_which_keep_its_limit_and_what_they_read_though_a_shard_fails(
    going: Going, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIXITY_EXECUTOR", "multiprocess")
    going.platform.bucket_settings |= {"max_concurrency": 2, "fixity_every": "90d"}
    assert going.platform.file.exists()
    going.job = four_shards_job
    going.proxy.fault(Refuse(403, "ExpiredToken", times=None), key="key-09")
    process = going.start(failed_batch)
    process.join(240)
    assert process.exitcode == 1
    with going.instance() as instance:
        (failed,) = instance.get_runs()
    kept = [row["key"] for row in going.table(failed.run_id)]
    assert kept == [key for key in KEYS if key != "key-09"]
    assert going.proxy.max_concurrent <= 2
    going.proxy.forget()
    monkeypatch.setenv("FIXITY_EXECUTOR", "in_process")
    assert [row["key"] for row in going.table(going.run(batch))] == ["key-09"]
    assert going.reads() == ["key-09"]


def _all_is_there(going: Going, run_id: str, at_once: int = 1) -> None:
    reads = going.reads()
    assert set(reads) == set(KEYS)
    assert len(reads) <= len(KEYS) + at_once * going.shard
    rows = going.table(run_id)
    assert [(row["key"], row["checksum"], row["verdict"]) for row in rows] == [
        (key, sha256(key.encode()), "registered") for key in KEYS
    ]


def test_a_run_that_is_cancelled_keeps_no_more_parts_and_no_table(
    platform: Platform, instance: dg.DagsterInstance, faulty_proxy: FaultyProxy
) -> None:
    for key in KEYS:
        platform.put(key, key.encode())
    platform.endpoint_url = faulty_proxy.endpoint_url
    platform.bucket_settings["max_concurrency"] = 1

    def cancel() -> None:
        (run,) = instance.get_runs()
        instance.report_run_canceled(run)  # as for a worker that does not hear of it

    faulty_proxy.fault(Overwrite(cancel))
    result = platform.run(instance, CHECKSUMS_JOB, PAIR)
    failures = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert "has ended: this step reads and keeps no more of it" in str(failures[0].user_failure_data)
    assert len(faulty_proxy.gets()) <= SHARD
    assert not list((platform.folder / "lake" / "scratch").rglob("parts"))
    assert not (platform.folder / "lake" / "checksums").exists()


def test_a_run_that_is_cancelled_while_it_lists_keeps_no_inventory(
    platform: Platform, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.put("a")

    def listing(_: ProgressResource, context: dg.OpExecutionContext, bucket: str) -> Callable[[int], None]:
        def listed(objects: int) -> None:
            instance.report_run_canceled(context.run)

        return listed

    monkeypatch.setattr(ProgressResource, "listing", listing)
    result = platform.run(instance, INVENTORY_JOB, PAIR)
    (failure,) = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert "has ended: this step reads and keeps no more of it" in str(failure.user_failure_data)
    assert not (platform.folder / "lake" / "inventory").exists()
