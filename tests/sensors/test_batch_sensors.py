"""What wakes the platform when jobs of S3 end: events, and looking again where none came."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from devstack.s3_control_jobs import job_event
from fixity.engines.s3_batch.job_records import open_jobs, outcome_of, receipt_file, waiting_requests
from fixity.lake.proof import sealed, unsealed
from jobs.names import CHECKSUMS_JOB, INGEST_JOB, INVENTORY_JOB
from sensors import batch_reconciliation
from tests.batch_platform import ACCOUNT, REPLICA, BatchPlatform, failures, reason
from tests.platform import PAIR


@pytest.fixture(autouse=True)
def no_head_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs of these tests have ended a moment ago."""
    monkeypatch.setattr(batch_reconciliation, "HEAD_START", timedelta(0))


def test_foreign_jobs_garbage_and_other_events_are_acknowledged_and_named(
    batch: BatchPlatform, instance: dg.DagsterInstance
) -> None:
    batch.queue.send(job_event("not-ours", "Complete", ACCOUNT))
    batch.queue.send(job_event("../../etc/passwd", "Complete", ACCOUNT))
    batch.queue.send(job_event("not-ours", "New", ACCOUNT))
    batch.queue.send("no JSON")
    batch.queue.send({"Records": []})
    tick = batch.tick(instance, "batch_completion")
    assert not tick.run_requests
    said = reason(tick)
    assert "the job not-ours was not submitted by this platform: skipped" in said
    assert "not a JSON object" in said and "is New: nothing to do yet" in said
    batch.tick(instance, "batch_completion", tick.cursor)
    assert batch.queue.kept == 0


def test_an_event_is_a_hint_only_a_job_that_runs_is_not_ingested(
    batch: BatchPlatform, instance: dg.DagsterInstance
) -> None:
    batch.put("a")
    batch.control.behaviour.hold = threading.Event()
    job = batch.request(instance, PAIR)
    batch.queue.send(job_event(str(job), "Complete", ACCOUNT))
    tick = batch.tick(instance, "batch_completion")
    assert not tick.run_requests and f"'{PAIR}' waits for the job {job}: Active, 0 of 1" in reason(tick)
    assert tick.cursor == "[]"  # the message stays: S3 may only be late with its answer
    by_hand = batch.run(instance, INGEST_JOB, PAIR)
    assert not by_hand.success
    assert f"the job {job} of '{PAIR}' is Active: 0 of 1 tasks done" in failures(by_hand)
    assert "will ingest its report" in failures(by_hand)


def test_a_lost_event_is_made_up_for_by_looking_again_once(
    batch: BatchPlatform, instance: dg.DagsterInstance
) -> None:
    batch.put("a")
    batch.control.behaviour.lose_events = True
    job = batch.request(instance, PAIR)
    batch.control.jobs.wait()
    assert not batch.tick(instance, "batch_completion").run_requests
    tick = batch.tick(instance, "batch_reconciliation")
    assert [request.run_key for request in tick.run_requests or []] == [f"job:{job}"]
    assert batch.follow(instance, tick)[0].success
    assert not batch.tick(instance, "batch_reconciliation").run_requests
    # The event after all: the run is not asked for again.
    batch.queue.send(job_event(str(job), "Complete", ACCOUNT))
    assert not batch.tick(instance, "batch_completion").run_requests


def test_a_job_that_has_just_ended_is_left_to_its_event(
    batch: BatchPlatform, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_reconciliation, "HEAD_START", timedelta(minutes=10))
    batch.put("a")
    batch.request(instance, PAIR)
    batch.control.jobs.wait()
    tick = batch.tick(instance, "batch_reconciliation")
    assert not tick.run_requests and "its event may still come" in reason(tick)


def test_a_run_that_one_sensor_asked_for_is_not_asked_for_by_the_other(
    batch: BatchPlatform, instance: dg.DagsterInstance
) -> None:
    batch.put("a")
    job = batch.request(instance, PAIR)
    batch.control.jobs.wait()
    request = (batch.tick(instance, "batch_completion").run_requests or [])[0]
    instance.create_run_for_job(  # queued, and not begun
        batch.definitions().resolve_job_def(INGEST_JOB),
        tags={**request.tags, "dagster/partition": PAIR},
    )
    tick = batch.tick(instance, "batch_reconciliation")
    assert not tick.run_requests and f"a run for the job {job} of '{PAIR}' was started" in reason(tick)


