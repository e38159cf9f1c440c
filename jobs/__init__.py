"""Named jobs over the assets, for the UI, the command line and sensors.

Schedules that start them belong here too; what a job computes belongs to the assets.
"""

from __future__ import annotations

import dagster as dg

from fixity.catalog import Catalog
from jobs import names
from jobs.rolling import rolling_schedules

_BEFORE_CHECKS = {"dagster/priority": "1"}
"""What is known is said before more is read: these runs are the first in the queue."""

_ALL = (
    dg.define_asset_job(
        names.STATUS_JOB,
        dg.AssetSelection.assets(names.STATUS_ASSET, names.PAGES_ASSET),
        description="Puts the newest results of all checks together (all verified?) and makes the pages.",
        tags={"dagster/priority": "10"},
    ),
    dg.define_asset_job(
        names.INVENTORY_JOB,
        dg.AssetSelection.assets("inventory"),
        description="Lists what a bucket holds.",
    ),
    dg.define_asset_job(
        names.CHECKSUMS_JOB,
        dg.AssetSelection.assets("inventory", "checksums"),
        description="Lists a bucket, reads every object in it, and compares it with what is expected of it.",
    ),
    dg.define_asset_job(
        names.REPORT_JOB,
        dg.AssetSelection.assets("fixity_report"),
        tags=_BEFORE_CHECKS,
        description="Compares the buckets of a pair by their newest checksums. Reads again what differs.",
    ),
    dg.define_asset_job(
        names.REPAIR_JOB,
        dg.AssetSelection.assets("repairs"),
        description="Shows how the bad copies of a pair would be repaired; with `apply`, repairs them.",
    ),
    dg.define_asset_job(
        names.DRILL_JOB,
        dg.AssetSelection.assets("drills"),
        description="Looks how far the drill of a bucket is; with `begin`, begins one where none goes on.",
    ),
    dg.define_asset_job(
        names.ROLL_JOB,
        dg.AssetSelection.assets("checksums"),
        config=names.roll_config(),
        description="Checks a batch of a bucket's objects: those never checked, then those longest due.",
    ),
    dg.define_asset_job(
        names.PREMIS_JOB,
        dg.AssetSelection.assets("premis_events"),
        description="Writes PREMIS events for those checks of a bucket that have none yet.",
    ),
    dg.define_asset_job(
        names.COVERAGE_JOB,
        dg.AssetSelection.assets("coverage"),
        tags=_BEFORE_CHECKS,
        description="Counts, for each bucket, which objects were checked within its term.",
    ),
    dg.define_asset_job(
        names.INCIDENTS_JOB,
        dg.AssetSelection.assets("incidents"),
        tags=_BEFORE_CHECKS,
        description="Lists a bucket's incidents that are not over.",
    ),
    dg.define_asset_job(
        names.SEAL_JOB,
        dg.AssetSelection.assets(names.LOG_ASSET),
        description="Verifies all evidence that was sealed in the log, and seals what was kept since.",
    ),
    dg.define_asset_job(
        names.REQUEST_JOB,
        dg.AssetSelection.assets("inventory", "checksum_job"),
        description="Lists a bucket and requests a job that computes the checksum of every object.",
    ),
    dg.define_asset_job(
        names.INGEST_JOB,
        dg.AssetSelection.assets("checksums"),
        description="Loads the completion report of a bucket's finished S3 Batch job into `checksums`.",
    ),
    dg.define_asset_job(
        names.INGEST_BUCKET_JOB,
        dg.AssetSelection.assets("inventory", "baselines", "checksums", "ingest_report"),
        description="Lists a bucket, reads every object, and compares it with its recorded checksums.",
    ),
    dg.define_asset_job(
        names.INGEST_SELECTED_JOB,
        dg.AssetSelection.assets("baselines", "checksums", "ingest_report"),
        description="Reads the objects in the run's tag fixity/selection, and compares them with records.",
    ),
    dg.define_asset_job(
        names.RESTORE_JOB,
        dg.AssetSelection.assets("restored"),
        description="Looks at a bucket's archived objects and requests the restore of the next ones.",
    ),
    dg.define_asset_job(
        names.MAP_RESULTS_JOB,
        dg.AssetSelection.assets("map_results"),
        description="Gathers the results of a Distributed Map into one object, and keeps its checks.",
    ),
)


_SEALING = dg.ScheduleDefinition(
    name="seal_log_daily",
    job_name=names.SEAL_JOB,
    cron_schedule="45 2 * * *",
    description="Verifies the log once a day, and seals the evidence that was kept since.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)


_DELETING = dg.ScheduleDefinition(
    name="delete_old_runs_daily",
    job_name=names.DELETE_RUNS_JOB,
    cron_schedule="15 4 * * *",
    description="Deletes runs that ended longer ago than `keep_runs` once a day, after the log was sealed.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)


# The results are bare lists: Dagster's type for a job over assets is not public.
def all_jobs(catalog: Catalog) -> list:
    """The jobs that a catalog needs."""
    unused = set() if catalog.checked_by_jobs else {names.REQUEST_JOB}
    unused |= set() if catalog.checked_by_s3 else {names.INGEST_JOB}
    unused |= set() if catalog.pairs else {names.REPORT_JOB, names.REPAIR_JOB}
    unused |= set() if catalog.restoring else {names.RESTORE_JOB}
    unused |= set() if catalog.map_results else {names.MAP_RESULTS_JOB}
    unused |= set() if catalog.drills else {names.DRILL_JOB}
    unused |= set() if catalog.log else {names.SEAL_JOB}
    return [job for job in _ALL if job.name not in unused]


def all_schedules(catalog: Catalog) -> list[dg.ScheduleDefinition]:
    """The schedules that a catalog needs."""
    sealing, deleting = [_SEALING] if catalog.log else [], [_DELETING] if catalog.keep_runs else []
    return [*rolling_schedules(catalog), *sealing, *deleting]


def jobs_named(catalog: Catalog, *wanted: str) -> list:
    """The jobs of these names that a catalog needs, for a sensor that starts several."""
    return [job for job in all_jobs(catalog) if job.name in wanted]


def assets_of_job(name: str) -> list[str]:
    """The names of the assets that a job materializes."""
    (job,) = (job for job in _ALL if job.name == name)
    keys = job.selection.selected_keys  # type: ignore[attr-defined]  # Dagster's type has no public name
    return [key.to_user_string() for key in keys]
