"""`make demo-batch`: S3 Batch jobs compute the checksums, events start the runs, and the report is made.

All on one machine: SeaweedFS has the objects, moto's server has the queue, `devstack` imitates S3 Control,
and Dagster's daemon runs the sensors. Everything is in .demo-batch/.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg

from demo.collection import make_collection
from devstack.dagster_dev import dagster_dev
from devstack.moto_server import MotoServer
from devstack.s3_control import S3ControlServer
from devstack.seaweedfs import SeaweedFS

HOME = Path(".demo-batch").absolute()
PAIR, REPLICA, MANAGED = "stack-letters", "stack-letters-repl", "stack-managed"
CATALOG = """\
lake: ./lake
stores:
  aws: {{endpoint_url: "{s3}", region: us-east-1}}
  queues: {{endpoint_url: "{sqs}", region: us-east-1}}
stacks: [stack]
s3_batch:
  account_id: "111122223333"
  role_arn: arn:aws:iam::111122223333:role/fixity-jobs
  endpoint_url: "{control}"
pairs:
  stack-letters: {{replica: stack-letters-repl, replication_lag: 0s}}
queues:
  batch_completion: {{url: "{queue}", store: queues}}
"""
_PATIENCE = 300.0


def demo() -> None:
    """Show each step as it happens, from the request to the report."""
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:5.1f} s] {text}", flush=True)

    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir()
    with SeaweedFS(HOME / "server") as server, MotoServer() as moto:
        os.environ.update(server.environment, DAGSTER_HOME=str(HOME / "home"))
        queue = moto.make_queue()
        with S3ControlServer(server.client(), moto.sqs(), queue.url) as control:
            catalog = HOME / "fixity.yaml"
            catalog.write_text(
                CATALOG.format(
                    s3=server.endpoint_url,
                    sqs=moto.endpoint_url,
                    control=control.endpoint_url,
                    queue=queue.url,
                )
            )
            say(f"servers are running; {_fill(server)} objects in two buckets, one damaged in the replica")
            control.behaviour.hold = threading.Event()
            control.behaviour.fail_keys.add("letters/index.csv")
            say("starting Dagster, whose daemon runs the sensors")
            with dagster_dev(HOME, catalog) as dev:
                say(f"Dagster is running at {dev.url}; requesting both jobs:  fixity request {PAIR}")
                _fixity(catalog, "request", PAIR)
                say("the jobs at S3:  fixity jobs")
                _fixity(catalog, "jobs")
                say("S3 computes; when a job ends, its event comes through the queue")
                control.behaviour.hold.set()
                control.jobs.wait()
                say("both jobs have ended; their events are in the queue")
                _watch(say)
    stats = HOME / f"lake/metadata/0000-00-00-LATEST/checksums/stats/{PAIR}_checksum-report.json"
    for name, value in json.loads(stats.read_text()).items():
        print(f"        {name + ':':<22}{value}")
    print(f"CSV: {HOME}/lake/reports/0000-00-00-LATEST/checksums/{PAIR}_checksum-report.csv")


def _fill(server: SeaweedFS) -> int:
    client = server.client()
    files = HOME / "files"
    make_collection(files)
    for bucket in (PAIR, REPLICA, MANAGED):
        client.create_bucket(Bucket=bucket)
    kept = [file for file in sorted(files.rglob("*")) if file.is_file() and file.stat().st_size < 1_000_000]
    for file in kept:
        for bucket in (PAIR, REPLICA):
            client.upload_file(str(file), bucket, file.relative_to(files).as_posix())
    damaged = kept[0].relative_to(files).as_posix()
    client.put_object(Bucket=REPLICA, Key=damaged, Body=b"not what was deposited")
    return len(kept)


def _fixity(catalog: Path, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fixity_cli", *words, "--catalog", str(catalog)],
        check=False,
    )
    if done.returncode:
        sys.exit(f"`fixity {' '.join(words)}` ended with {done.returncode}")


def _watch(say: Callable[[str], None]) -> None:
    """Print each status change of the runs that the daemon starts, until the report is made."""
    seen: dict[str, str] = {}
    deadline = time.monotonic() + _PATIENCE
    with dg.DagsterInstance.from_config(str(HOME / "home")) as instance:
        while time.monotonic() < deadline:
            for run in reversed(instance.get_runs()):
                if run.job_name == "request_checksums" or seen.get(run.run_id) == run.status.value:
                    continue
                seen[run.run_id] = run.status.value
                sensor = run.tags.get("dagster/sensor_name", "-")
                say(
                    f"{run.job_name} of {run.tags.get('dagster/partition')}: {run.status.value} (by {sensor})"
                )
                if run.job_name == "report_pair" and run.is_finished:
                    if not run.is_success:
                        sys.exit("the report could not be made")
                    return
            time.sleep(0.5)
    sys.exit(f"no report within {_PATIENCE:.0f} s; see {HOME}/dagster-dev.log")


if __name__ == "__main__":
    demo()
