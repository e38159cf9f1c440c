"""Runs whose steps are executed by workers: real ones, with Redis, PostgreSQL, and a lake on S3."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow.parquet as pq
import pytest
import yaml

from devstack.faults import Overwrite
from devstack.faulty_proxy import FaultyProxy
from devstack.machines import Network, NotAllowed
from devstack.postgres import PostgresServer
from devstack.redis import RedisServer
from devstack.seaweedfs import SeaweedFS
from devstack.server_process import LOOPBACK, wait_until
from devstack.worker import Worker
from fixity.catalog import Catalog, load_catalog
from fixity.clock import utc_now
from fixity.doctor import Finding
from fixity.engines.stream import pace, shards
from fixity.lake import open_lake
from fixity.lake.paths import LATEST
from fixity.ledger import by_key, fold_plan
from fixity.reports import pair_steps
from fixity.rolling.lease import BucketBusy, leases, take_lease
from fixity.status import status_of
from fixity_assets.workers.steps import AnotherWorker, made_with, refuse_another
from fixity_assets.workers.watch import WatchedStep
from fixity_cli.deployment import look_at_executor
from resources.pool import POOL
from sensors.failed_runs import keep_failed_run
from tests.conftest import or_skip
from tests.fixity.support import sha256
from tests.fixity_assets.elsewhere import parts_to_check_job, parts_to_report_job, shards_of_forty_job
from tests.platform import PAIR

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEYS = [f"key-{number:03d}" for number in range(120)]
SHARD = 40
BANDWIDTH = 300  # bytes a second: a key's bytes are its name
LAKE = "lake-of-workers"
REPLICA = f"{PAIR}-repl"
BUCKETS: dict[str, dict[str, object]] = {
    "spread": {"max_concurrency": 4},
    "cut-off": {"max_concurrency": 2},  # fewer than there are steps: so there are two
    "due": {"max_concurrency": 3, "max_bandwidth": f"{BANDWIDTH}B", "fixity_every": "90d"},
    "edited": {},
    PAIR: {"fixity_every": "90d"},
}
"""The buckets of the catalog, one for each test that reads one: starting workers takes longer than reading.
"""
RIGHT = [(key, sha256(key.encode()), "registered") for key in KEYS]


@dataclass
class Crew:
    """Three workers of one catalog, each on a machine of its own where this one allows it, and the instance
    that runs use. `of_lake`, where workers reach the lake."""

    folder: Path
    proxy: FaultyProxy
    of_lake: FaultyProxy
    redis: RedisServer
    postgres: PostgresServer
    s3: S3Client
    instance: dg.DagsterInstance
    workers: list[Worker]

    def write_catalog(self) -> None:
        """The catalog, which workers load when they start.

        The replica of its pair is the same bucket, reached without the proxy.
        """
        stores = {"real": self.of_lake, "proxy": self.proxy}
        said = {
            "lake": f"s3://{LAKE}/lake",
            "lake_store": "real",
            "executor": {"kind": "celery", "dead_after": "3s"},
            "stores": {
                name: {"endpoint_url": place.endpoint_url, "region": "us-east-1"}
                for name, place in stores.items()
            },
            "buckets": {
                **{name: {"store": "proxy", **more} for name, more in BUCKETS.items()},
                REPLICA: {"store": "real", "bucket": PAIR, **BUCKETS[PAIR]},
            },
            "pairs": {PAIR: {"replica": REPLICA, "replication_lag": "0s"}},
        }
        (self.folder / "fixity.yaml").write_text(yaml.safe_dump(said))

    def all_ready(self) -> None:
        """Start again who was killed."""
        dead = [worker for worker in self.workers if not worker.is_running]
        for worker in dead:
            worker.start()
        for worker in dead:
            worker.wait_until_ready()

    def run(self, bucket: str, **config: object) -> dg.JobExecutionResult:
        """Run the job in this process, which sends the steps to the workers. Arguments: of `checksums`."""
        return self.run_job(shards_of_forty_job, bucket, {"ops": {"checksums": {"config": config}}})

    def run_job(
        self, job: Callable[[], dg.JobDefinition], partition: str, config: Mapping[str, object] | None = None
    ) -> dg.JobExecutionResult:
        """Run any job so."""
        tags = {"dagster/partition": partition}
        with dg.execute_job(dg.reconstructable(job), self.instance, config, tags=tags) as result:
            return result

    def executed_by(self, step: str) -> list[Worker]:
        """The workers that were given a step of the newest run, in order."""
        (run,) = self.instance.get_runs(limit=1)
        said: list[object] = [
            entry.dagster_event.engine_event_data.metadata["Celery worker"].value
            for entry in self.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
            if entry.dagster_event
            and entry.dagster_event.step_key == step
            and "Celery worker" in entry.dagster_event.engine_event_data.metadata
        ]
        return [worker for text in said for worker in self.workers if text == worker.host]

    def kept(self) -> list[tuple[str, str]]:
        """All files of the lake, with their ETags."""
        listed = self.s3.list_objects_v2(Bucket=LAKE)
        return [(each["Key"], each["ETag"]) for each in listed.get("Contents", [])]

    def events(self) -> list[object]:
        """What is known of the newest run: its status, and its events."""
        (run,) = self.instance.get_runs(limit=1)
        return [run.status, *self.instance.all_logs(run.run_id)]

    def table(self, bucket: str, run_id: str) -> list[tuple[object, ...]]:
        """The run's rows of the ledger: key, checksum, and verdict."""
        file = self.folder / "table.parquet"
        self.s3.download_file(LAKE, f"lake/checksums/{bucket}/{run_id}.parquet", str(file))
        return [(row["key"], row["checksum"], row["verdict"]) for row in pq.read_table(file).to_pylist()]