def test_a_run_that_failed_is_asked_for_again_but_three_times_at_most(
    batch: BatchPlatform, instance: dg.DagsterInstance
) -> None:
    batch.put("a")
    job = batch.request(instance, PAIR)
    batch.control.jobs.wait()
    keys = []
    definition = batch.definitions().resolve_job_def(INGEST_JOB)
    for status in (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE):
        (request,) = batch.tick(instance, "batch_reconciliation").run_requests or []
        keys.append(request.run_key)
        instance.create_run_for_job(
            definition, status=status, tags={**request.tags, "dagster/partition": PAIR}
        )
    assert keys == [f"job:{job}", f"job:{job}:2", f"job:{job}:3"]
    tick = batch.tick(instance, "batch_reconciliation")
    assert not tick.run_requests and f"3 runs for the job {job} of '{PAIR}' failed" in reason(tick)


def test_failed_cancelled_and_vanished_jobs_fail_the_partition_with_the_reason_once(
    batch: BatchPlatform, instance: dg.DagsterInstance
) -> None:
    batch.put("a")
    batch.control.behaviour.lose_events = True
    batch.control.behaviour.fail_jobs.add(batch.source)
    failed = batch.request(instance, PAIR)
    batch.control.jobs.wait()
    batch.control.behaviour.hold = threading.Event()
    cancelled = batch.request(instance, REPLICA)
    batch.control.jobs.update_job_status({"JobId": cancelled, "RequestedJobStatus": "Cancelled"})
    runs = batch.follow(instance, batch.tick(instance, "batch_reconciliation"))
    assert [run.success for run in runs] == [False, False]
    said = "".join(map(failures, runs))
    assert f"the job {failed} of '{PAIR}' failed" in said and "Too many tasks failed." in said
    assert f"the job {cancelled} of '{REPLICA}' was cancelled" in said
    assert not batch.tick(instance, "batch_reconciliation").run_requests
    assert outcome_of(batch.lake, PAIR, str(failed)) is not None


def test_a_vanished_job_is_told_when_it_is_no_longer_young_and_its_report_serves_still(
    batch: BatchPlatform, instance: dg.DagsterInstance
) -> None:
    batch.put("a")
    batch.control.behaviour.lose_events = True
    job = str(batch.request(instance, PAIR))
    batch.control.jobs.wait()
    batch.control.jobs.forget(job)
    young = batch.tick(instance, "batch_reconciliation")
    assert not young.run_requests and "Vanished" in reason(young)
    _make_old(batch, PAIR, job)
    (run,) = batch.follow(instance, batch.tick(instance, "batch_reconciliation"))
    assert run.success  # S3 has forgotten the job, not its report
    lost = str(batch.request(instance, REPLICA))
    batch.control.jobs.wait()
    batch.control.jobs.forget(lost)
    batch.s3.delete_object(
        Bucket=batch.managed, Key=f"batch/reports/checksum/{batch.replica}/job-{lost}/manifest.json"
    )
    _make_old(batch, REPLICA, lost)
    (run,) = batch.follow(instance, batch.tick(instance, "batch_reconciliation"))
    assert not run.success and "has no completion report" in failures(run)
    assert open_jobs(batch.lake, REPLICA) == []


def test_what_is_missing_but_not_forgotten_by_s3_leaves_the_job_open(
    batch: BatchPlatform, instance: dg.DagsterInstance
) -> None:
    batch.put("a")
    job = str(batch.request(instance, PAIR))
    batch.control.jobs.wait()
    (inventory,) = (batch.folder / f"lake/inventory/{PAIR}").glob("*.parquet")
    inventory.rename(batch.folder / "elsewhere")
    gone = batch.run(instance, INGEST_JOB, PAIR)
    assert f"the inventory {inventory}" in failures(gone) and "is gone: put it back" in failures(gone)
    (batch.folder / "elsewhere").rename(inventory)
    prefix = f"batch/reports/checksum/{batch.source}/job-{job}"
    source = {"Bucket": batch.managed, "Key": f"{prefix}/manifest.json"}
    batch.s3.copy(source, batch.managed, "elsewhere")  # type: ignore[arg-type]
    batch.s3.delete_object(**source)  # type: ignore[arg-type]
    late = batch.run(instance, INGEST_JOB, PAIR)
    assert "has no completion report" in failures(late)
    assert [record.job_id for record in open_jobs(batch.lake, PAIR)] == [job]
    batch.s3.copy({"Bucket": batch.managed, "Key": "elsewhere"}, batch.managed, source["Key"])
    batch.batch_settings["report_bucket"] = "another-one"  # since the job was submitted
    assert batch.run(instance, INGEST_JOB, PAIR).success and open_jobs(batch.lake, PAIR) == []


