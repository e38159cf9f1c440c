"""The Lambda in the state machine, and the verb for people: over the wire, each as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from devstack.seaweedfs import SeaweedFS
from fixity.engines.step_functions import ResultsRefused
from fixity.engines.step_functions.handler import handler
from tests.fixity.engines.step_functions.support import WrittenRun, execution, failed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FIXITY = Path(sys.executable).with_name("fixity")


@pytest.fixture
def written(s3: S3Client, results_bucket: str) -> WrittenRun:
    run = WrittenRun(s3, results_bucket)
    run.put([execution({"a": 1})])
    return run.finish()


def _message(written: WrittenRun) -> dict[str, Any]:
    details = {"Bucket": written.bucket, "Key": written.key}
    return {"results": {"MapRunArn": written.manifest["MapRunArn"], "ResultWriterDetails": details}}


def _catalog(folder: Path, seaweedfs: SeaweedFS, **map_results: object) -> Path:
    file = folder / "fixity.yaml"
    said = {
        "lake": "./lake",
        "stores": {"near": {"endpoint_url": seaweedfs.endpoint_url, "region": "us-east-1"}},
        "buckets": {"any": None},
        "map_results": {"store": "near", **map_results},
    }
    file.write_text(yaml.safe_dump(said))
    return file


def test_the_state_machine_s_message_brings_the_object_s_key_and_bucket_without_dagster(
    written: WrittenRun, seaweedfs: SeaweedFS
) -> None:
    # The path is the one that deployed Lambdas are configured with.
    program = (
        "import json, sys\n"
        "from fixity.map_results.handler import handler\n"
        "print(json.dumps(handler(json.loads(sys.stdin.read()), None)))\n"
        "sys.exit(any(name in sys.modules for name in ('dagster', 'pyarrow', 'duckdb')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(_message(written)),
        env={**os.environ, "AWS_ENDPOINT_URL_S3": seaweedfs.endpoint_url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"key": written.results_key, "bucket": written.bucket}
    assert written.results()["results"] == [{"a": 1}]


def test_the_lambda_goes_by_its_catalog(
    written: WrittenRun, seaweedfs: SeaweedFS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "gathered/{consignment_id}/{uuid}.json"
    file = _catalog(tmp_path, seaweedfs, bucket=written.bucket, results_key=key, on_failed="include")
    monkeypatch.setenv("FIXITY_CATALOG", str(file))
    written.put([failed("bad")], "FAILED")
    written.finish()
    assert handler(_message(written), None) == {
        "key": f"gathered/{written.name}.json",
        "bucket": written.bucket,
    }


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"results": None},
        {"results": {"ResultWriterDetails": {"Bucket": "b"}}},
        {"results": {"ResultWriterDetails": {"Bucket": "b", "Key": 3}}},
        {"results": {"ResultWriterDetails": {"Bucket": "", "Key": "k"}}},
        {"results": []},
    ],
)
def test_a_message_without_bucket_and_key_is_refused(message: dict[str, Any]) -> None:
    with pytest.raises(ResultsRefused, match=r"results\.ResultWriterDetails"):
        handler(message, None)


def test_by_hand_it_prints_the_same_and_says_plainly_what_it_refuses(
    written: WrittenRun, seaweedfs: SeaweedFS, tmp_path: Path
) -> None:
    def fixity(*words: str) -> subprocess.CompletedProcess[str]:
        command = [str(FIXITY), "map-results", *words]
        environment = {**os.environ, "AWS_ENDPOINT_URL_S3": seaweedfs.endpoint_url}
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    url = f"s3://{written.bucket}/{written.key}"
    done = fixity(url)  # without any catalog
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"key": written.results_key, "bucket": written.bucket}

    written.put([failed("bad")], "FAILED")
    written.finish()
    catalog = str(_catalog(tmp_path, seaweedfs, bucket=written.bucket))
    refused = fixity(url, "--catalog", catalog)
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "bad (FAILED: States.TaskFailed: no such file)" in refused.stderr
    assert fixity(url, "--on-failed", "include").returncode == 0
    assert written.results()["failed"][0]["Name"] == "bad"
    nowhere = fixity(f"s3://{written.bucket}/manifest.json")
    assert nowhere.returncode == 3 and "is not the key of a map run's manifest" in nowhere.stderr
