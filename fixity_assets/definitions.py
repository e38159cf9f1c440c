"""The one place where everything is put together: assets, jobs, sensors and resources of a catalog.

`defs` is what Dagster loads. A wrong catalog is refused here, with all its mistakes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import dagster as dg

from fixity.catalog import Catalog, find_catalog
from fixity.version import SOFTWARE, VERSION
from fixity_assets.by_name import assets_of
from fixity_assets.executors import Chosen, executor_of
from jobs import all_jobs, all_schedules, assets_of_job, jobs_named
from resources import (
    CatalogResource,
    LakeResource,
    ProgressResource,
    QueuesResource,
    S3ControlResource,
    StoresResource,
)
from resources.catalog import catalog_now


def build_definitions(
    catalog: Catalog,
    resource_overrides: Mapping[str, object] | None = None,
    executor_name: str | None = None,
    job: str | None = None,
) -> dg.Definitions:
    """All definitions of a catalog, or what one job needs.

    Arguments: `resource_overrides` replace resources by name: `catalog`, `stores`, `lake`,
    `progress`, `queues`, `s3_control`, `map_results`. `executor_name`: by default what FIXITY_EXECUTOR
    says, else the catalog. `job`, the name of the only job that is going to run.
    Raises WrongUsage for an executor that cannot be used.
    """
    executor = executor_of(catalog.executor, executor_name)
    resources = _without_config({**_resources(catalog, executor), **(resource_overrides or {})})
    if job is not None:
        return dg.Definitions(
            assets=assets_of(catalog, assets_of_job(job), on_workers=executor.steps is None),
            jobs=jobs_named(catalog, job),
            resources=resources,
            executor=executor.definition,
        )
    from fixity_assets.old_runs import delete_old_runs
    from sensors import all_sensors  # no run of the command needs them, and what they import is much

    return dg.Definitions(
        assets=assets_of(catalog, on_workers=executor.steps is None),
        schedules=all_schedules(catalog),
        jobs=[*all_jobs(catalog), *([delete_old_runs] if catalog.keep_runs else [])],
        sensors=all_sensors(catalog),
        resources=resources,
        executor=executor.definition,
    )


def _resources(catalog: Catalog, executor: Chosen) -> dict[str, object]:
    of_catalog = CatalogResource(file=str(catalog.file))
    resources: dict[str, object] = {
        "catalog": of_catalog,
        "stores": StoresResource(catalog=of_catalog, steps=executor.steps),
        "lake": LakeResource(catalog=of_catalog),
        "progress": ProgressResource(),
        "queues": QueuesResource(catalog=of_catalog),
        "s3_control": S3ControlResource(catalog=of_catalog),
    }
    if catalog.map_results or catalog.checked_by_jobs:
        from resources.map_results import MapResultsResource

        resources["map_results"] = MapResultsResource(catalog=of_catalog)
    return resources


def _without_config(resources: Mapping[str, object]) -> dict[str, dg.ResourceDefinition]:
    """The resources as they are: what they need stands in the catalog, so no launchpad shows them."""
    return {
        name: dg.ResourceDefinition.hardcoded_resource(resource, type(resource).__doc__)
        for name, resource in resources.items()
    }


@dg.definitions
@cache  # Dagster asks more than once in a process, and `fixity_cli.run_server` before it copies itself
def defs() -> dg.Definitions:
    """The definitions of the catalog that FIXITY_CATALOG names, else of fixity.yaml here."""
    # The webserver tells it, so that `fixity doctor` can compare.
    registry = dg.DagsterLibraryRegistry  # type: ignore[attr-defined]  # public, but not marked so
    registry.register(SOFTWARE, VERSION, is_dagster_package=False)
    return build_definitions(catalog_now(find_catalog()))
