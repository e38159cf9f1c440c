"""A bucket that is spread over workers: two and three of them beside one, and what a step costs.

Each round has one run for each number of workers. Only the time in which objects are read is compared: the
other steps of a run are executed one after the other. Workers, servers and database share this machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import dagster as dg
import yaml

from bench.data import MIB, Collection, Collections, Endpoint, serving
from bench.measure import Row, beside
from devstack.postgres import PostgresServer
from devstack.redis import RedisServer
from devstack.worker import Worker
from fixity.catalog import load_catalog
from fixity_assets.definitions import build_definitions
from jobs.names import CHECKSUMS_JOB
from resources.pool import POOL

_MOST = 3  # workers
_AT_ONCE, _NETWORK = 16, 20 * MIB  # objects, and bytes a second, that each worker may read
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class _Run(NamedTuple):
    """Seconds: in which objects were read, of the whole run, and until each step had begun."""

    reading: float
    whole: float
    begins: list[float]


def job() -> dg.JobDefinition:
    """The job of the catalog, in whatever process it is built."""
    return build_definitions(load_catalog()).resolve_job_def(CHECKSUMS_JOB)


def rows(collections: Collections, rounds: int, scratch: Path) -> list[Row]:
    """The time of reading with two and with three workers beside one, and how soon a step begins."""
    small, tiny = collections.small, collections.listed
    with serving(scratch, small, tiny) as endpoint, _crew(endpoint, small, tiny) as instance:
        _run(instance, endpoint, tiny, 1, None)  # so that all is loaded
        limited = [_round(instance, endpoint, small, _NETWORK) for _ in range(rounds)]
        unlimited = [_round(instance, endpoint, tiny, None) for _ in range(rounds)]
    begins = [seconds for each in (*limited, *unlimited) for run in each for seconds in run.begins]
    others = [run.whole - run.reading for each in unlimited for run in each]
    return [
        *_beside(
            f"{small.objects:,} objects, each worker with a network of 20 MiB/s", limited, (1 / 1.8, 0.4)
        ),
        # Their processors are not their own here: no more is asked than that it becomes no slower.
        *_beside(
            f"{tiny.objects:,} objects of 1 byte, processors shared with the store", unlimited, (1.1, 1.2)
        ),
        Row("a step, from when it is sent until it begins", median(begins), None, None, 1, "s"),
        Row("a run, all that is not reading", median(others), None, None, 15, "s"),
    ]


def _beside(name: str, rounds: list[list[_Run]], targets: tuple[float, float]) -> Iterator[Row]:
    one = [each[0].reading for each in rounds]
    for number, (words, target) in enumerate(zip(("two", "three"), targets, strict=True), start=1):
        ours = [each[number].reading for each in rounds]
        yield beside(f"{name}: {words} workers", "s", ours, one, target, "one worker")


@contextmanager
def _crew(endpoint: Endpoint, *read: Collection) -> Iterator[dg.DagsterInstance]:
    """Workers, and the instance of their runs."""
    with ExitStack() as stack:
        redis, postgres = stack.enter_context(RedisServer()), stack.enter_context(PostgresServer())
        os.environ.update(
            endpoint.environment,
            FIXITY_CATALOG=str(endpoint.scratch / "fixity.yaml"),
            FIXITY_BROKER=redis.url(),
            FIXITY_EXECUTOR="celery",
        )
        endpoint.catalog(*(each.bucket for each in read))  # workers keep the names that they have loaded
        workers = [Worker(endpoint.scratch, f"worker-{number}") for number in range(_MOST)]
        for worker in workers:
            stack.callback(worker.kill)
            worker.start()
        for worker in workers:
            worker.wait_until_ready()
        (endpoint.scratch / "home").mkdir()
        settings = {
            "storage": postgres.storage(postgres.make_database()),
            "concurrency": {"pools": {"granularity": "op"}},
        }
        yield stack.enter_context(dg.DagsterInstance.local_temp(str(endpoint.scratch / "home"), settings))


def _round(
    instance: dg.DagsterInstance, endpoint: Endpoint, collection: Collection, network: int | None
) -> list[_Run]:
    return [_run(instance, endpoint, collection, workers, network) for workers in range(1, _MOST + 1)]


def _run(
    instance: dg.DagsterInstance,
    endpoint: Endpoint,
    collection: Collection,
    workers: int,
    network: int | None,
) -> _Run:
    """One run. Arguments: `network`, bytes a second of each worker."""
    catalog = endpoint.scratch / "fixity.yaml"
    limits = {
        "max_concurrency": _AT_ONCE * workers,
        **({"max_bandwidth": network * workers} if network else {}),
    }
    said = yaml.safe_load(catalog.read_text())
    said["buckets"][collection.bucket] = {"store": "loopback", **limits}
    catalog.write_text(yaml.safe_dump(said))
    instance.event_log_storage.set_concurrency_slots(POOL, workers)
    tags = {"dagster/partition": collection.bucket}
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
