"""A map is started for a bucket that Step Functions read: by the platform, once for each request."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import pytest

from devstack.moto_server import MotoServer
from devstack.seaweedfs import ACCESS_KEY, REGION, SECRET_KEY
from fixity.catalog import load_catalog
from fixity.catalog.clients import step_functions_client
from fixity.engines.step_functions.errors import MapNotStarted
from fixity.engines.step_functions.request import start_map
from fixity.lake import open_lake
from fixity.rolling.jobs import last_asked
from fixity_assets.definitions import build_definitions
from jobs.names import CHECKSUM_JOB_ASSET, REQUEST_JOB

_DEFINITION = {"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}


def _client(server: MotoServer, service: str) -> Any:
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=server.endpoint_url,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )


@pytest.fixture
def catalog_file(tmp_path: Path, moto_server: MotoServer) -> Path:
    """A catalog with a bucket on moto's S3 that a map reads, and the state machine with the map."""
    states = _client(moto_server, "stepfunctions")
    made = states.create_state_machine(
        name=tmp_path.name[-40:],
        definition=json.dumps(_DEFINITION),
        roleArn="arn:aws:iam::123456789012:role/x",
    )
    s3 = _client(moto_server, "s3")
    bucket = f"deposit-{abs(hash(tmp_path.name))}"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="a", Body=b"content")
    file = tmp_path / "fixity.yaml"
    file.write_text(
        f"lake: ./lake\nstores: {{moto: {{endpoint_url: '{moto_server.endpoint_url}', region: {REGION}}}}}\n"
        f"map_results:\n  store: moto\n  bucket: results\n  state_machine: {made['stateMachineArn']}\n"
        "  ledger: {bucket: $.b, key: $.k, checksum: $.c}\n"
        f"buckets: {{deposit: {{store: moto, bucket: {bucket}, "
        "policy: {bytes: 90d, by: step_functions}}}\n"
    )
    return file


def test_a_request_starts_the_state_machine_with_the_bucket_s_name_and_is_known_to_be_made(
    catalog_file: Path, moto_server: MotoServer, instance: dg.DagsterInstance
) -> None:
    catalog = load_catalog(catalog_file)
    job = build_definitions(catalog).resolve_job_def(REQUEST_JOB)
    result = job.execute_in_process(instance=instance, partition_key="deposit")
    (said,) = [
        event.step_materialization_data.materialization.metadata
        for event in result.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey(CHECKSUM_JOB_ASSET)
    ]
    execution = _client(moto_server, "stepfunctions").describe_execution(executionArn=said["execution"].value)
    bucket = catalog.buckets["deposit"]
    assert json.loads(execution["input"]) == {
        "bucket": bucket.real_name,
        "prefix": "",
        "versions": "current",
        "algorithm": "SHA256",
    }
    now = datetime.now(UTC)
    asked = last_asked(open_lake(catalog), bucket, now)
    assert asked is not None and now - asked < timedelta(minutes=5)


def test_another_attempt_at_a_request_starts_no_second_execution_and_a_refusal_says_why(
    catalog_file: Path, moto_server: MotoServer
) -> None:
    catalog = load_catalog(catalog_file)
    settings, bucket = catalog.map_results, catalog.buckets["deposit"]
    assert settings and settings.state_machine
    client = step_functions_client(catalog.stores["moto"], settings.state_machine)
    first = start_map(client, settings.state_machine, bucket, "request")
    assert start_map(client, settings.state_machine, bucket, "request") == first
    executions = _client(moto_server, "stepfunctions").list_executions(stateMachineArn=settings.state_machine)
    assert len(executions["executions"]) == 1
    with pytest.raises(MapNotStarted, match="the map of 'deposit' was not started"):
        start_map(client, f"{settings.state_machine}-gone", bucket, "request")
