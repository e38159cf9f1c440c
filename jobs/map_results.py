"""The job that gathers the results of a map run."""

from __future__ import annotations

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from fixity.catalog import Catalog
from jobs.names import MAP_RESULTS_JOB


def map_results_jobs(catalog: Catalog) -> list[UnresolvedAssetJobDefinition]:
    """The job, where the catalog has `map_results`."""
    if catalog.map_results is None:
        return []
    return [
        dg.define_asset_job(
            MAP_RESULTS_JOB,
            ["map_results"],
            description="Gather the results of a Distributed Map into one object, and its checks.",
        )
    ]