@dataclass(frozen=True)
class Spread:
    """A run: whether it succeeded, how many workers hashed, how many objects were read at once, whether it
    noticed that the broker was away, the rows of its table, and what its steps printed."""

    success: bool
    workers: int
    at_once: int
    noticed: bool
    rows: list[tuple[object, ...]]
    printed: str


@pytest.fixture(scope="module")
def network() -> Iterator[Network | NotAllowed]:
    """A network of three machines, or why there is none."""
    with ExitStack() as stack:
        made: Network | NotAllowed
        try:
            made = stack.enter_context(Network())
            for number in range(3):
                made.join(f"machine-{number}")
        except NotAllowed as refused:
            made = refused
        yield made


@pytest.fixture(scope="module")
def _crew(
    tmp_path_factory: pytest.TempPathFactory,
    seaweedfs: SeaweedFS,
    s3: S3Client,
    network: Network | NotAllowed,
) -> Iterator[Crew]:
    folder = tmp_path_factory.mktemp("workers")
    host, machines = (
        (network.address, network.machines) if isinstance(network, Network) else (LOOPBACK, [None] * 3)
    )
    for bucket in (*BUCKETS, LAKE):
        s3.create_bucket(Bucket=bucket)
        seaweedfs.make_room(bucket)
    for bucket in BUCKETS:
        for key in KEYS:
            s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    with (
        FaultyProxy(seaweedfs.endpoint_url, host) as proxy,
        FaultyProxy(seaweedfs.endpoint_url, host) as of_lake,
        or_skip(lambda: RedisServer(host)) as redis,
        or_skip(lambda: PostgresServer(host)) as postgres,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("FIXITY_CATALOG", str(folder / "fixity.yaml"))
        patch.setenv("FIXITY_BROKER", redis.url())
        patch.setenv("NO_PROXY", f"{host},{LOOPBACK}")
        # Loading the job sets these, also in this process: they are put back afterwards.
        patch.setattr(pace, "SHARD_OBJECTS", pace.SHARD_OBJECTS)
        patch.setattr(shards, "PART_OBJECTS", shards.PART_OBJECTS)
        (folder / "home").mkdir()
        storage = {
            "storage": postgres.storage(postgres.make_database()),
            "concurrency": {"pools": {"default_limit": 1, "granularity": "op"}},
        }
        with dg.DagsterInstance.local_temp(str(folder / "home"), storage) as instance:
            instance.event_log_storage.set_concurrency_slots(POOL, 3)
            workers = [Worker(folder, f"worker-{number}", machine) for number, machine in enumerate(machines)]
            crew = Crew(folder, proxy, of_lake, redis, postgres, s3, instance, workers)
            crew.write_catalog()
            try:
                yield crew
            finally:
                for worker in crew.workers:
                    worker.kill()
                for bucket in (*BUCKETS, LAKE):
                    s3.delete_bucket(Bucket=bucket)


@pytest.fixture
def crew(_crew: Crew) -> Crew:
    """All three workers."""
    _crew.proxy.forget()
    _crew.all_ready()
    return _crew


@pytest.fixture(scope="module")
def spread(_crew: Crew) -> Spread:
    """A run over all three workers, in which broker and database are restarted."""
    _crew.proxy.forget()
    _crew.all_ready()
    _crew.proxy.fault(Overwrite(_restart(_crew, noticed := threading.Event())), key="key-100")
    _crew.proxy.fault(Overwrite(_all_at_once(_crew.proxy, 3), times=None))
    ready = WatchedStep.ready

    def look(step: WatchedStep) -> bool:
        was_away = not _crew.redis.answers()
        ended = ready(step)
        if was_away:
            noticed.set()
        return ended

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WatchedStep, "ready", look)
        result = _crew.run("spread")
    by = {worker.host for shard in range(3) for worker in _crew.executed_by(_hashing(shard))}
    rows = _crew.table("spread", result.run_id) if result.success else []
    logs = (_crew.folder / "home").glob(f"storage/{result.run_id}/compute_logs/*.err")
    printed = "".join(file.read_text() for file in logs)
    return Spread(result.success, len(by), _crew.proxy.max_concurrent, noticed.is_set(), rows, printed)


