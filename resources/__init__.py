"""What a run is given: resources that open the stores and the lake of a catalog.

Thin: each holds the configuration that Dagster keeps, and opens what `fixity` has. What is done with a
store or the lake does not belong here.
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
