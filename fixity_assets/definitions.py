"""The one place where everything is put together: assets, jobs, sensors and resources of a catalog.

`defs` is what Dagster loads. A wrong catalog is refused here, with all its mistakes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version

import dagster as dg

from fixity.catalog import Catalog, load_catalog
from fixity.errors import WrongUsage
from fixity_assets.baselines import baselines_asset
from fixity_assets.checksum_job import checksum_job_asset
from fixity_assets.checksums import checksums_asset
from fixity_assets.coverage import coverage_asset
from fixity_assets.drills import drills_asset
from fixity_assets.fixity_report import report_asset
from fixity_assets.fixity_status import status_asset
from fixity_assets.incidents import incidents_asset
from fixity_assets.ingest_report import ingest_report_asset
from fixity_assets.inventory import inventory_asset
from fixity_assets.log import log_asset
from fixity_assets.map_results import map_results_asset
from fixity_assets.pages import pages_asset
from fixity_assets.partitions import Partitions
from fixity_assets.premis_events import premis_asset
from fixity_assets.repairs import repairs_asset
from fixity_assets.restored import restored_asset
from jobs import all_jobs, all_schedules
from jobs.names import REPORT_ASSET
from resources import (
    CatalogResource,
    LakeResource,
    ProgressResource,
    QueuesResource,
    S3ControlResource,
    StoresResource,
)
from resources.map_results import MapResultsResource
from sensors import all_sensors

_PACKAGE = "fixity-platform"
EXECUTOR_VARIABLE = "FIXITY_EXECUTOR"
PROCESSES = 2
"""Steps at once under the multiprocess executor: they share a bucket's limits."""


def build_definitions(
    catalog: Catalog,
    resource_overrides: Mapping[str, object] | None = None,
    executor_name: str | None = None,
) -> dg.Definitions:
    """All definitions of a catalog.

    Arguments: `resource_overrides` replace resources by name: `catalog`, `stores`, `lake`,
    `progress`, `queues`, `s3_control`, `map_results`. `executor_name` is in_process or multiprocess,
    by default what FIXITY_EXECUTOR says.
    Raises WrongUsage for an unknown executor.
    """
    partitions = Partitions.of(catalog)
    owners = sorted({owner for bucket in catalog.buckets.values() for owner in bucket.owners})
    by_s3 = bool(catalog.checked_by_s3)
    executor, processes = _executor(executor_name or os.environ.get(EXECUTOR_VARIABLE, "in_process"))
    of_catalog = CatalogResource(file=str(catalog.file))
    resources: dict[str, object] = {
        "catalog": of_catalog,
        "stores": StoresResource(catalog=of_catalog, processes=processes),
        "lake": LakeResource(catalog=of_catalog),
        "progress": ProgressResource(),
        "queues": QueuesResource(catalog=of_catalog),
        "s3_control": S3ControlResource(catalog=of_catalog),
        "map_results": MapResultsResource(catalog=of_catalog),
    }
    of_pairs = [report_asset(partitions, owners), repairs_asset(partitions.pairs, owners)]
    if not catalog.pairs:
        of_pairs = []
    return dg.Definitions(
        assets=[
            inventory_asset(partitions.buckets, owners),
            checksums_asset(partitions.buckets, owners),
            *([checksum_job_asset(partitions.buckets, owners)] if by_s3 else []),
            *of_pairs,
            baselines_asset(partitions.buckets, owners),
            ingest_report_asset(partitions.buckets, owners),
            *([restored_asset(catalog.restoring, owners)] if catalog.restoring else []),
            *([map_results_asset(owners)] if catalog.map_results else []),
            premis_asset(partitions.buckets, owners),
            incidents_asset(partitions.buckets, owners),
            *([drills_asset(catalog.drills, owners)] if catalog.drills else []),
            coverage_asset(owners),
            *([log_asset(owners)] if catalog.log else []),
            status_asset(
                ["checksums", *([REPORT_ASSET] if of_pairs else []), "incidents", "coverage"], owners
            ),
            pages_asset(owners),
        ],
        schedules=all_schedules(catalog),
        jobs=all_jobs(catalog),
        sensors=all_sensors(catalog),
        resources=_without_config({**resources, **(resource_overrides or {})}),
        executor=executor,
    )


def _without_config(resources: Mapping[str, object]) -> dict[str, dg.ResourceDefinition]:
    """The resources as they are: what they need stands in the catalog, so no launchpad shows them."""
    return {
        name: dg.ResourceDefinition.hardcoded_resource(resource, type(resource).__doc__)
        for name, resource in resources.items()
    }


def _executor(name: str) -> tuple[dg.ExecutorDefinition, int]:
    if name == "in_process":
        return dg.in_process_executor, 1
    if name == "multiprocess":
        return dg.multiprocess_executor.configured({"max_concurrent": PROCESSES}), PROCESSES
    raise WrongUsage(f"{EXECUTOR_VARIABLE} is '{name}'; it must be in_process or multiprocess")


@dg.definitions
@cache  # Dagster asks more than once in a process, and `fixity_cli.run_server` before it copies itself
def defs() -> dg.Definitions:
    """The definitions of the catalog that FIXITY_CATALOG names, else of fixity.yaml here."""
    # The webserver tells it, so that `fixity doctor` can compare.
    registry = dg.DagsterLibraryRegistry  # type: ignore[attr-defined]  # public, but not marked so
    registry.register(_PACKAGE, version(_PACKAGE), is_dagster_package=False)
    return build_definitions(load_catalog())
