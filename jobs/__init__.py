"""Named jobs over the assets, for the UI, the command line and sensors.

Schedules that start them belong here too; what a job computes belongs to the assets.
"""

from __future__ import annotations

from functools import cache

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from jobs.names import (
    CHECKSUMS_JOB,
    COVERAGE_JOB,
    INGEST_JOB,
    INVENTORY_JOB,
    PREMIS_JOB,
    REPORT_JOB,
    REQUEST_JOB,
    ROLL_JOB,
)


def asset_jobs() -> list[UnresolvedAssetJobDefinition]:
    """All jobs."""
    return [
        dg.define_asset_job(
            INVENTORY_JOB,
            ["inventory"],
            description="List what a bucket holds.",
        ),
        dg.define_asset_job(
            CHECKSUMS_JOB,
            ["inventory", "checksums"],
            description="List a bucket and compute the checksum of every object in it.",
        ),
        dg.define_asset_job(
            REPORT_JOB,
            ["fixity_report"],
            description="Compare a pair's two buckets by their newest checksums.",
        ),
        dg.define_asset_job(
            ROLL_JOB,
            dg.AssetSelection.assets("rolling_checks")
            | dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey("checksums"), "no_damage")),
            description="Check the objects of a bucket that are longest due.",
        ),
        dg.define_asset_job(
            PREMIS_JOB,
            ["premis_events"],
            description="Write the PREMIS events of a bucket's checks that have none yet.",
        ),
        dg.define_asset_job(
            COVERAGE_JOB,
            ["coverage"],
            description="Say of all buckets with a term what was checked within it, and what was not.",
        ),
    ]


@cache  # a sensor with two jobs must have the very ones that the definitions have
def batch_jobs() -> tuple[UnresolvedAssetJobDefinition, ...]:
    """The jobs for buckets whose checksums S3 computes."""
    return (
        dg.define_asset_job(
            REQUEST_JOB,
            ["inventory", "checksum_job"],
            description="List a bucket and have S3 compute the checksum of every object in it.",
        ),
        dg.define_asset_job(
            INGEST_JOB,
            ["checksums"],
            description="Make a bucket's table of checksums from the report of S3's finished job.",
        ),
    )
