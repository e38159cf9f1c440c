"""The jobs of the stand-in: kept in memory, run in threads, with an event when they end.

HTTP and XML do not belong here.
"""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from uuid import uuid4

from botocore.exceptions import ClientError

from devstack.completion_reports import ReportRequest, Task, write_report
from fixity.catalog import Algorithm
from fixity.digests.algorithms import Digest

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

REGION = "us-east-1"
ENDED = ("Complete", "Failed", "Cancelled")
_PIECE = 1024 * 1024


@dataclass
class Behaviour:
    """The stand-in's faults.

    fail_keys: objects whose tasks fail as if encrypted with SSE-C. fail_jobs: real names of buckets whose
    jobs fail. lose_events: send no events. send_twice: send each event twice. hold: jobs stay active until
    this is set. most_active: how many jobs may be active before TooManyRequests.
    """

    fail_keys: set[str] = field(default_factory=set)
    fail_jobs: set[str] = field(default_factory=set)
    lose_events: bool = False
    send_twice: bool = False
    hold: threading.Event | None = None
    most_active: int = 6


class Refused(Exception):
    """A request that S3 Control would refuse, with its code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Jobs:
    """All jobs. `s3` is the client for objects and reports; `announce` is called with events as JSON."""

    def __init__(self, s3: S3Client, announce: Callable[[str], object], behaviour: Behaviour) -> None:
        self._s3 = s3
        self._announce = announce
        self._behaviour = behaviour
        self._jobs: dict[str, dict[str, Any]] = {}
        self._requests: dict[str, tuple[dict[str, Any], str]] = {}
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def create_job(self, request: dict[str, Any]) -> dict[str, Any]:
        """CreateJob. A token that was used before returns its job."""
        token = request.pop("ClientRequestToken")
        with self._lock:
            if token in self._requests:
                before, job_id = self._requests[token]
                if before != request:
                    raise Refused("IdempotencyException", "the token was used for another request")
                return {"JobId": job_id}
            if len(self._active()) >= self._behaviour.most_active:
                raise Refused("TooManyRequestsException", "too many active jobs")
            if ("Manifest" in request) == ("ManifestGenerator" in request):
                raise Refused("InvalidRequest", "either a manifest or a manifest generator")
            job_id = str(uuid4())
            self._jobs[job_id] = {
                "JobId": job_id,
                "JobArn": f"arn:aws:s3:{REGION}:{request['AccountId']}:job/{job_id}",
                "Status": "New",
                "CreationTime": datetime.now(UTC),
                "ProgressSummary": _progress(0, 0, 0),
                "FailureReasons": [],
                **request,
            }
            self._requests[token] = request, job_id
        thread = threading.Thread(target=self._run, args=(self._jobs[job_id],), daemon=True)
        self._threads.append(thread)
        thread.start()
        return {"JobId": job_id}

    def describe_job(self, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeJob."""
        return {"Job": self._job(request["JobId"])}

    def list_jobs(self, request: dict[str, Any]) -> dict[str, Any]:
        """ListJobs."""
        wanted = request.get("JobStatuses")
        jobs = [job for job in self._jobs.values() if not wanted or job["Status"] in wanted]
        return {"Jobs": [{**job, "Operation": next(iter(job["Operation"]))} for job in jobs]}

    def update_job_status(self, request: dict[str, Any]) -> dict[str, Any]:
        """UpdateJobStatus: cancels a job."""
        job = self._job(request["JobId"])
        if request["RequestedJobStatus"] != "Cancelled" or job["Status"] in ENDED:
            raise Refused("JobStatusException", f"the job is {job['Status']}")
        self._end(job, "Cancelled")
        return {"JobId": job["JobId"], "Status": "Cancelled"}

    def forget(self, job_id: str) -> None:
        """Forget a job, as S3 does after 90 days."""
        del self._jobs[job_id]

    def wait(self) -> None:
        """Wait until all jobs have ended."""
        for thread in self._threads:
            thread.join()

    def _job(self, job_id: str) -> dict[str, Any]:
        if job_id not in self._jobs:
            raise Refused("NoSuchJobException", f"there is no job {job_id}")
        return self._jobs[job_id]

    def _active(self) -> list[str]:
        return [job["JobId"] for job in self._jobs.values() if job["Status"] not in ENDED]

    def _run(self, job: dict[str, Any]) -> None:
        try:
            self._work(job)
        except ClientError as error:
            job["FailureReasons"] = [{"FailureCode": "AccessDenied", "FailureReason": str(error)}]
            self._end(job, "Failed")

    def _work(self, job: dict[str, Any]) -> None:
        job["Status"] = "Preparing"
        objects = list(self._objects(job))
        if not objects:
            job["FailureReasons"] = [
                {
                    "FailureCode": "InvalidManifestContent",
                    "FailureReason": "Manifest generation found no keys matching the filter criteria.",
                }
            ]
            return self._end(job, "Failed")
        job["Status"], job["ProgressSummary"] = "Active", _progress(len(objects), 0, 0)
        if self._behaviour.hold:
            self._behaviour.hold.wait()
        if job["Status"] != "Active":  # cancelled
            return None
        if objects[0][0] in self._behaviour.fail_jobs:
            job["FailureReasons"] = [
                {"FailureCode": "JobReachedTaskFailureThreshold", "FailureReason": "Too many tasks failed."}
            ]
            return self._end(job, "Failed")
        tasks = [self._task(*each, job["Operation"]) for each in objects]
        failed = sum(bool(task.failure) for task in tasks)
        job["ProgressSummary"] = _progress(len(tasks), len(tasks) - failed, failed)
        job["Status"] = "Completing"
        write_report(self._s3, ReportRequest.of(job), job["JobId"], tasks, datetime.now(UTC))
        return self._end(job, "Complete")

    def _objects(self, job: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
        """Bucket, key and version of each object of the job's manifest."""
        if "Manifest" in job:
            bucket, _, key = job["Manifest"]["Location"]["ObjectArn"].rpartition(":")[2].partition("/")
            body = self._s3.get_object(Bucket=bucket, Key=key, IfMatch=job["Manifest"]["Location"]["ETag"])
            for row in csv.reader(io.StringIO(body["Body"].read().decode())):
                yield row[0], unquote(row[1]), row[2] if len(row) > 2 else ""
            return
        generator = job["ManifestGenerator"]["S3JobManifestGenerator"]
        bucket = generator["SourceBucket"].rpartition(":")[2]
        prefixes = generator.get("Filter", {}).get("KeyNameConstraint", {}).get("MatchAnyPrefix", [""])
        for page in self._s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for each in page.get("Versions", []):
                if any(each["Key"].startswith(prefix) for prefix in prefixes):
                    version = each["VersionId"]
                    yield bucket, each["Key"], "" if version == "null" else version

    def _task(self, bucket: str, key: str, version_id: str, operation: dict[str, Any]) -> Task:
        if key in self._behaviour.fail_keys:
            why = 'SSE-C encryption type is not supported for this operation, "GetObject'
            return Task(bucket, key, version_id, failure=why, failure_code="400")
        version: Any = {"VersionId": version_id} if version_id else {}
        try:
            answer = self._s3.get_object(Bucket=bucket, Key=key, **version)
        except ClientError:
            why = f'Access Denied, or no such key: "{key}, as listed'
            return Task(bucket, key, version_id, failure=why, failure_code="404")
        if copy := operation.get("S3PutObjectCopy"):
            source: Any = {"Bucket": bucket, "Key": key, **version}
            more: Any = {name: copy[name] for name in ("StorageClass",) if name in copy}
            target = copy["TargetResource"].rpartition(":")[2]
            self._s3.copy_object(Bucket=target, Key=key, CopySource=source, **more)
            return Task(bucket, key, version_id)
        algorithm: Algorithm = operation["S3ComputeObjectChecksum"]["ChecksumAlgorithm"]
        digest = Digest(algorithm)
        for piece in answer["Body"].iter_chunks(_PIECE):
            digest.update(memoryview(piece))
        return Task(bucket, key, version_id, answer["ETag"].strip('"'), digest.hexdigest())

    def _end(self, job: dict[str, Any], status: str) -> None:
        job["TerminationDate"] = datetime.now(UTC)
        job["Status"] = status
        for _ in range(0 if self._behaviour.lose_events else 2 if self._behaviour.send_twice else 1):
            self._announce(json.dumps(job_event(job["JobId"], status, job["AccountId"])))


def _progress(total: int, succeeded: int, failed: int) -> dict[str, int]:
    return {
        "TotalNumberOfTasks": total,
        "NumberOfTasksSucceeded": succeeded,
        "NumberOfTasksFailed": failed,
    }


def job_event(job_id: str, status: str, account: str) -> dict[str, Any]:
    """The event of a job's new status, in the form of EventBridge."""
    return {
        "version": "0",
        "id": str(uuid4()),
        "detail-type": "AWS Service Event via CloudTrail",
        "source": "aws.s3",
        "account": account,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [],
        "detail": {
            "eventVersion": "1.08",
            "eventSource": "s3.amazonaws.com",
            "eventName": "JobStatusChanged",
            "awsRegion": REGION,
            "eventID": str(uuid4()),
            "readOnly": False,
            "eventType": "AwsServiceEvent",
            "managementEvent": True,
            "recipientAccountId": account,
            "serviceEventDetails": {
                "jobId": job_id,
                "jobArn": f"arn:aws:s3:{REGION}:{account}:job/{job_id}",
                "status": status,
                "jobEventId": uuid4().hex,
                "failureCodes": [],
                "statusChangeReason": [],
            },
        },
    }
