"""A platform whose checksums S3 computes: buckets on a real server, the stand-in for S3 Control, a queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import yaml

from devstack.moto_server import MotoServer, TestQueue
from devstack.s3_control import S3ControlServer
from fixity.catalog import Catalog, load_catalog
from fixity.lake import Lake, open_lake
from jobs.names import REQUEST_JOB
from tests.platform import PAIR, definitions_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ACCOUNT = "111122223333"
REPLICA = f"{PAIR}-repl"


@dataclass
class BatchPlatform:
    """A pair `deposit` of two fresh buckets that S3 checks, with a report bucket."""

    folder: Path
    s3: S3Client
    endpoint_url: str
    control: S3ControlServer
    moto: MotoServer
    queue: TestQueue
    source: str
    replica: str
    managed: str
    bucket_settings: dict[str, Any]
    batch_settings: dict[str, Any]

    @property
    def file(self) -> Path:
        """The catalog, written with the settings as they are now."""
        file = self.folder / "fixity.yaml"
        common = {"store": "real", "engine": "s3_batch", **self.bucket_settings}
        said = {
            "lake": "./lake",
            "stores": {
                "real": {"endpoint_url": self.endpoint_url, "region": "us-east-1"},
                "queues": {"endpoint_url": self.moto.endpoint_url, "region": "us-east-1"},
            },
            "s3_batch": {
                "account_id": ACCOUNT,
                "role_arn": f"arn:aws:iam::{ACCOUNT}:role/fixity-jobs",
                "report_bucket": self.managed,
                "endpoint_url": self.control.endpoint_url,
                **self.batch_settings,
            },
            "buckets": {
                PAIR: {**common, "bucket": self.source},
                REPLICA: {**common, "bucket": self.replica},
            },
            "pairs": {PAIR: {"replica": REPLICA, "replication_lag": "0s"}},
            "queues": {"batch_completion": {"url": self.queue.url, "store": "queues"}},
        }
        file.write_text(yaml.safe_dump(said))
        return file

    @property
    def catalog(self) -> Catalog:
        """The catalog, loaded."""
        return load_catalog(self.file)

    @property
    def lake(self) -> Lake:
        """The lake."""
        return open_lake(self.catalog)

    def put(self, key: str, body: bytes = b"the same bytes", replica: bytes | None = None) -> None:
        """Put an object into the source, and into the replica too (with other bytes, if given)."""
        self.s3.put_object(Bucket=self.source, Key=key, Body=body)
        self.s3.put_object(Bucket=self.replica, Key=key, Body=body if replica is None else replica)

    def definitions(self) -> dg.Definitions:
        """The definitions of the catalog; queues do not wait."""
        from resources import CatalogResource, QueuesResource

        file = str(self.file)
        queues = QueuesResource(catalog=CatalogResource(file=file), wait=0)
        return definitions_of(load_catalog(Path(file)), queues=queues)

    def run(
        self,
        instance: dg.DagsterInstance,
        job: str,
        partition: str,
        tags: dict[str, str] | None = None,
        config: dict[str, Any] | None = None,
        selection: Sequence[dg.AssetKey] | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Run a job on the instance; a failed run is a result, not an exception."""
        return (
            self.definitions()
            .resolve_job_def(job)
            .execute_in_process(
                instance=instance,
                partition_key=partition,
                raise_on_error=False,
                tags=tags,
                run_config=config,
                asset_selection=selection,
            )
        )

    def request(self, instance: dg.DagsterInstance, bucket: str, keys_file: Path | None = None) -> str | None:
        """Request a job for a bucket, or for the keys of a file, and give its id."""
        selection = {"keys_file": str(keys_file)} if keys_file else {}
        config = {"ops": {"checksum_job": {"config": selection}}}
        result = self.run(instance, REQUEST_JOB, bucket, config=config)
        assert result.success
        for event in result.get_asset_materialization_events():
            said = event.step_materialization_data.materialization
            if said.asset_key == dg.AssetKey("checksum_job"):
                return str(said.metadata["job_id"].value)
        return None

    def tick(self, instance: dg.DagsterInstance, sensor: str, cursor: str | None = None) -> dg.SensorResult:
        """Evaluate a sensor once."""
        definitions = self.definitions()
        found = definitions.get_repository_def().get_sensor_def(sensor)
        needed = {name: (definitions.resources or {})[name] for name in found.required_resource_keys}
        with dg.build_sensor_context(
            instance=instance, cursor=cursor, definitions=definitions, resources=needed
        ) as context:
            result = found(context)
        assert isinstance(result, dg.SensorResult)
        return result

    def follow(
        self, instance: dg.DagsterInstance, result: dg.SensorResult
    ) -> list[dg.ExecuteInProcessResult]:
        """Run what a tick asked for."""
        return [
            self.run(
                instance,
                str(request.job_name),
                str(request.partition_key),
                tags=dict(request.tags),
                config=dict(request.run_config or {}),
                selection=request.asset_selection,
            )
            for request in result.run_requests or []
        ]


def failures(result: dg.ExecuteInProcessResult) -> str:
    """What the failed steps of a run say."""
    return "\n".join(
        str(event.step_failure_data.user_failure_data.description)
        for event in result.filter_events(lambda event: event.is_step_failure)
        if event.step_failure_data.user_failure_data
    )


def reason(result: dg.SensorResult) -> str:
    """Why a tick asked for nothing."""
    assert result.skip_reason is not None
    return result.skip_reason.skip_message or ""
