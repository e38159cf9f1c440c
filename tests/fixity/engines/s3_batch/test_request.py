"""A request becomes one job, whatever happens between asking S3 and keeping its answer."""

from __future__ import annotations

import hashlib

import dagster as dg
import pytest

from fixity.engines.s3_batch.batch_jobs import describe, job_request, open_s3_control, request_token
from fixity.engines.s3_batch.errors import S3ControlError
from fixity.engines.s3_batch.job_records import keep_waiting, open_jobs, waiting_requests
from fixity.engines.s3_batch.request import note_request, requested_job, submit_request
from jobs.names import INVENTORY_JOB
from resources import CatalogResource, S3ControlResource
from tests.batch_platform import ACCOUNT, BatchPlatform
from tests.platform import PAIR


def test_a_request_that_is_repeated_or_was_killed_half_way_is_one_job(
    batch: BatchPlatform, instance: dg.DagsterInstance
) -> None:
    batch.put("a")
    batch.run(instance, INVENTORY_JOB, PAIR)
    control = S3ControlResource(catalog=CatalogResource(file=str(batch.file)))
    catalog, lake, client = batch.catalog, batch.lake, control.client(PAIR)
    bucket, reports = catalog.buckets[PAIR], control.reports(PAIR)
    waiting = note_request(lake, reports, bucket, "root run")
    assert waiting_requests(lake, PAIR) == [waiting]  # noted before anything is asked of S3
    first = submit_request(catalog, lake, client, bucket, waiting, "run 1")
    keep_waiting(lake, waiting)  # as if killed before the answer was kept
    assert submit_request(catalog, lake, client, bucket, waiting, "run 2") == first
    again = note_request(lake, reports, bucket, "root run")  # a re-execution has the same root
    assert again.token == waiting.token
    assert submit_request(catalog, lake, client, bucket, again, "run 3") == first
    assert open_jobs(lake, PAIR) == [first] and waiting_requests(lake, PAIR) == []
    assert [name for name, _ in batch.control.requests].count("CreateJob") == 1
    assert len(batch.control.jobs.list_jobs({})["Jobs"]) == 1


def test_a_request_that_is_made_again_leaves_its_manifest_and_finds_its_job(
    batch: BatchPlatform, instance: dg.DagsterInstance
) -> None:
    batch.put("a")
    batch.run(instance, INVENTORY_JOB, PAIR)
    control = S3ControlResource(catalog=CatalogResource(file=str(batch.file)))
    catalog, lake, client = batch.catalog, batch.lake, control.client(PAIR)
    bucket, reports = catalog.buckets[PAIR], control.reports(PAIR)
    waiting = note_request(lake, reports, bucket, "root run", ["a"])
    job = submit_request(catalog, lake, client, bucket, waiting, "run 1")
    assert requested_job(lake, bucket, "root run") == job and requested_job(lake, bucket, "another") is None
    batch.control.jobs.wait()
    assert waiting.manifest
    name = waiting.manifest.key
    earlier = f"{batch.source},a,v1\n".encode()
    batch.s3.put_object(Bucket=batch.managed, Key=name, Body=earlier)  # as of another inventory
    again = note_request(lake, reports, bucket, "root run", ["a"])
    assert reports.read_text(name).encode() == earlier and again.manifest
    assert again.manifest.fields == ("Bucket", "Key", "VersionId")
    assert again.manifest.etag == hashlib.md5(earlier).hexdigest()
    assert submit_request(catalog, lake, client, bucket, again, "run 2") == job
    assert waiting_requests(lake, PAIR) == []


def test_the_request_says_what_the_catalog_says(batch: BatchPlatform) -> None:
    batch.bucket_settings.update(algorithm="CRC64NVME", prefix="box/")
    batch.batch_settings.update(priority=3)
    bucket = batch.catalog.buckets[PAIR]
    assert bucket.s3_batch is not None
    said = job_request(bucket, bucket.s3_batch, "token")
    assert said["Operation"]["S3ComputeObjectChecksum"] == {
        "ChecksumAlgorithm": "CRC64NVME",
        "ChecksumType": "FULL_OBJECT",
    }
    generator = said["ManifestGenerator"]["S3JobManifestGenerator"]
    assert generator["SourceBucket"] == f"arn:aws:s3:::{batch.source}"
    assert generator["Filter"] == {"KeyNameConstraint": {"MatchAnyPrefix": ["box/"]}}
    assert generator["ManifestOutputLocation"]["ManifestPrefix"] == "batch/manifests/checksum"
    assert said["Report"]["Prefix"] == f"batch/reports/checksum/{batch.source}"
    assert (said["Priority"], said["AccountId"], said["ConfirmationRequired"]) == (3, ACCOUNT, False)


def test_a_token_is_as_long_as_s3_allows_and_differs_between_requests() -> None:
    tokens = {request_token(bucket, run) for bucket in ("a", "b") for run in ("1", "2")}
    assert len(tokens) == 4 and {len(token) for token in tokens} == {64}


def test_a_refusal_of_s3_control_is_told_with_what_was_asked(batch: BatchPlatform) -> None:
    bucket = batch.catalog.buckets[PAIR]
    assert bucket.s3_batch is not None
    client = open_s3_control(bucket, batch.catalog.store_of(bucket), bucket.s3_batch)
    assert describe(client, ACCOUNT, "unknown").status == "Vanished"
    with pytest.raises(S3ControlError, match="S3 Control cannot be asked for the job : "):
        describe(client, ACCOUNT, "")


def test_a_bucket_that_s3_does_not_check_has_no_settings(batch: BatchPlatform) -> None:
    batch.bucket_settings["engine"] = "stream"
    control = S3ControlResource(catalog=CatalogResource(file=str(batch.file)))
    with pytest.raises(S3ControlError, match=r"has no `engine: s3_batch`"):
        control.settings(PAIR)
