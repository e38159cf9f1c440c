"""A bucket that is spread over workers: two and more of them beside one, and what a step costs.

Each round has one run for each number of workers. Only the time in which objects are read is compared: the
other steps of a run are executed one after the other. Workers, servers and database share this machine, so
each worker has a part of a processor of its own.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple
from unittest.mock import patch

import dagster as dg
import yaml

from bench.data import Collection, Collections, Endpoint, serving
from bench.measure import Row, beside
from bench.processors import own_processor
from devstack.postgres import PostgresServer
from devstack.redis import RedisServer
from devstack.worker import Worker
from fixity.catalog import load_catalog
from fixity.engines.stream import pace
from fixity_assets.definitions import build_definitions
from jobs.names import CHECKSUMS_JOB
from resources.pool import POOL

_AT_ONCE = 16  # objects that each worker reads
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_UP_TO_THE_PLAN = ("plan_fold", "fold_part", "plan_shards")
_MORE = (("two", 1 / 1.8), ("three", 1 / 2.5))
"""Workers, and the most that their time may be beside that of one."""


class _Run(NamedTuple):
    """Seconds: in which objects were read, of the whole run, and until each step had begun."""

    reading: float
    whole: float
    begins: list[float]


def job() -> dg.JobDefinition:
    """The job of the catalog, in whatever process it is built."""
    return build_definitions(load_catalog()).resolve_job_def(CHECKSUMS_JOB)


def rows(collections: Collections, rounds: int, scratch: Path) -> list[Row]:
    """The time of reading with more workers beside that of one, and how soon a step begins."""
    tiny = collections.listed
    with serving(scratch, tiny) as endpoint, _instance(endpoint) as instance:
        used = [
            [_run(instance, endpoint, collections, workers) for workers in range(1, collections.workers + 1)]
            for _ in range(rounds)
        ]
        planned = [_seconds_of_plan(instance, endpoint, collections) for _ in range(rounds)]
    begins = [seconds for each in used for run in each for seconds in run.begins]
    others = [run.whole - run.reading for each in used for run in each]
    name = f"{tiny.objects:,} objects of 1 byte, {collections.share:g} of a processor a worker"
    return [
        *_beside(name, used),
        Row("a step, from when it is sent until it begins", median(begins), None, None, 1, "s"),
        Row("a run, all that is not reading", median(others), None, None, 15, "s"),
        Row(
            f"{collections.shards} shards, until the plan has given a step to each",
            median(planned),
            None,
            None,
            30,
            "s",
        ),
    ]


def _beside(name: str, rounds: list[list[_Run]]) -> Iterator[Row]:
    one, *more = zip(*rounds, strict=True)
    alone = [each.reading for each in one]
    for (words, target), runs in zip(_MORE, more, strict=False):
        ours = [each.reading for each in runs]
        yield beside(f"{name}: {words} workers", "s", ours, alone, target, "one worker")


@contextmanager
def _instance(endpoint: Endpoint) -> Iterator[dg.DagsterInstance]:
    """The instance of all runs, and a broker."""
    with RedisServer() as redis, PostgresServer() as postgres:
        told = {
            **endpoint.environment,
            "FIXITY_CATALOG": str(endpoint.scratch / "fixity.yaml"),
            "FIXITY_BROKER": redis.url(),
            "FIXITY_EXECUTOR": "celery",
        }
        (endpoint.scratch / "home").mkdir()
        settings = {
            "storage": postgres.storage(postgres.make_database()),
            "concurrency": {"pools": {"granularity": "op"}},
        }
        home = str(endpoint.scratch / "home")
        with patch.dict(os.environ, told), dg.DagsterInstance.local_temp(home, settings) as instance:
            yield instance


@contextmanager
def _crew(endpoint: Endpoint, collections: Collections, workers: int) -> Iterator[None]:
    """Workers that have loaded a catalog, each with a part of a processor."""
    _write_catalog(endpoint, collections.listed, _AT_ONCE * workers)
    with ExitStack() as stack:
        crew = [Worker(endpoint.scratch, f"worker-{number}") for number in range(workers)]
        for worker in crew:
            stack.callback(worker.kill)
            worker.start()
        for worker in crew:
            worker.wait_until_ready()
            stack.enter_context(own_processor(worker.session, collections.share))
        yield


def _run(instance: dg.DagsterInstance, endpoint: Endpoint, collections: Collections, workers: int) -> _Run:
    instance.event_log_storage.set_concurrency_slots(POOL, workers)
    with _crew(endpoint, collections, workers):
        return _run_of_crew(instance, collections.listed)


def _write_catalog(endpoint: Endpoint, read: Collection, at_once: int) -> None:
    catalog = endpoint.catalog(read.bucket)
    said = yaml.safe_load(catalog.read_text())
    said["lake"] += f"-{uuid.uuid4()}"  # what is known of the objects is the same in all runs: nothing
    said["buckets"][read.bucket]["max_concurrency"] = at_once
    catalog.write_text(yaml.safe_dump(said))


def _seconds_of_plan(instance: dg.DagsterInstance, endpoint: Endpoint, collections: Collections) -> float:
    """Seconds of the step that plans."""
    read, most = collections.listed, collections.shards
    _write_catalog(endpoint, read, most)
    instance.event_log_storage.set_concurrency_slots(POOL, most)
    with patch.object(pace, "SHARD_OBJECTS", -(-read.objects // most)):
        result = job().execute_in_process(
            run_config=_QUIET,
            instance=instance,
            partition_key=read.bucket,
            op_selection=["inventory", *(f"checksums.{step}" for step in _UP_TO_THE_PLAN)],
        )
    (stats,) = instance.get_run_step_stats(result.run_id, ["checksums.plan_shards"])
    shards = [
        event
        for event in result.all_events
        if event.is_successful_output and event.step_key == stats.step_key
    ]
    assert len(shards) == most and stats.start_time and stats.end_time
    return stats.end_time - stats.start_time


def _run_of_crew(instance: dg.DagsterInstance, read: Collection) -> _Run:
    tags = {"dagster/partition": read.bucket}
    with dg.execute_job(dg.reconstructable(job), instance, tags=tags, run_config=_QUIET) as result:
        assert result.success
        run_id = result.run_id
    sent: dict[str, float] = {}
    started: dict[str, float] = {}
    ended: dict[str, float] = {}
    for entry in instance.all_logs(run_id):
        event = entry.dagster_event
        if event is None or event.step_key is None:
            continue
        if event.is_step_start:
            started[event.step_key] = entry.timestamp
        elif event.is_step_success:
            ended[event.step_key] = entry.timestamp
        elif event.event_type is dg.DagsterEventType.ENGINE_EVENT:
            sent.setdefault(event.step_key, entry.timestamp)
    reading = [step for step in started if "hash_objects" in step]
    first, last = min(started[step] for step in reading), max(ended[step] for step in reading)
    begins = [started[step] - sent[step] for step in started if step not in reading]
    return _Run(last - first, max(ended.values()) - min(sent.values()), begins)
