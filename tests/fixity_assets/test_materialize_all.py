"""What the UI's "Materialize all" and its launchpads do: each asset of each partition, without any config."""

from __future__ import annotations

import threading
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest
import yaml
from dagster._core.snap.snap_to_yaml import default_values_yaml_from_type_snap

from demo.__main__ import CATALOG, REPLICA, SOURCE
from devstack.seaweedfs import SeaweedFS
from fixity.catalog import load_catalog
from fixity.clock import utc_now
from fixity.errors import BucketUnreachable
from fixity.lake import LocalLake
from fixity.ledger.inventory import take_inventory
from fixity.log.keys import make_key
from fixity.log.seals import Sealer
from fixity_assets import inventory
from fixity_assets.definitions import build_definitions
from fixity_assets.describe import RETRIES
from fixity_cli.instance import prepare_home, runs_belong_to_the_location
from jobs.names import CHECKSUM_JOB_ASSET, INVENTORY_JOB, REPORT_JOB
from tests.batch_platform import BatchPlatform, failures
from tests.platform import PAIR, Platform

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def materialize_all(definitions: dg.Definitions, instance: dg.DagsterInstance) -> list[str]:
    """Materialize all assets for all partitions, as a backfill does. Returns the red checks."""
    job = definitions.resolve_implicit_global_asset_job_def()
    graph = job.asset_layer.asset_graph
    together: dict[dg.PartitionsDefinition | None, list[dg.AssetKey]] = defaultdict(list)
    for key in graph.toposorted_asset_keys:
        together[graph.get(key).partitions_def].append(key)
    red = []
    over_all = {None: together.pop(None)}  # they rest on the others
    for partitions, assets in (*together.items(), *over_all.items()):
        for partition in partitions.get_partition_keys() if partitions else [None]:
            done = job.execute_in_process(
                instance=instance, partition_key=partition, asset_selection=assets, raise_on_error=False
            )
            assert done.success, (partition, assets)
            red += [each.check_name for each in done.get_asset_check_evaluations() if not each.passed]
    return red


def test_of_the_demo_s_catalog_all_is_green(
    tmp_path: Path, s3: S3Client, seaweedfs: SeaweedFS, instance: dg.DagsterInstance
) -> None:
    (tmp_path / "fixity.yaml").write_text(CATALOG.format(endpoint=seaweedfs.endpoint_url))
    for bucket in (SOURCE, REPLICA):
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key="a letter.txt", Body=b"My dear friend")
    (tmp_path / "witness").mkdir()
    Sealer(LocalLake(tmp_path / "lake"), make_key(tmp_path / "log-key.pem"), lambda _: {}, utc_now).begin()
    try:
        assert materialize_all(build_definitions(load_catalog(tmp_path / "fixity.yaml")), instance) == []
    finally:
        for bucket in (SOURCE, REPLICA):
            s3.delete_bucket(Bucket=bucket)


@pytest.fixture
def everything(platform: Platform) -> Platform:
    """A catalog with a use for all assets that need no other service, and nothing to do for most of them."""
    (platform.folder / "drill").mkdir()
    catalog = yaml.safe_load(platform.file.read_text())
    catalog["buckets"][PAIR]["archived"] = "restore"  # of one bucket: of the other nothing is restored
    catalog["buckets"]["drill"] = {"path": "./drill", "fixity_every": "30d"}
    platform.more = {"buckets": catalog["buckets"], "drills": ["drill"]}
    return platform


def test_no_asset_fails_where_there_is_nothing_to_do(
    everything: Platform, instance: dg.DagsterInstance
) -> None:
    definitions = everything.definitions()
    restored = definitions.resolve_asset_graph().get(dg.AssetKey("restored")).partitions_def
    assert restored is not None and restored.get_partition_keys() == [PAIR]
    materialize_all(definitions, instance)


