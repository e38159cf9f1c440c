"""Named jobs over the assets, for the UI, the command line and sensors.

Schedules that start them belong here too; what a job computes belongs to the assets.
"""

from __future__ import annotations

import dagster as dg

from fixity.catalog import Catalog
from jobs import names

_ALL = (
    dg.define_asset_job(
        names.INVENTORY_JOB,
        ["inventory"],
        description="List what a bucket holds.",
    ),
    dg.define_asset_job(
        names.CHECKSUMS_JOB,
        ["inventory", "checksums"],
        description="List a bucket and compute the checksum of every object in it.",
    ),
    dg.define_asset_job(
        names.REPORT_JOB,
        ["fixity_report"],
        description="Compare a pair's two buckets by their newest checksums.",
    ),
    dg.define_asset_job(
        names.ROLL_JOB,
        ["checksums"],
        config=names.roll_config(),
        description="Check the objects of a bucket that are longest due.",
    ),
    dg.define_asset_job(
        names.PREMIS_JOB,
        ["premis_events"],
        description="Write the PREMIS events of a bucket's checks that have none yet.",
    ),
    dg.define_asset_job(
        names.COVERAGE_JOB,
        ["coverage"],
        description="Show what was checked within its term in each bucket that has one, and what was not.",
    ),
    dg.define_asset_job(
        names.REQUEST_JOB,
        ["inventory", "checksum_job"],
        description="List a bucket and have S3 compute the checksum of every object in it.",
    ),
    dg.define_asset_job(
        names.INGEST_JOB,
        ["checksums"],
        description="Make a bucket's table of checksums from the report of S3's finished job.",
    ),
    dg.define_asset_job(
        names.INGEST_BUCKET_JOB,
        ["inventory", "baselines", "checksums", "ingest_report"],
        description="List a bucket, read every object, and compare it with its recorded checksums.",
    ),
    dg.define_asset_job(
        names.INGEST_SELECTED_JOB,
        ["baselines", "checksums", "ingest_report"],
        description="Read the objects that the tag fixity/selection names, and compare them with records.",
    ),
    dg.define_asset_job(
        names.RESTORE_JOB,
        ["restored"],
        description="Look at a bucket's archived objects, and ask for the restore of the next ones.",
    ),
    dg.define_asset_job(
        names.MAP_RESULTS_JOB,
        ["map_results"],
        description="Gather the results of a Distributed Map into one object, and keep its checks.",
    ),
)


# The results are bare lists: Dagster's type for a job over assets is not public.
def all_jobs(catalog: Catalog) -> list:
    """The jobs that a catalog has use for."""
    unused = set() if catalog.checked_by_s3 else {names.REQUEST_JOB, names.INGEST_JOB}
    unused |= set() if catalog.map_results else {names.MAP_RESULTS_JOB}
    return [job for job in _ALL if job.name not in unused]


def jobs_named(*wanted: str) -> list:
    """The jobs of these names, for a sensor that starts several: the very ones of `all_jobs`."""
    return [job for job in _ALL if job.name in wanted]
