"""The resources of runs: they open the stores and the lake of a catalog.

Each resource is thin: it holds configuration for Dagster and calls `fixity`. Using a store or the lake does
not belong here.
"""

from __future__ import annotations

from resources.catalog import CatalogResource, LakeResource, StoresResource
from resources.progress import ProgressResource
from resources.queues import QueuesResource
from resources.s3_control import S3ControlResource

__all__ = [
    "CatalogResource",
    "LakeResource",
    "ProgressResource",
    "QueuesResource",
    "S3ControlResource",
    "StoresResource",
]
