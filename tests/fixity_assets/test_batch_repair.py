"""Damage that S3 Batch finds, and its repair by S3 Batch: through sensors and assets, on real servers."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg
import pytest

from devstack.seaweedfs import SeaweedFS
from devstack.seaweedfs_damage import corrupt_object
from fixity.incidents.state import incidents_now
from fixity.status import Kept
from fixity.status.kept import read_all
from jobs.names import CHECKSUMS_JOB, REPAIR_ASSET, REPAIR_JOB
from sensors import batch_reconciliation
from tests.batch_platform import ACCOUNT, REPLICA, BatchPlatform, reason
from tests.conftest import MakeBucket
from tests.fixity.support import sha256
from tests.platform import PAIR

GOOD = b"as deposited"


def red(results: list[dg.ExecuteInProcessResult]) -> set[str]:
    """The names of the checks that are red."""
    return {
        each.check_name
        for result in results
        for each in result.get_asset_check_evaluations()
        if not each.passed
    }


def test_damage_that_a_report_of_s3_shows_opens_an_incident_however_its_job_is_heard_of(
    batch: BatchPlatform, instance: dg.DagsterInstance, seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_reconciliation, "HEAD_START", timedelta(0))
    batch.put("k", GOOD)
    for sensor in ("batch_completion", "batch_reconciliation"):
        batch.control.behaviour.lose_events = sensor == "batch_reconciliation"
        batch.request(instance, REPLICA)
        batch.control.jobs.wait()
        found = red(batch.follow(instance, batch.tick(instance, sensor)))
        if sensor == "batch_completion":
            assert (found, incidents_now(batch.lake)) == (set(), [])
            corrupt_object(seaweedfs, batch.replica, "k")
    assert found == {"no_damage", "no_open_incidents"}
    (incident,) = incidents_now(batch.lake)
    (each,) = incident.objects
    bad = batch.s3.get_object(Bucket=batch.replica, Key="k")["Body"].read()
    assert (each.bucket, each.key, each.state, each.confirmed) == (REPLICA, "k", "open", True)
    assert (each.found, each.expected) == ({f"SHA256:{sha256(bad)}"}, f"SHA256:{sha256(GOOD)}")


def test_a_job_that_repairs_is_heard_of_and_its_copies_are_checked_by_a_run(
    batch: BatchPlatform, instance: dg.DagsterInstance, seaweedfs: SeaweedFS, make_bucket: MakeBucket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(batch_reconciliation, "HEAD_START", timedelta(0))
    batch.source, batch.replica = make_bucket(versioned=True), make_bucket(versioned=True)
    batch.bucket_settings = {
        "engine": "stream",
        "s3_batch": {
            "account_id": ACCOUNT,
            "role_arn": f"arn:aws:iam::{ACCOUNT}:role/fixity-jobs",
            "report_bucket": batch.managed,
            "endpoint_url": batch.control.endpoint_url,
        },
    }
    batch.put("k", GOOD)
    for bucket in (PAIR, REPLICA):
        assert batch.run(instance, CHECKSUMS_JOB, bucket).success
    version = batch.s3.head_object(Bucket=batch.replica, Key="k")["VersionId"]
    corrupt_object(seaweedfs, batch.replica, "k", version_id=version)
    batch.run(instance, CHECKSUMS_JOB, REPLICA)
    config = {"ops": {REPAIR_ASSET: {"config": {"apply": True, "by": "s3_batch"}}}}
    asked = batch.run(instance, REPAIR_JOB, PAIR, config=config)
    assert asked.success and red([asked]) == {"all_repaired", "no_open_incidents"}
    batch.control.jobs.wait()
    heard, looked = (batch.tick(instance, name) for name in ("batch_completion", "batch_reconciliation"))
    assert [each.run_key for each in heard.run_requests or []] == [
        each.run_key for each in looked.run_requests or []
    ]
    (checked,) = batch.follow(instance, heard)
    assert checked.success and red([checked]) == set()
    evaluations = checked.get_asset_check_evaluations()
    of_buckets = [each for each in evaluations if each.asset_key == dg.AssetKey("checksums")]
    assert [(each.check_name, each.partition) for each in of_buckets] == [("no_damage", REPLICA)]
    kept = read_all(batch.lake)["checksums", REPLICA]
    assert isinstance(kept, Kept) and {each.name for each in kept.checks if each.is_red} == set()
    assert batch.s3.get_object(Bucket=batch.replica, Key="k")["Body"].read() == GOOD
    assert [each.state for each in incidents_now(batch.lake)] == ["closed"]
    for sensor in ("batch_completion", "batch_reconciliation"):
        later = batch.tick(instance, sensor, heard.cursor if sensor == "batch_completion" else None)
        assert not later.run_requests and reason(later)
