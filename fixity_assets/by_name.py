"""The assets of a catalog by their names, each imported when it is made: a run needs two of them, or three.

What an asset computes belongs to its own module; what else is defined for a catalog, to `definitions`.
"""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg

from fixity.catalog import Catalog
from fixity_assets.partitions import Partitions
from jobs import names


def assets_of(
    catalog: Catalog, wanted: Iterable[str] | None = None, on_workers: bool = False
) -> list[dg.AssetsDefinition]:
    """The assets that a catalog has a use for.

    Arguments: `wanted`, the names of those that are materialized. Then only they are made, and the assets
    that they depend on: Dagster keeps with a materialization which of their versions it was made from.
    `on_workers`, whether other machines execute steps.
    """
    used = _used(catalog)
    if wanted is None:
        return [_make(name, catalog, on_workers) for name in used]
    made = {name: _make(name, catalog, on_workers) for name in wanted if name in used}
    needed = {key.to_user_string() for asset in made.values() for key in asset.dependency_keys}
    return [
        *made.values(),
        *(_make(name, catalog, on_workers) for name in sorted(needed - made.keys()) if name in used),
    ]


def _used(catalog: Catalog) -> list[str]:
    return [
        "inventory",
        "checksums",
        *([names.CHECKSUM_JOB_ASSET] if catalog.checked_by_jobs else []),
        *([names.REPORT_ASSET, names.REPAIR_ASSET] if catalog.pairs else []),
        "baselines",
        "ingest_report",
        *([names.RESTORED_ASSET] if catalog.restoring else []),
        *([names.MAP_RESULTS_ASSET] if catalog.map_results else []),
        "premis_events",
        names.INCIDENTS_ASSET,
        *([names.DRILLS_ASSET] if catalog.drills else []),
        "coverage",
        *([names.LOG_ASSET] if catalog.log else []),
        names.STATUS_ASSET,
        names.PAGES_ASSET,
    ]


def _make(name: str, catalog: Catalog, on_workers: bool) -> dg.AssetsDefinition:
    owners = sorted({owner for bucket in catalog.buckets.values() for owner in bucket.owners})
    partitions = Partitions.of(catalog)
    buckets, pairs = partitions.buckets, partitions.pairs
    match name:
        case "inventory":
            from fixity_assets.inventory import inventory_asset

            return inventory_asset(buckets, owners)
        case "checksums":
            from fixity_assets.checksums import checksums_asset

            return checksums_asset(buckets, owners, on_workers)
        case names.CHECKSUM_JOB_ASSET:
            from fixity_assets.checksum_job import checksum_job_asset

            return checksum_job_asset(buckets, owners)
        case names.REPORT_ASSET:
            from fixity_assets.fixity_report import report_asset

            return report_asset(partitions, owners, on_workers)
        case names.REPAIR_ASSET:
            from fixity_assets.repairs import repairs_asset

            return repairs_asset(pairs, owners)
        case "baselines":
            from fixity_assets.baselines import baselines_asset

            return baselines_asset(buckets, owners, on_workers)
        case "ingest_report":
            from fixity_assets.ingest_report import ingest_report_asset

            return ingest_report_asset(buckets, owners)
        case names.RESTORED_ASSET:
            from fixity_assets.restored import restored_asset

            return restored_asset(catalog.restoring, owners)
        case names.MAP_RESULTS_ASSET:
            from fixity_assets.map_results import map_results_asset

            return map_results_asset(owners)
        case "premis_events":
            from fixity_assets.premis_events import premis_asset

            return premis_asset(buckets, owners)
        case names.INCIDENTS_ASSET:
            from fixity_assets.incidents import incidents_asset

            return incidents_asset(buckets, owners)
        case names.DRILLS_ASSET:
            from fixity_assets.drills import drills_asset

            return drills_asset(catalog.drills, owners)
        case "coverage":
            from fixity_assets.coverage import coverage_asset

            return coverage_asset(owners)
        case names.LOG_ASSET:
            from fixity_assets.log import log_asset

            return log_asset(owners)
        case names.STATUS_ASSET:
            from fixity_assets.fixity_status import status_asset

            reports = [names.REPORT_ASSET] if catalog.pairs else []
            return status_asset(["checksums", *reports, "incidents", "coverage"], owners)
        case names.PAGES_ASSET:
            from fixity_assets.pages import pages_asset

            return pages_asset(owners)
        case _:
            raise ValueError(f"there is no asset '{name}'")
