"""Makes `fixity_status` and the pages anew after every report, check, batch, coverage and incident.

Every 30 seconds it looks whether a result of asset checks or an event of an incident was added to the lake,
by the daemon, the command or a person. If so, it starts one run for all of them. It starts none while one has
not ended, and none if nothing was added.
"""

import hashlib

import dagster as dg

from fixity.alerts import note_tick
from fixity.clock import utc_now
from fixity.lake import Lake
from fixity.lake.paths import INCIDENTS, STATUS
from jobs.names import STATUS_JOB
from jobs.runs import UNFINISHED
from resources import LakeResource


def fixity_status_sensor() -> dg.SensorDefinition:
    """The sensor `status_when_results_change`."""

    @dg.sensor(
        name="status_when_results_change",
        description=__doc__,
        job_name=STATUS_JOB,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def status_when_results_change(
        context: dg.SensorEvaluationContext, lake: LakeResource
    ) -> dg.SensorResult | dg.SkipReason:
        running = dg.RunsFilter(job_name=STATUS_JOB, statuses=UNFINISHED)
        if context.instance.get_run_records(running, limit=1):
            return dg.SkipReason("the last run goes on")
        kept_in = lake.open()
        state = state_of_results(kept_in)
        if state in (context.cursor, None):
            return dg.SkipReason("no new results")
        note_tick(kept_in, utc_now())  # else the run may say that the daemon, which starts it, does not tick
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=state)], cursor=state)

    return status_when_results_change


def state_of_results(lake: Lake) -> str | None:
    """A text that is another one after each change; None where there are no results yet."""
    files = [file for file in lake.list(STATUS) if file.name.count("/") == 2] + lake.list(INCIDENTS)
    told = "\n".join(f"{file.name} {file.size} {file.appeared.timestamp()}" for file in files)
    return hashlib.sha256(told.encode()).hexdigest() if files else None
