"""What completion reports of S3 may say, and what follows: through the real jobs on real servers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest

from devstack import s3_control_jobs
from devstack.completion_reports import ReportRequest, Task, write_report
from devstack.seaweedfs import SeaweedFS
from devstack.seaweedfs_damage import corrupt_object
from fixity.engines.s3_batch.job_records import jobs_of
from fixity.incidents.state import incidents_now
from fixity.ledger.current import current_checksums
from jobs.names import COMPUTE_TAG, INGEST_JOB, INVENTORY_JOB, JOB_TAG, REPORT_JOB, ROLL_JOB, roll_config
from tests.batch_platform import REPLICA, BatchPlatform, failures
from tests.platform import PAIR, read_report, report_metadata


def _reported(batch: BatchPlatform, instance: dg.DagsterInstance) -> str:
    """The id of a job over all of the source, once S3 has written its report."""
    job_id = batch.request(instance, PAIR)
    batch.control.jobs.wait()
    assert job_id is not None
    return job_id


def _ingest(batch: BatchPlatform, instance: dg.DagsterInstance, job_id: str) -> dg.ExecuteInProcessResult:
    return batch.run(instance, INGEST_JOB, PAIR, tags={JOB_TAG: job_id})


def _red(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """The checks of the bucket that are red, and their texts."""
    assert result.success, failures(result)
    return {
        each.check_name: each.description or ""
        for each in result.get_asset_check_evaluations()
        if not each.passed
    }


def _newest(batch: BatchPlatform) -> list[dict[str, Any]]:
    """What users query as the checksums of the source."""
    with batch.lake.workspace() as workspace:
        rows: list[dict[str, Any]] = pq.read_table(
            current_checksums(batch.lake, PAIR, workspace)[0]
        ).to_pylist()
        return rows


def _etag(batch: BatchPlatform, key: str) -> bytes:
    return batch.s3.head_object(Bucket=batch.source, Key=key)["ETag"].strip('"').encode()


def _edit(batch: BatchPlatform, job_id: str, change: Callable[[bytes], bytes]) -> None:
    """Change the rows of a report's successful tasks, and its manifest with them."""
    name = f"batch/reports/checksum/{batch.source}/job-{job_id}/manifest.json"
    manifest = json.loads(batch.s3.get_object(Bucket=batch.managed, Key=name)["Body"].read())
    for file in manifest["Results"]:
        content = change(batch.s3.get_object(Bucket=batch.managed, Key=file["Key"])["Body"].read())
        file["MD5Checksum"] = hashlib.md5(content, usedforsecurity=False).hexdigest()
        batch.s3.put_object(Bucket=batch.managed, Key=file["Key"], Body=content)
    batch.s3.put_object(Bucket=batch.managed, Key=name, Body=json.dumps(manifest).encode())