def _all_at_once(proxy: FaultyProxy, steps: int) -> Callable[[], None]:
    """Holds each read until so many shards are read at once."""
    met = threading.Event()

    def meet() -> None:
        if len({KEYS.index(str(request.key)) // SHARD for request in proxy.gets()}) == steps:
            met.set()
        assert met.wait(120)

    return meet


def _restart(crew: Crew, noticed: threading.Event) -> Callable[[], None]:
    def restart() -> None:
        crew.redis.kill()
        crew.postgres.kill()
        crew.postgres.start()
        assert noticed.wait(120)  # by the run
        crew.redis.start()

    return restart


def test_a_bucket_is_spread_over_workers_which_keep_its_limit_together(spread: Spread) -> None:
    assert spread.workers == 3
    assert 3 <= spread.at_once <= 4


def test_what_steps_print_in_a_worker_is_kept_with_the_run(spread: Spread) -> None:
    for shard in range(3):
        assert f"{_hashing(shard)} - STEP_SUCCESS" in spread.printed


def test_a_run_goes_on_when_the_broker_and_the_database_were_restarted(spread: Spread) -> None:
    assert spread.noticed
    assert spread.success
    assert spread.rows == RIGHT


def test_the_shard_of_a_worker_that_is_cut_off_goes_on_elsewhere_and_when_it_is_back_it_changes_nothing(
    crew: Crew, network: Network | NotAllowed
) -> None:
    if isinstance(network, NotAllowed):
        pytest.skip(f"no worker can be cut off here: {network}")
    lost: list[Worker] = []
    at: list[float] = []

    def finished() -> list[str]:
        return [file for file, _ in crew.kept() if re.match(r"lake/scratch/.*/parts/.*/0*[678]0-", file)]

    def cut_off() -> None:
        lost.extend(crew.executed_by(_hashing(1)))
        assert wait_until(lambda: len(finished()) == 3, 60)  # of six
        assert lost[0].machine is not None
        lost[0].machine.cut()
        at.append(time.monotonic())

    crew.proxy.fault(Overwrite(cut_off), key="key-095")
    crew.proxy.fault(Overwrite(lambda: at.append(time.monotonic())), key="key-095")
    try:
        result = crew.run("cut-off")
        before = crew.kept(), crew.events()
        reads = [len(crew.proxy.gets(key)) for key in KEYS]
    finally:
        for machine in network.machines:
            machine.plug_in()
    assert result.success
    first, second = crew.executed_by(_hashing(1))
    assert first is lost[0] is not second
    assert at[1] - at[0] < 20  # seconds; it counts as dead after 3
    assert reads == [2 if 90 <= number <= 95 else 1 for number in range(len(KEYS))]
    assert crew.table("cut-off", result.run_id) == RIGHT
    pool = crew.instance.event_log_storage.get_concurrency_info(POOL)
    assert not pool.active_run_ids | pool.pending_run_ids
    assert wait_until(lambda: "exited with 'signal 9 (SIGKILL)'" in first.text(), 120)
    assert (crew.kept(), crew.events()) == before
    # The third one has just been killed, and begins anew.
    assert wait_until(lambda: any("3 workers answer" in each.text for each in _told(load_catalog())), 120)


def test_a_batch_of_what_is_due_is_spread_under_one_lease_and_a_killed_worker_s_shard_is_read_by_another(
    crew: Crew,
) -> None:
    killed: list[str] = []
    refused: list[str] = []

    def kill() -> None:
        try:
            take_lease(open_lake(load_catalog()), "due", "another", utc_now())
        except BucketBusy as error:
            refused.append(str(error))
        (worker,) = crew.executed_by(_hashing(1))
        killed.append(worker.host)
        worker.kill()

    crew.proxy.fault(Overwrite(kill), key="key-075")
    crew.proxy.fault(Overwrite(_all_at_once(crew.proxy, 3), times=None))
    result = crew.run("due", objects="due")
    assert result.success
    assert len({worker.host for shard in range(3) for worker in crew.executed_by(_hashing(shard))}) == 3
    assert crew.proxy.max_concurrent <= 3
    sent = [moment for moment, count in crew.proxy.sent if count == len(KEYS[0])]
    # Two of each worker are sent before they are waited for: by the limit, the others take a second.
    others = zip(sent, sent[BANDWIDTH // len(KEYS[0]) + 6 :], strict=False)
    assert all(later - earlier > 0.9 for earlier, later in others)
    assert killed
    assert f"is being checked by the rolling run {result.run_id}" in refused[0]
    assert len(crew.proxy.gets()) <= len(KEYS) + 41  # one shard, and no row comes twice
    assert crew.table("due", result.run_id) == RIGHT
    assert leases(open_lake(load_catalog()), "due") == []


@pytest.fixture
def crew_of_parts(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> Iterator[Crew]:
    """The workers, for jobs in small parts."""
    for module, name in (  # loading the jobs sets these, also in this process
        (by_key, "_RANGE_ROWS"),
        (by_key, "_MOST_READS"),
        (fold_plan, "_RANGES_OF_PART"),
        (pair_steps, "RANGE_BYTES"),
        (pair_steps, "_RANGES_OF_STEP"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name))
    yield crew
    for worker in crew.workers:  # the jobs set these in their processes, too
        worker.kill()


@pytest.mark.last_of_file
def test_workers_fold_parts_of_a_ledger_and_compare_parts_of_a_pair(crew_of_parts: Crew) -> None:
    crew = crew_of_parts
    some = {"ops": {"checksums": {"config": {"keys": KEYS[60:]}}}}
    assert crew.run_job(parts_to_check_job, PAIR, some).success
    result = crew.run_job(parts_to_check_job, PAIR)
    assert result.success
    assert all(crew.executed_by(f"checksums.fold_part[{number}]") for number in (0, 1))
    assert [row[:2] for row in crew.table(PAIR, result.run_id)] == [row[:2] for row in RIGHT]
    assert crew.run_job(parts_to_check_job, REPLICA).success
    reported = crew.run_job(parts_to_report_job, PAIR)
    assert reported.success
    by = {
        worker.host
        for number in range(3)
        for worker in crew.executed_by(f"fixity_report.compare_part[{number}]")
    }
    assert len(by) > 1
    assert {each.check_name for each in reported.get_asset_check_evaluations() if not each.passed} == set()
    (csv,) = [key for key, _ in crew.kept() if LATEST in key and key.endswith("_checksum-report.csv")]
    rows = crew.s3.get_object(Bucket=LAKE, Key=csv)["Body"].read().decode().splitlines()
    assert len(rows) == 1 + len(KEYS)
    assert all(",ok," in row for row in rows[1:])


def test_a_worker_of_another_version_or_of_other_code_of_the_same_version_is_refused() -> None:
    ours = {"software": "fixity-platform 0.0.2", "code": "ours", "catalog": "ours"}
    older = {**ours, "software": "fixity-platform 0.0.1"}
    with pytest.raises(AnotherWorker, match=r"the run is of fixity-platform 0\.0\.1: install the same"):
        refuse_another(older, ours, "worker-1")
    with pytest.raises(
        AnotherWorker, match=r"has other source files than the run, though both are .* 0\.0\.2"
    ):
        refuse_another({**ours, "code": "theirs"}, ours, "worker-1")
    refuse_another(ours, ours, "worker-1")


def test_other_code_has_another_digest_and_what_python_caches_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (package := tmp_path / "fixity").mkdir()
    (source := package / "__init__.py").write_text("older = 1")
    (catalog := tmp_path / "fixity.yaml").write_text("buckets: {}")
    monkeypatch.setattr("fixity.__file__", str(source))
    monkeypatch.setenv("FIXITY_CATALOG", str(catalog))
    first = made_with()
    (package / "__init__.pyc").write_bytes(b"compiled")
    assert made_with() == first
    source.write_text("newer = 2")
    assert made_with() == {**first, "code": made_with()["code"]} != first


def test_a_worker_that_has_loaded_another_catalog_than_the_file_now_is_is_refused_and_the_status_says_so(
    crew: Crew,
) -> None:
    loaded = made_with()["catalog"]
    (file := crew.folder / "fixity.yaml").write_text((said := file.read_text()) + "# edited\n")
    edited = made_with()["catalog"]
    result = crew.run("edited")
    file.write_text(said)  # as the workers have it
    assert not result.success
    (record,) = crew.instance.get_run_records(dg.RunsFilter([result.run_id]))
    keep_failed_run(crew.instance, record, lake := open_lake(catalog := load_catalog()))
    rows = status_of(lake, catalog, utc_now()).rows
    (bucket,) = [row for row in rows if (row.kind, row.name) == ("bucket", "edited")]
    told = bucket.red[0].text
    assert "During celery execution errors occurred in workers: [inventory]: the worker fixity-" in told
    assert f"has another catalog ({loaded[:12]}…) than the run ({edited[:12]}…)" in told
    assert told.endswith("give it the same file, and start it again")


def test_the_doctor_asks_each_worker_what_it_is_made_with(
    crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = made_with()
    assert not [each for each in _told(load_catalog()) if "software" in each.text]
    monkeypatch.setattr("fixity_assets.workers.steps.made_with", lambda _: {**ours, "software": "another"})
    broker, *others = _told(load_catalog())
    assert broker.text.endswith("and 3 workers answer")
    assert sorted(each.text.partition(" ")[0].partition("@")[0] for each in others) == sorted(
        worker.host.partition("@")[0] for worker in crew.workers
    )
    assert all(each.state == "wrong" and "another software" in each.text for each in others)


def _told(catalog: Catalog) -> list[Finding]:
    found, _ = look_at_executor(catalog)
    return [each for each in found if each.about in ("broker", "worker")]


def _hashing(shard: int) -> str:
    return f"checksums.hash_objects[{shard}]"