def _make_old(batch: BatchPlatform, bucket: str, job: str) -> None:
    file = Path(batch.lake.location(f"s3_batch/{bucket}/jobs/{job}.json"))
    file.write_text(sealed({**unsealed(file.read_text()), "created_at": "2026-01-01T00:00:00+00:00"}))


def test_a_full_account_means_waiting_and_the_request_is_taken_up_when_there_is_room(
    batch: BatchPlatform, instance: dg.DagsterInstance
) -> None:
    batch.put("a")
    batch.control.behaviour.most_active = 1
    batch.control.behaviour.hold = threading.Event()
    assert batch.request(instance, PAIR)
    assert batch.request(instance, REPLICA) is None  # refused by S3: no failure, nothing materialized
    assert len(waiting_requests(batch.lake, REPLICA)) == 1
    assert batch.request(instance, REPLICA) is None  # asking again makes no second request
    assert len(waiting_requests(batch.lake, REPLICA)) == 1
    batch.control.behaviour.hold.set()
    batch.control.jobs.wait()
    tick = batch.tick(instance, "batch_reconciliation")
    (request,) = [each for each in tick.run_requests or [] if each.job_name == "request_checksums"]
    assert request.partition_key == REPLICA
    assert request.asset_selection == [dg.AssetKey("checksum_job")]
    going_on = instance.create_run_for_job(
        batch.definitions().resolve_job_def("request_checksums"), tags=dict(request.tags)
    )
    again = batch.tick(instance, "batch_reconciliation")
    assert not [each for each in again.run_requests or [] if each.job_name == "request_checksums"]
    instance.report_run_canceled(going_on)
    batch.follow(instance, dg.SensorResult(run_requests=[request]))
    assert waiting_requests(batch.lake, REPLICA) == [] and len(open_jobs(batch.lake, REPLICA)) == 1


def test_receipts_stand_at_duracloud_s_path_and_name_both_jobs(
    batch: BatchPlatform, instance: dg.DagsterInstance
) -> None:
    batch.put("a")
    first, second = (str(batch.request(instance, bucket)) for bucket in (PAIR, REPLICA))
    for job in (first, second):
        said = json.loads(batch.lake.read_text(receipt_file(job)))
        assert (said["source_bucket"], said["source_job_id"]) == (batch.source, first)
        assert (said["repl_bucket"], said["repl_job_id"]) == (batch.replica, second)
    assert receipt_file("x") == "metadata/0000-00-00-LATEST/checksums/receipts/x.json"


def test_an_empty_bucket_is_an_empty_table_and_no_error(
    batch: BatchPlatform, instance: dg.DagsterInstance
) -> None:
    batch.request(instance, PAIR)
    batch.control.jobs.wait()
    (run,) = batch.follow(instance, batch.tick(instance, "batch_completion"))
    assert run.success
    (event,) = run.get_asset_materialization_events()
    assert event.step_materialization_data.materialization.metadata["dagster/row_count"].value == 0


def test_a_selection_goes_with_a_manifest_of_its_own_keys_encoded(
    batch: BatchPlatform, instance: dg.DagsterInstance
) -> None:
    for key in ("a b+c%/é.txt", "other", "third"):
        batch.put(key)
    keys = batch.folder / "keys.txt"
    keys.write_text("a b+c%/é.txt\nthird\n", encoding="utf-8")
    batch.request(instance, PAIR, keys_file=keys)
    batch.control.jobs.wait()
    (run,) = batch.follow(instance, batch.tick(instance, "batch_completion"))
    (event,) = run.get_asset_materialization_events()
    metadata = event.step_materialization_data.materialization.metadata
    assert (metadata["dagster/row_count"].value, metadata["succeeded"].value) == (2, 2)
    (asked,) = [said for name, said in batch.control.requests if name == "CreateJob"]
    assert asked["Manifest"]["Spec"]["Fields"] == ["Bucket", "Key"] and "ManifestGenerator" not in asked
    keys.write_text("nobody\n", encoding="utf-8")
    config = {"ops": {"checksum_job": {"config": {"keys_file": str(keys)}}}}
    refused = batch.run(instance, "request_checksums", PAIR, config=config)
    assert "1 of 1 requested objects are not in the newest inventory" in failures(refused)


