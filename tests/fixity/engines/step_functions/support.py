"""Map runs as Step Functions leaves them in a bucket: result files, and the manifest that lists them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from fixity.engines.step_functions import MapRun, ResultsBucket, gather

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ARN = "arn:aws:states:eu-west-2:123456789012"


def execution(output: object, name: str = "", **more: object) -> dict[str, object]:
    """An element of SUCCEEDED_n.json as the service writes it; `output` that is text is put in as it is."""
    name = name or str(uuid4())
    return {
        "ExecutionArn": f"{ARN}:execution:checks/Map:{name}",
        "Input": '{"fileId": "1"}',
        "InputDetails": {"Included": True},
        "Name": name,
        "Output": output if isinstance(output, str) else json.dumps(output),
        "OutputDetails": {"Included": True},
        "RedriveCount": 0,
        "RedriveStatus": "NOT_REDRIVABLE",
        "StartDate": "2024-03-02T10:00:00.123Z",
        "StateMachineArn": f"{ARN}:stateMachine:checks/Map",
        "Status": "SUCCEEDED",
        "StopDate": "2024-03-02T10:00:01.456Z",
    } | more


def failed(name: str, error: str = "States.TaskFailed", cause: str = "no such file") -> dict[str, object]:
    """An element of FAILED_n.json."""
    said = execution({}, name, Status="FAILED", Error=error, Cause=cause)
    return {key: value for key, value in said.items() if key not in ("Output", "OutputDetails")}


def pending() -> dict[str, object]:
    """An element of PENDING_n.json: an execution that was never started has no name."""
    return {"Input": "{}", "InputDetails": {"Included": True}, "Status": "PENDING"}


class WrittenRun:
    """A map run in a bucket, under the prefix of a consignment.

    The ResultWriter's prefix ends in `checks`, not in `results.json` as at the National Archives:
    SeaweedFS completes no multipart upload to a name that is a folder too.
    """

    def __init__(self, s3: S3Client, bucket: str, writer: str = "checks") -> None:
        self.s3 = s3
        self.bucket = bucket
        self.name = f"{uuid4()}/{uuid4()}"
        self.folder = f"{self.name}/{writer}/{uuid4()}/"
        self.manifest: dict[str, Any] = {
            "DestinationBucket": bucket,
            "MapRunArn": f"{ARN}:mapRun:checks/Map:{uuid4()}",
            "ResultFiles": {"FAILED": [], "PENDING": [], "SUCCEEDED": []},
        }

    @property
    def key(self) -> str:
        """The manifest's key."""
        return f"{self.folder}manifest.json"

    @property
    def run(self) -> MapRun:
        """The map run by its names."""
        return MapRun.of(self.bucket, self.key)

    @property
    def results_key(self) -> str:
        """Where the results belong."""
        return f"{self.name}/results.json"

    def put(self, elements: Sequence[object] | bytes, status: str = "SUCCEEDED", end: str = "json") -> str:
        """Write the next result file; returns its key."""
        files = self.manifest["ResultFiles"].setdefault(status, [])
        key = f"{self.folder}{status}_{len(files)}.{end}"
        body = elements if isinstance(elements, bytes) else json.dumps(elements).encode()
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)
        files.append({"Key": key, "Size": len(body)})
        return key

    def finish(self, manifest: bytes | None = None) -> WrittenRun:
        """Write the manifest, as the service does last of all."""
        body = json.dumps(self.manifest).encode() if manifest is None else manifest
        self.s3.put_object(Bucket=self.bucket, Key=self.key, Body=body)
        return self

    def gather(self, **settings: Any) -> dict[str, str]:
        """Gather the results; returns what the next step is told."""
        bucket = ResultsBucket(self.s3, self.bucket, backoff=0)
        return gather(bucket, self.run, self.results_key, **settings).message

    def body(self) -> bytes:
        """The results object's bytes."""
        return self.s3.get_object(Bucket=self.bucket, Key=self.results_key)["Body"].read()

    def results(self) -> dict[str, Any]:
        """The results object, decoded."""
        said: dict[str, Any] = json.loads(self.body())
        return said

    @property
    def written(self) -> bool:
        """Whether there is a results object, or a part of one."""
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=self.results_key).get("Contents", [])
        uploads = self.s3.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        return bool([each for each in listed if each["Key"] == self.results_key] or uploads)
