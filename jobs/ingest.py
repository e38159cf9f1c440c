"""The jobs of ingest fixity: over a whole bucket, over a few of its objects, over what is archived in it."""

from __future__ import annotations

from functools import cache

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from jobs.names import INGEST_BUCKET_JOB, INGEST_SELECTED_JOB, RESTORE_JOB


@cache  # a sensor with two jobs must have the very ones that the definitions have
def ingest_jobs() -> tuple[UnresolvedAssetJobDefinition, ...]:
    """All jobs of ingest fixity."""
    return (
        dg.define_asset_job(
            INGEST_BUCKET_JOB,
            ["inventory", "baselines", "ingest_report"],
            description="List a bucket, read every object, and hold it against what was recorded of it.",
        ),
        dg.define_asset_job(
            INGEST_SELECTED_JOB,
            ["baselines", "ingest_report"],
            description="Read the objects that the tag fixity/selection names, held against their records.",
        ),
        dg.define_asset_job(
            RESTORE_JOB,
            ["restored"],
            description="Look at a bucket's archived objects, and ask for the restore of the next ones.",
        ),
    )