def test_without_a_job_it_is_said_what_to_run(batch: BatchPlatform, instance: dg.DagsterInstance) -> None:
    batch.put("a")
    assert f"run `fixity request {PAIR}`" in failures(batch.run(instance, CHECKSUMS_JOB, PAIR))


def _computed(batch: BatchPlatform, job: str, status: str, **more: object) -> None:
    """A job of AWS Batch as the service has it, and its event."""
    said = {"jobId": job, "jobName": "nightly", "status": status, "jobQueue": "q", "startedAt": 0, **more}
    batch.control.compute_jobs[job] = {**said, "jobDefinition": "d"}
    event = {"source": "aws.batch", "detail-type": "Batch Job State Change", "detail": said}
    batch.queue.send(event)


def test_a_job_of_aws_batch_that_left_a_report_is_ingested_like_s3_s_own(
    batch: BatchPlatform, instance: dg.DagsterInstance
) -> None:
    batch.put("a")
    job = str(batch.request(instance, PAIR))  # whose report stands in for that of the compute job
    batch.control.jobs.wait()
    batch.tick(instance, "batch_completion", batch.tick(instance, "batch_completion").cursor)
    prefix = f"batch/reports/checksum/{batch.source}"
    for each in batch.s3.list_objects_v2(Bucket=batch.managed, Prefix=f"{prefix}/job-{job}/")["Contents"]:
        content = batch.s3.get_object(Bucket=batch.managed, Key=each["Key"])["Body"].read()
        if each["Key"].endswith(".json"):  # a listing gives whole seconds: the job was clearly later
            later = (datetime.now(UTC) + timedelta(seconds=5)).isoformat()
            content = json.dumps({**json.loads(content), "ReportCreationDate": later}).encode()
        batch.s3.put_object(
            Bucket=batch.managed,
            Key=each["Key"].replace(job, "computed"),
            Body=content.replace(job.encode(), b"computed"),
        )
    _computed(batch, "computed", "SUCCEEDED", tags={"fixity-bucket": PAIR})
    _computed(batch, "foreign", "SUCCEEDED")
    _computed(batch, "begun", "RUNNING", tags={"fixity-bucket": PAIR})
    tick = batch.tick(instance, "batch_completion")
    (request,) = tick.run_requests or []
    assert (request.partition_key, request.run_key) == (PAIR, "compute:computed")
    (run,) = batch.follow(instance, tick)
    (event,) = run.get_asset_materialization_events()
    assert event.step_materialization_data.materialization.metadata["succeeded"].value == 1


def test_a_job_of_aws_batch_that_failed_fails_the_partition_with_its_reason(
    batch: BatchPlatform, instance: dg.DagsterInstance
) -> None:
    batch.put("a")
    batch.run(instance, INVENTORY_JOB, PAIR)
    why = "Essential container in task exited"
    _computed(batch, "computed", "FAILED", jobName=f"checksums-{PAIR}", statusReason=why)
    (run,) = batch.follow(instance, batch.tick(instance, "batch_completion"))
    assert not run.success and why in failures(run)
    # An event that the service does not bear out is no reason to do anything.
    _computed(batch, "forged", "SUCCEEDED", jobName=f"checksums-{PAIR}")
    batch.control.compute_jobs.clear()
    forged = batch.tick(instance, "batch_completion")
    assert not forged.run_requests and "AWS Batch knows no job forged" in reason(forged)
    event = {"source": "aws.batch", "detail-type": "Batch Job State Change", "account": "444455556666"}
    about = {"jobId": "computed", "jobName": f"checksums-{PAIR}", "status": "SUCCEEDED"}
    batch.queue.send({**event, "detail": about})
    foreign = batch.tick(instance, "batch_completion")
    assert not foreign.run_requests and "is of the account 444455556666" in reason(foreign)
