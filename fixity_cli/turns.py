"""One run at a time on a bucket or pair: the command waits while another run on it is in progress.

Runs of the daemon wait in Dagster's queue, which counts the runs of the command too. How a run is executed
does not belong here.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import dagster as dg

from fixity_cli.interrupts import interrupts
from fixity_cli.run_process import is_executed, process_of

_IN_PROGRESS = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_LOOK_EVERY = 1.0  # seconds


def wait_for_turn(
    instance: dg.DagsterInstance,
    partition: str,
    note: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until no other run on a bucket or pair is in progress. A run whose process is gone is ended.

    Arguments: `note` is told once of each run that is waited for.
    """
    noted: set[str] = set()
    while going_on := [run for run in _in_progress(instance, partition) if not _ended(instance, run)]:
        for run in going_on:
            if run.run_id not in noted:
                note(
                    f"{partition}: the run {run.run_id} ({run.job_name}) is in progress, and this one starts "
                    "when it has ended. Ctrl-C ends the wait; the UI (fixity dev) can terminate the other run"
                )
                noted.add(run.run_id)
        sleep(_LOOK_EVERY)
        interrupts.leave_if_received()


def _in_progress(instance: dg.DagsterInstance, partition: str) -> list[dg.DagsterRun]:
    runs = instance.get_runs(dg.RunsFilter(statuses=_IN_PROGRESS, tags={"dagster/partition": partition}))
    # Runs of the command had no origin before they had a process: those that were killed say so for ever.
    return [run for run in runs if run.remote_job_origin is not None]


def _ended(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a run is over because its process is gone. Nothing is known of processes elsewhere."""
    file = process_of(run.run_id, run.tags)
    if file is None or is_executed(file):
        return False
    instance.report_run_failed(run, "The run's process ended before the run did.")
    return True
