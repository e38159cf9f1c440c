"""`make scale-demo`: a bucket is spread over three workers, one of them is killed, and the run finishes.

All on one machine: SeaweedFS has the bucket and the lake, Redis is the broker, PostgreSQL keeps Dagster's
runs and events, each worker is a process that knows nothing of the others. Everything is in .demo-scale/.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import dagster as dg

from devstack.postgres import PostgresServer
from devstack.redis import RedisServer
from devstack.seaweedfs import SeaweedFS, ServerDidNotStart
from devstack.worker import Worker
from fixity.catalog import load_catalog
from fixity_assets.definitions import build_definitions
from jobs.names import CHECKSUMS_JOB
from resources.pool import POOL

HOME = Path(".demo-scale").absolute()
BUCKET, LAKE = "letters", "lake"
OBJECTS, SIZE, SHARD = 600, 64 * 1024, 50
WORKERS = 3
CATALOG = """\
lake: s3://lake
lake_store: here
executor: {{kind: celery, dead_after: 5s}}
stores:
  here: {{endpoint_url: "{s3}", region: us-east-1}}
buckets:
  letters: {{store: here, max_bandwidth: 4MiB}}
"""


def job() -> dg.JobDefinition:
    """The job, in shards that are small enough to be seen, in whatever process it is built."""
    import fixity.engines.stream.pace

    fixity.engines.stream.pace.SHARD_OBJECTS = SHARD
    return build_definitions(load_catalog()).resolve_job_def(CHECKSUMS_JOB)


def demo() -> None:
    """Show each step as it begins, and who executes it."""
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:5.1f} s] {text}", flush=True)

    shutil.rmtree(HOME, ignore_errors=True)
    (HOME / "home").mkdir(parents=True)
    with ExitStack() as stack:
        try:
            redis, postgres = stack.enter_context(RedisServer()), stack.enter_context(PostgresServer())
        except ServerDidNotStart as error:
            sys.exit(str(error))
        server = stack.enter_context(SeaweedFS(HOME / "server"))
        (HOME / "fixity.yaml").write_text(CATALOG.format(s3=server.endpoint_url))
        os.environ.update(
            server.environment, FIXITY_CATALOG=str(HOME / "fixity.yaml"), FIXITY_BROKER=redis.url()
        )
        say(f"SeaweedFS, Redis and PostgreSQL are running; putting {OBJECTS} objects")
        _fill(server)
        workers = [Worker(HOME, f"worker-{number + 1}") for number in range(WORKERS)]
        for worker in workers:
            stack.callback(worker.kill)
            worker.start()
        for worker in workers:
            worker.wait_until_ready()
        say(f"{WORKERS} workers are ready:  fixity worker")
        settings = {
            "storage": postgres.storage(postgres.make_database()),
            "concurrency": {"pools": {"default_limit": 1, "granularity": "op"}},
        }
        instance = stack.enter_context(dg.DagsterInstance.local_temp(str(HOME / "home"), settings))
        instance.event_log_storage.set_concurrency_slots(POOL, WORKERS)
        say(f"the pool of steps that read has a limit:  dagster instance concurrency set {POOL} {WORKERS}")
        watch = _Watch(instance, workers, say)
        watching = threading.Thread(target=watch.until_it_ends, daemon=True)
        watching.start()
        with dg.execute_job(
            dg.reconstructable(job),
            instance,
            tags={"dagster/partition": BUCKET},
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        ) as result:
            success, run_id = result.success, result.run_id
        watch.ended.set()
        watching.join()
        if not success:
            sys.exit(f"the run {run_id} failed; see the logs in {HOME}")
        say("the run has finished")
        for name, shards in sorted(watch.shards.items()):
            print(f"        {name}: {shards} shards begun")
        rows = _metadata(instance, run_id)
        print(f"        {rows['dagster/row_count']} objects in the table, {rows['succeeded']} with checksums")


def _fill(server: SeaweedFS) -> None:
    client = server.client()
    for bucket in (BUCKET, LAKE):
        client.create_bucket(Bucket=bucket)
    for number in range(OBJECTS):
        client.put_object(Bucket=BUCKET, Key=f"{number:04}.txt", Body=os.urandom(SIZE))


def _metadata(instance: dg.DagsterInstance, run_id: str) -> dict[str, object]:
    """What the run says of its table."""
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
        made = entry.asset_materialization
        if made is not None and made.asset_key == dg.AssetKey("checksums"):
            return {name: value.value for name, value in made.metadata.items()}
    sys.exit(f"the run {run_id} has made no table")


class _Watch:
    """Prints who executes which step, and kills the worker that executes the fifth shard."""

    def __init__(
        self, instance: dg.DagsterInstance, workers: list[Worker], say: Callable[[str], None]
    ) -> None:
        self.ended = threading.Event()
        self.shards: Counter[str] = Counter()
        self._instance, self._workers, self._say = instance, workers, say
        self._seen = 0
        self._is_killed = False

    def until_it_ends(self) -> None:
        while not self.ended.wait(0.3):
            self._look()
        self._look()

    def _look(self) -> None:
        for run in self._instance.get_runs(limit=1):
            entries = self._instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
            for entry in entries[self._seen :]:
                event = entry.dagster_event
                said = event.engine_event_data.metadata.get("Celery worker") if event else None
                if event and said is not None:
                    self._begun(str(event.step_key), str(said.value))
            self._seen = len(entries)

    def _begun(self, step: str, host: str) -> None:
        worker = next(each for each in self._workers if host.startswith(each.host))
        self._say(f"{worker.log.stem} executes {step}")
        if "hash_objects" not in step:
            return
        self.shards[worker.log.stem] += 1
        if self.shards.total() == 5 and not self._is_killed:
            self._is_killed = True
            worker.kill()
            self._say(f"{worker.log.stem} is killed (-9) while it executes {step}")


if __name__ == "__main__":
    demo()
