"""kill -9 of the daemon between any two steps of a tick: no event is lost, and nothing is done twice.

Each attempt is a process of its own that runs one iteration of Dagster's sensor daemon over the instance
on disk, and is killed where Dagster's own tests kill theirs. Dagster has no public way to run one.
"""

from __future__ import annotations

import logging
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.test_utils import freeze_time
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon.sensor import execute_sensor_iteration

from tests.batch_platform import REPLICA, BatchPlatform
from tests.forked import forked
from tests.platform import PAIR

STEPS = ["TICK_CREATED", "TICK_HELD", "RUN_IDS_RESERVED", "RUN_CREATED", "RUN_LAUNCHED"]
_DEFINITIONS = """
from pathlib import Path
import dagster as dg
from fixity.catalog import load_catalog
from fixity_assets.definitions import build_definitions
from resources import CatalogResource, QueuesResource
catalog = CatalogResource(file={file!r})
# What a killed tick had received comes again at once.
queues = QueuesResource(catalog=catalog, wait=0, hidden_for=0)
defs = build_definitions(load_catalog(Path({file!r})), {{"queues": queues}})
# Those that start these runs. The others take half of an iteration's time.
starting = ("batch_completion", "batch_reconciliation", "report_when_both_sides_are_checked")
defs = dg.Definitions(
    assets=defs.assets,
    jobs=defs.jobs,
    sensors=[each for each in defs.sensors if each.name in starting],
    resources=defs.resources,
    executor=defs.executor,
)
"""


def _iterate(home: str, definitions: str, now: datetime, sensor: str, kill_at: str | None) -> None:
    origin = InProcessCodeLocationOrigin(
        LoadableTargetOrigin(python_file=definitions), location_name="fixity"
    )
    flags = {sensor: {kill_at: signal.SIGKILL}} if kill_at else None
    with (
        dg.DagsterInstance.from_config(home) as instance,
        WorkspaceProcessContext(instance, InProcessWorkspaceLoadTarget(origin)) as workspace,
        freeze_time(now),
    ):
        list(execute_sensor_iteration(workspace, logging.getLogger("daemon"), None, None, None, flags))


class Daemon:
    """Iterations of the sensor daemon, each a minute after the one before."""

    def __init__(self, batch: BatchPlatform) -> None:
        self.home = batch.folder / "home"
        self.home.mkdir()
        (self.home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        self.definitions = batch.folder / "loaded.py"
        self.definitions.write_text(_DEFINITIONS.format(file=str(batch.file)))
        self.now = datetime.now(UTC)

    def iterate(self, sensor: str = "", kill_at: str | None = None) -> int:
        """One iteration in a process of its own; how it ended."""
        self.now += timedelta(minutes=1)
        process = forked(_iterate, str(self.home), str(self.definitions), self.now, sensor, kill_at)
        process.join(240)
        assert process.exitcode is not None
        return process.exitcode


def test_a_daemon_killed_at_every_step_of_both_ticks_makes_each_table_and_the_report_once(
    batch: BatchPlatform,
) -> None:
    batch.put("a")
    daemon = Daemon(batch)
    with dg.DagsterInstance.from_config(str(daemon.home)) as instance:
        for bucket in (PAIR, REPLICA):
            assert batch.request(instance, bucket)
        batch.control.jobs.wait()
        assert _kills(daemon, "batch_completion") == STEPS
        for _ in range(2):
            assert daemon.iterate() == 0
        ingests = [run for run in instance.get_runs() if run.job_name == "ingest_checksums"]
        assert sorted(run.tags["dagster/partition"] for run in ingests) == [PAIR, REPLICA]
        assert batch.queue.kept == 0
        for run in ingests:
            batch.run(instance, run.job_name, run.tags["dagster/partition"], tags=dict(run.tags))
        assert _kills(daemon, "report_when_both_sides_are_checked") == STEPS
        for _ in range(2):
            assert daemon.iterate() == 0
        reports = [run for run in instance.get_runs() if run.job_name == "report_pair"]
        assert len(reports) == 1


def _kills(daemon: Daemon, sensor: str) -> list[str]:
    """Kill at every step, one attempt after the other; the steps at which one was killed."""
    return [step for step in STEPS if daemon.iterate(sensor, kill_at=step) == -signal.SIGKILL]


def test_the_steps_are_those_of_this_dagster() -> None:
    import dagster._daemon.sensor as daemon

    source = Path(daemon.__file__).read_text(encoding="utf-8")
    assert all(f'"{step}"' in source for step in STEPS)
