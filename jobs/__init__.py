"""Named jobs over the assets, for the UI, the command line and sensors.

Schedules that start them belong here too; what a job computes belongs to the assets.
"""

from __future__ import annotations

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

INVENTORY_JOB = "take_inventory"
CHECKSUMS_JOB = "check_bucket"
REPORT_JOB = "report_pair"


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
    ]
