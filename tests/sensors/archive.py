"""A platform over one bucket on moto's server, with queues of events, for the sensors of ingest fixity."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import yaml

from devstack.moto_server import MotoServer, TestQueue
from devstack.seaweedfs import REGION
from fixity.catalog import Catalog, Store, load_catalog
from fixity.catalog.clients import s3_client
from jobs.names import SELECTION
from resources import CatalogResource, LakeResource, QueuesResource
from tests.platform import definitions_of

BUCKET = "deposit"


@dataclass
class ArchivePlatform:
    """The bucket `deposit` (with other names on the server) and the catalog's queues."""

    folder: Path
    server: MotoServer
    queues: dict[str, TestQueue] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    real_name: str = field(default_factory=lambda: f"archive-{uuid4()}")

    def __post_init__(self) -> None:
        self.s3 = s3_client(Store(name="moto", endpoint_url=self.server.endpoint_url, region=REGION))
        self.s3.create_bucket(Bucket=self.real_name)

    @property
    def catalog(self) -> Catalog:
        file = self.folder / "fixity.yaml"
        said = {
            "lake": "./lake",
            "stores": {"moto": {"endpoint_url": self.server.endpoint_url, "region": REGION}},
            "buckets": {BUCKET: {"store": "moto", "bucket": self.real_name, **self.settings}},
            "queues": {name: {"url": queue.url, "store": "moto"} for name, queue in self.queues.items()},
        }
        file.write_text(yaml.safe_dump(said))
        return load_catalog(file)

    def tick(
        self, instance: dg.DagsterInstance, sensor: str, cursor: str | None = None
    ) -> tuple[list[dg.RunRequest], str]:
        """Evaluate a sensor; gives its run requests and its cursor."""
        of_catalog = CatalogResource(file=str(self.catalog.file))
        definitions = definitions_of(self.catalog)
        with dg.build_sensor_context(
            instance=instance,
            cursor=cursor,
            definitions=definitions,
            resources={
                "queues": QueuesResource(catalog=of_catalog, wait=0),
                "lake": LakeResource(catalog=of_catalog),
            },
        ) as context:
            result = definitions.resolve_sensor_def(sensor).evaluate_tick(context)
        return list(result.run_requests or []), result.cursor or ""

    def run(
        self,
        instance: dg.DagsterInstance,
        job: str,
        request: dg.RunRequest | None = None,
    ) -> dict[str, Any]:
        """Run a job; gives the metadata of what it materialized last, as plain values."""
        result = (
            definitions_of(self.catalog)
            .resolve_job_def(job)
            .execute_in_process(
                instance=instance, partition_key=BUCKET, tags=dict(request.tags) if request else None
            )
        )
        event = result.get_asset_materialization_events()[-1]
        metadata = event.step_materialization_data.materialization.metadata
        return {name: value.value for name, value in metadata.items()}

    def selected(self, request: dg.RunRequest) -> str:
        """The list of objects of a request, as it is kept in the lake."""
        file = self.folder / "lake" / "selections" / BUCKET / f"{request.tags[SELECTION]}.json"
        return file.read_text()
