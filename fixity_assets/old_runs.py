"""Runs that ended long ago, and their events, are deleted from Dagster's database, which would grow for ever.

Nothing rests on them: all evidence is in the lake, and stays. Runs stay that have the newest materialization
of a partition, since sensors look at it; and where the lake has a log, all runs since the last seal, because
the sealer asks Dagster's event log who kept a file.
"""

import itertools
from collections.abc import Iterator
from datetime import datetime

import dagster as dg

from fixity.catalog import Catalog
from fixity.clock import utc_now
from fixity.lake import Lake
from fixity.status import status_of
from fixity_assets.describe import failures_in_plain_words
from jobs.names import DELETE_RUNS_JOB
from jobs.runs import UNFINISHED
from resources import CatalogResource, LakeResource

_ENDED = [status for status in dg.DagsterRunStatus if status not in UNFINISHED]
_PAGE = 1000  # runs
_MOST = 20_000  # runs a day, so that the first time does not take hours


@dg.op
def delete_runs(context: dg.OpExecutionContext, catalog: CatalogResource, lake: LakeResource) -> None:
    """Delete the runs that ended longer ago than the catalog's `keep_runs`."""
    with failures_in_plain_words():
        before = _deleted_before(catalog.catalog, lake.open(), utc_now())
    if before is None:
        context.log.warning("no run is deleted: not all that was kept in the lake is sealed in its log")
        return
    newest = set(_with_newest(context.instance))
    old = (run_id for run_id in _ended_before(context.instance, before) if run_id not in newest)
    deleted = 0
    for run_id in list(itertools.islice(old, _MOST)):
        context.instance.delete_run(run_id)
        deleted += 1
    context.log.info(f"deleted {deleted:,} runs that ended before {before:%Y-%m-%d %H:%M} UTC")


@dg.job(
    name=DELETE_RUNS_JOB,
    description="Deletes runs that ended longer ago than `keep_runs`, with their events, from Dagster. "
    "Nothing in the lake is deleted.",
)
def delete_old_runs() -> None:
    """The job."""
    delete_runs()


def _deleted_before(catalog: Catalog, lake: Lake, now: datetime) -> datetime | None:
    """The time (UTC) before which runs may go; None for no run. Raises LakeError."""
    assert catalog.keep_runs is not None  # else there is no such job
    before = now - catalog.keep_runs
    if catalog.log is None:
        return before
    log = status_of(lake, catalog, now).log
    if log is None or log.sealed_at is None or log.waiting != 0:
        return None
    return min(before, log.sealed_at)


def _ended_before(instance: dg.DagsterInstance, before: datetime) -> Iterator[str]:
    cursor = None
    ended = dg.RunsFilter(statuses=_ENDED, updated_before=before)
    while page := instance.get_run_records(ended, limit=_PAGE, cursor=cursor, ascending=True):
        yield from (record.dagster_run.run_id for record in page)
        cursor = page[-1].dagster_run.run_id


def _with_newest(instance: dg.DagsterInstance) -> Iterator[str]:
    """The runs that have the newest materialization of an asset, or of one of its partitions."""
    for key in instance.get_asset_keys():
        if (event := instance.get_latest_materialization_event(key)) is not None:
            yield event.run_id
        newest = instance.get_latest_storage_id_by_partition(key, dg.DagsterEventType.ASSET_MATERIALIZATION)
        ids = list(newest.values())
        for at in range(0, len(ids), _PAGE):
            wanted = dg.AssetRecordsFilter(asset_key=key, storage_ids=ids[at : at + _PAGE])
            yield from (each.run_id for each in instance.fetch_materializations(wanted, limit=_PAGE).records)