def test_what_s3_read_before_the_damage_takes_back_nothing_that_the_platform_found_since(
    batch: BatchPlatform,
    instance: dg.DagsterInstance,
    seaweedfs: SeaweedFS,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for key in "ab":
        batch.put(key, b"bytes of " + key.encode())
    for bucket in (PAIR, REPLICA):
        job_id = batch.request(instance, bucket)
        batch.control.jobs.wait()
        batch.run(instance, INGEST_JOB, bucket, tags={JOB_TAG: str(job_id)})
    was_read, found = Event(), Event()

    def report(s3: Any, request: Any, job_id: str, tasks: Any, now: datetime) -> None:
        was_read.set()
        found.wait()
        write_report(s3, request, job_id, tasks, datetime.now(UTC))

    monkeypatch.setattr(s3_control_jobs, "write_report", report)
    job_id = batch.request(instance, PAIR)
    assert job_id and was_read.wait(60)
    corrupt_object(seaweedfs, batch.source, "a")
    rolled = batch.run(instance, ROLL_JOB, PAIR, config=roll_config(None, ["a"]))
    assert _red(rolled)["no_damage"] == "1 damaged"
    found.set()
    batch.control.jobs.wait()
    assert _red(_ingest(batch, instance, job_id))["no_damage"] == "1 damaged"
    said = report_metadata(batch.run(instance, REPORT_JOB, PAIR))
    assert {row["key"]: row["status"] for row in read_report(said["csv"])} == {"a": "mismatch", "b": "ok"}
    (incident,) = incidents_now(batch.lake)
    assert [each.right_since for each in incident.objects] == [None]
    first, second = (
        batch.control.jobs.describe_job({"JobId": each.job_id})["Job"]["CreationTime"]
        for each in jobs_of(batch.lake, PAIR)
    )
    (checked,) = [row["checked_at"] for row in _newest(batch) if row["key"] == "b"]
    assert first < checked == second


@pytest.mark.parametrize("change", ["overwritten", "not named"])
def test_an_object_of_an_incident_that_a_report_does_not_tell_of_hides_no_new_damage(
    batch: BatchPlatform, instance: dg.DagsterInstance, seaweedfs: SeaweedFS, change: str
) -> None:
    for key in "abc":
        batch.put(key, b"bytes of " + key.encode())
    _ingest(batch, instance, _reported(batch, instance))
    corrupt_object(seaweedfs, batch.source, "a")
    assert _red(_ingest(batch, instance, _reported(batch, instance)))["no_damage"] == "1 damaged"
    corrupt_object(seaweedfs, batch.source, "b")
    job_id = _reported(batch, instance)
    if change == "overwritten":
        _edit(batch, job_id, lambda rows: rows.replace(_etag(batch, "a"), b"0" * 32))
    else:
        rest = f"{batch.source},a,".encode()
        _edit(
            batch, job_id, lambda rows: b"".join(r for r in rows.splitlines(True) if not r.startswith(rest))
        )
        progress = batch.control.jobs.describe_job({"JobId": job_id})["Job"]["ProgressSummary"]
        progress["NumberOfTasksSucceeded"] -= 1
        progress["TotalNumberOfTasks"] -= 1
    red = _red(_ingest(batch, instance, job_id))
    assert red["no_damage"] == "2 damaged" and red["all_read"].startswith("1 not read")
    assert [[each.key for each in incident.objects] for incident in incidents_now(batch.lake)] == [
        ["a"],
        ["b"],
    ]


def test_composite_checksums_are_a_warning_and_red_where_they_change_though_nobody_wrote(
    batch: BatchPlatform, instance: dg.DagsterInstance, seaweedfs: SeaweedFS
) -> None:
    batch.batch_settings["checksum_type"] = "COMPOSITE"
    for key in "abc":
        batch.put(key, b"bytes of " + key.encode())
    for _ in range(2):
        told = _red(_ingest(batch, instance, _reported(batch, instance)))
        assert told == {"all_read": "3 not read or not compared: CompositeChecksum: 3"}
    for key in "ab":
        corrupt_object(seaweedfs, batch.source, key)
    for _ in range(2):  # and it stays so
        result = _ingest(batch, instance, _reported(batch, instance))
        assert _red(result) == {"all_read": "CompositeChanged: 2"}
        (found,) = [each for each in result.get_asset_check_evaluations() if each.check_name == "all_read"]
        assert found.severity == dg.AssetCheckSeverity.ERROR
    batch.put("a", b"written anew")  # so its parts may be others
    told = _red(_ingest(batch, instance, _reported(batch, instance)))
    assert told == {"all_read": "CompositeChanged: 1"}
    batch.batch_settings["checksum_type"] = "FULL_OBJECT"  # of what are perhaps the wrong bytes
    for _ in range(2):
        told = _red(_ingest(batch, instance, _reported(batch, instance)))
        assert told == {"all_read": "CompositeChanged: 1"}
    assert {row["key"]: row["verdict"] for row in _newest(batch)} == {
        "a": "matched",
        "b": "not_compared",
        "c": "matched",
    }


@pytest.mark.parametrize("told", [b"COMPOSITE", b"", None])
def test_a_row_of_another_type_of_checksum_than_was_asked_for_is_no_pass(
    batch: BatchPlatform, instance: dg.DagsterInstance, told: bytes | None
) -> None:
    for key in "ab":
        batch.put(key, b"bytes of " + key.encode())
    _ingest(batch, instance, _reported(batch, instance))
    job_id = _reported(batch, instance)
    said = b',""checksumType"":""FULL_OBJECT""'
    other = b"" if told is None else said.replace(b"FULL_OBJECT", told)
    _edit(batch, job_id, lambda rows: rows.replace(said, other))
    assert _red(_ingest(batch, instance, job_id)) == {"all_read": "OtherChecksumType: 2"}


def test_a_job_of_your_own_proves_nothing_of_an_object_that_was_written_after_it_began(
    batch: BatchPlatform, instance: dg.DagsterInstance
) -> None:
    def ingested(job_id: str, created_at: datetime) -> dg.ExecuteInProcessResult:
        batch.control.compute_jobs[job_id] = {
            "jobId": job_id,
            "jobName": f"checksums-{PAIR}",
            "status": "SUCCEEDED",
            "createdAt": int(created_at.timestamp() * 1000),
        }
        body = b"the same bytes, written again"
        etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
        task = Task(batch.source, "a", "", etag, hashlib.sha256(body).hexdigest())
        batch.s3.put_object(Bucket=batch.source, Key="a", Body=body)
        batch.run(instance, INVENTORY_JOB, PAIR)
        report = ReportRequest(
            batch.managed, f"batch/reports/checksum/{batch.source}", "SHA256", "FULL_OBJECT"
        )
        write_report(batch.s3, report, job_id, [task], created_at + timedelta(seconds=1))
        return batch.run(instance, INGEST_JOB, PAIR, tags={COMPUTE_TAG: job_id})

    now = datetime.now(UTC)
    assert _red(ingested("early", now - timedelta(hours=1))) == {"all_read": "WrittenSinceRead: 1"}
    assert _red(ingested("late", now + timedelta(seconds=20))) == {}


def test_the_manifest_of_an_earlier_job_s_report_is_refused(
    batch: BatchPlatform, instance: dg.DagsterInstance, seaweedfs: SeaweedFS
) -> None:
    batch.put("a")
    earlier = _reported(batch, instance)
    _ingest(batch, instance, earlier)
    corrupt_object(seaweedfs, batch.source, "a")
    job_id = _reported(batch, instance)
    folder = f"batch/reports/checksum/{batch.source}/job-"
    content = batch.s3.get_object(Bucket=batch.managed, Key=f"{folder}{earlier}/manifest.json")["Body"].read()
    batch.s3.put_object(Bucket=batch.managed, Key=f"{folder}{job_id}/manifest.json", Body=content)
    refused = _ingest(batch, instance, job_id)
    assert not refused.success and "it is the manifest of another job's report" in failures(refused)


def test_a_successful_row_with_the_status_of_an_error_is_no_pass(
    batch: BatchPlatform, instance: dg.DagsterInstance
) -> None:
    batch.put("a")
    _ingest(batch, instance, _reported(batch, instance))
    job_id = _reported(batch, instance)
    _edit(batch, job_id, lambda rows: rows.replace(b",200,,", b",500,InternalError,"))
    assert _red(_ingest(batch, instance, job_id)) == {"all_read": "ContradictoryStatus: 1"}
