"""The state of runs, for code that waits for a run or retries one. What runs do does not belong here."""

from collections.abc import Sequence

import dagster as dg

from fixity.errors import RunOver, bug_text
from jobs.names import WRONG_USAGE

UNSUCCESSFUL = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
"""The statuses of runs that ended without success."""

UNFINISHED = [
    status for status in dg.DagsterRunStatus if status not in (dg.DagsterRunStatus.SUCCESS, *UNSUCCESSFUL)
]
"""The statuses of runs that have not ended."""

_OVER = [dg.DagsterRunStatus.SUCCESS, *UNSUCCESSFUL, dg.DagsterRunStatus.CANCELING]

_REST, _LONGEST_REST = 15 * 60, 12 * 60 * 60  # seconds


def is_over(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether a run has ended or is being cancelled. A run that the instance does not know may go on."""
    # Asked all the time: its status alone takes a third of what the whole run does.
    return bool(instance.get_run_ids(dg.RunsFilter(run_ids=[run_id], statuses=_OVER), limit=1))


def refuse_over(context: dg.OpExecutionContext | dg.AssetExecutionContext) -> None:
    """Raise RunOver if the run has ended or is being cancelled. Ask before anything is begun or kept."""
    if is_over(context.instance, context.run.run_id):
        raise RunOver(f"the run {context.run.run_id} has ended: this step reads and keeps no more of it")


def is_running(instance: dg.DagsterInstance, job: str, partition: str) -> bool:
    """Whether a run of a job over a partition has not ended."""
    tags = {"dagster/partition": partition}
    unfinished = dg.RunsFilter(job_name=job, statuses=UNFINISHED, tags=tags)
    return bool(instance.get_run_records(unfinished, limit=1))


def newest_materialization(
    instance: dg.DagsterInstance, asset: dg.AssetKey, partition: str
) -> dg.EventLogRecord | None:
    """The newest materialization of a partition of an asset; None where there is none."""
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=asset, asset_partitions=[partition]), limit=1
    ).records
    return records[0] if records else None


def due_again(failed: Sequence[dg.RunRecord]) -> float:
    """When to retry what these runs failed to do.

    Arguments: `failed`, runs that failed one after the other, the newest first.
    Returns: a time, in seconds since 1970: 15 minutes after the first failure, then with delays that double,
    up to 12 hours.
    """
    ended = failed[0].end_time or failed[0].create_timestamp.timestamp()
    return ended + min(_REST << min(len(failed) - 1, 10), _LONGEST_REST)


def is_wrong_usage(event: dg.DagsterEvent) -> bool:
    """Whether a step failed because the catalog or a request cannot be used. Arguments: as `failure_text`."""
    data = event.step_failure_data.user_failure_data
    return data is not None and WRONG_USAGE in data.metadata


def failure_text(event: dg.DagsterEvent) -> str:
    """Why a step failed, for people. Arguments: `event`, its failure."""
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return data.user_failure_data.description
    if data.error is None:
        return f"the step {event.step_key} failed"
    cause = data.error.cause or data.error
    return bug_text(cause.message.strip(), cause.to_string())