def test_of_a_bucket_that_s3_checks_a_job_is_submitted_and_nothing_is_read(
    batch: BatchPlatform, instance: dg.DagsterInstance
) -> None:
    batch.put("a")
    batch.control.behaviour.hold = threading.Event()
    job = batch.definitions().resolve_implicit_global_asset_job_def()
    graph = job.asset_layer.asset_graph
    of_a_bucket = graph.get(dg.AssetKey("checksums")).partitions_def
    assets = [key for key in graph.get_all_asset_keys() if graph.get(key).partitions_def == of_a_bucket]
    done = job.execute_in_process(instance=instance, partition_key=PAIR, asset_selection=assets)
    made = {event.asset_key.to_user_string() for event in done.get_asset_materialization_events()}  # type: ignore[union-attr]
    assert {"inventory", CHECKSUM_JOB_ASSET} <= made and not {"checksums", "ingest_report"} & made
    assert done.get_asset_check_evaluations() == []  # nothing is called right that nobody has read
    observed = done.filter_events(lambda event: event.is_asset_observation)
    (said,) = (event.asset_observation_data.asset_observation.metadata for event in observed)
    assert f"'{PAIR}'" in str(said["nothing_yet"].value)


def test_an_ingest_report_alone_says_what_to_materialize_with_it(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    assert platform.run(instance, INVENTORY_JOB, PAIR).success
    job = platform.definitions().resolve_implicit_global_asset_job_def()
    alone = [dg.AssetKey("ingest_report")]
    done = job.execute_in_process(
        instance=instance, partition_key=PAIR, asset_selection=alone, raise_on_error=False
    )
    together = f"materialize baselines, checksums, ingest_report of '{PAIR}' in one run"
    assert not done.success and together in failures(done)


def test_launchpads_show_only_what_is_a_user_s_to_set(everything: Platform) -> None:
    for job in everything.definitions().resolve_all_job_defs():
        snapshot = job.get_job_snapshot()
        schema = snapshot.config_schema_snapshot
        root = schema.get_config_snap(snapshot.mode_def_snaps[0].root_config_key or "")
        shown = yaml.safe_load(default_values_yaml_from_type_snap(schema, root)) or {}
        assert {name for name, content in shown.items() if content} <= {"ops"}, (job.name, shown)


def test_reports_come_before_checks_in_the_queue(platform: Platform) -> None:
    jobs = {
        job.name: int(job.tags.get("dagster/priority", 0))
        for job in platform.definitions().resolve_all_job_defs()
    }
    assert jobs["report_pair"] > jobs["check_bucket"]


def test_a_backfill_s_reports_come_before_its_checks_too(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    definitions = platform.definitions()
    job = definitions.resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.from_config(str(prepare_home(platform.file))) as instance:
        runs_belong_to_the_location(instance)  # as a run of the daemon does
        for asset in ("fixity_report", "checksums"):
            run = instance.create_run_for_job(job, asset_selection=frozenset([dg.AssetKey(asset)]))
            instance.run_coordinator.submit_run(dg.SubmitRunContext(run, workspace=None))  # type: ignore[arg-type]
        queued = {run.run_id: run.tags.get("dagster/priority") for run in instance.get_runs()}
    priority = definitions.resolve_job_def(REPORT_JOB).tags["dagster/priority"]
    assert list(queued.values()) == [None, priority]  # the newest first


def test_a_catalog_without_pairs_has_no_assets_of_pairs(tmp_path: Path) -> None:
    (tmp_path / "fixity.yaml").write_text("lake: ./lake\nbuckets: {a: {path: a}}\n")
    definitions = build_definitions(load_catalog(tmp_path / "fixity.yaml"))
    names = {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()}
    assert "inventory" in names and not names & {"fixity_report", "repairs", "restored", "drills"}
    assert not {"report_pair", "repair"} & {job.name for job in definitions.resolve_all_job_defs()}


def test_a_listing_goes_on_after_an_outage_of_a_minute(
    platform: Platform, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = [RETRIES.calculate_delay(attempt + 1) for attempt in range(RETRIES.max_retries)]
    assert 60 <= sum(waits) <= 90
    listings: list[int] = []

    def listed(*arguments: Any) -> object:
        listings.append(1)
        if len(listings) <= RETRIES.max_retries:
            raise BucketUnreachable("connection refused", final=False)
        return take_inventory(*arguments)

    monkeypatch.setattr(inventory, "take_inventory", listed)
    monkeypatch.setattr(inventory, "RETRIES", RETRIES._replace(delay=0))
    platform.put("a")
    assert platform.run(instance, INVENTORY_JOB, PAIR).success
