"""What every test may ask for: real servers, clients of them, fresh buckets; and a clean environment."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import dagster as dg
import pytest
from hypothesis import HealthCheck, settings

from devstack.faulty_proxy import FaultyProxy
from devstack.moto_server import MotoServer, TestQueue
from devstack.postgres import PostgresServer
from devstack.redis import RedisServer
from devstack.s3_control import S3ControlServer
from devstack.seaweedfs import ACCESS_KEY, REGION, SECRET_KEY, NotInstalled, SeaweedFS
from devstack.server_process import ServerProcess
from devstack.stub_s3 import StubS3
from devstack.tsa import TimeStampAuthority
from tests import migrations
from tests.batch_platform import BatchPlatform
from tests.platform import Platform

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ServerT = TypeVar("ServerT", bound=ServerProcess)

settings.register_profile(
    "fixity",
    deadline=None,  # a busy machine is no bug
    max_examples=25,  # others each time, but in CI
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("fixity")


# Files with long tests: started last, they would keep one process busy while all others wait. Those that
# mostly wait (for a daemon, for workers) stand apart: beside each other, they would leave processors idle.
_LONGEST = (
    "test_ui.py",
    "test_parts.py",
    "test_lake_of_before.py",
    "test_repair.py",
    "test_many.py",
    "test_fold_parts.py",
    "test_rolling.py",
    "test_status_verb.py",
    "test_spine.py",
    "test_demo_batch.py",
    "test_going_on.py",
    "test_fixity_command.py",
    "test_a_year.py",
    "test_workers.py",
    "test_demo.py",
    "test_resuming.py",
    "test_ingest.py",
    "test_status.py",
    "test_incidents.py",
    "test_second_look.py",
    "test_killed_daemon.py",
    "test_interrupts.py",
    "test_package.py",
    "test_by_s3.py",
    "test_batch_sensors.py",
    "test_both_sides.py",
    "test_many_pairs.py",
    "test_output.py",
    "test_ingest_verbs.py",
    "test_repair_verb.py",
    "test_shards.py",
    "test_ingest_runs.py",
    "test_copies.py",
    "test_materialize_all.py",
    "test_drills.py",
    "test_installed.py",
    "test_premis.py",
    "test_due.py",
    "test_clocks.py",
    "test_fold.py",
    "test_snapshot.py",
    "test_s3_writes.py",
    "test_killed.py",
    "test_backup.py",
    "test_pair_steps.py",
    "test_storage.py",
    "test_tutorial.py",
    "test_gathering.py",
    "test_lists.py",
    "test_current.py",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; the order of the others, a random one, is kept."""
    order = {name: number for number, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: item.get_closest_marker("last_of_file") is not None)
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


def pytest_collection_finish() -> None:
    """What is loaded by now stays to the end: the garbage collector need not go through it each time.

    It looks seldom, as in the command: what tests leave is little.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


class MakeBucket(Protocol):
    """Makes a bucket that no other test uses, and gives its name."""

    def __call__(self, *, versioned: bool = False) -> str: ...


@pytest.fixture(scope="session", autouse=True)
def aws_environment() -> Iterator[None]:
    """The servers' credentials for this process and those it starts, and nothing of the developer's own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AWS_", "FIXITY_", "DAGSTER_"))]:
            patch.delenv(name)
        patch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        patch.setenv("NO_PROXY", "127.0.0.1,localhost")
        yield


@pytest.fixture(scope="session", autouse=True)
def _migrations_are_loaded_once() -> Iterator[None]:
    with migrations.loaded_once():
        yield


@pytest.fixture(autouse=True)
def _duckdb_has_one_thread(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the few rows of a test a second thread takes more time than it saves. Threads of ours stay."""
    if request.node.get_closest_marker("all_processors") is None:
        monkeypatch.setattr("fixity.lake.database.processors", lambda: 1)


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """One real S3 server for all tests of the session."""
    with SeaweedFS(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server


@pytest.fixture(scope="session")
def s3(seaweedfs: SeaweedFS) -> S3Client:
    """A boto3 client of the real server (clients are safe to share, and slow to make)."""
    return seaweedfs.client()


@pytest.fixture(scope="session")
def _bucket_numbers() -> Iterator[int]:
    return count(1)


@pytest.fixture
def make_bucket(seaweedfs: SeaweedFS, s3: S3Client, _bucket_numbers: Iterator[int]) -> Iterator[MakeBucket]:
    """Fresh buckets on the real server: `make_bucket(versioned=True)` gives a name.

    They are deleted after the test, since the server has room for the volumes of some thirty.
    """
    made: list[str] = []

    def make(*, versioned: bool = False) -> str:
        name = f"bucket-{next(_bucket_numbers):04d}"
        s3.create_bucket(Bucket=name)
        made.append(name)
        seaweedfs.make_room(name)
        if versioned:
            s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    yield make
    for name in made:
        s3.delete_bucket(Bucket=name)  # this server deletes what is in it, too


@pytest.fixture
def faulty_proxy(seaweedfs: SeaweedFS) -> Iterator[FaultyProxy]:
    """A proxy in front of the real server, without any fault yet."""
    with FaultyProxy(seaweedfs.endpoint_url) as proxy:
        yield proxy


@pytest.fixture
def stub_s3() -> Iterator[StubS3]:
    """An empty S3 endpoint in memory, for keys that the real server would change."""
    with StubS3() as stub:
        yield stub


@pytest.fixture(scope="session")
def moto_server() -> Iterator[MotoServer]:
    """One moto server for all tests of the session, for queues."""
    with MotoServer() as server:
        yield server


def or_skip(kind: Callable[[], ServerT]) -> ServerT:
    """A server that was not started yet; skips the test where Debian's package is absent."""
    try:
        return kind()
    except NotInstalled as absent:
        pytest.skip(str(absent))


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One broker for all tests of the session; skips where Debian's package is absent."""
    with or_skip(RedisServer) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One database server for all tests of the session; skips where Debian's package is absent."""
    with or_skip(PostgresServer) as server:
        yield server


@pytest.fixture(scope="session")
def _tsa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TimeStampAuthority]:
    with TimeStampAuthority(tmp_path_factory.mktemp("tsa")) as authority:
        yield authority


@pytest.fixture
def tsa(_tsa: TimeStampAuthority) -> TimeStampAuthority:
    """A time stamping authority that tells the truth, until a test has it lie."""
    _tsa.lie = None
    return _tsa


@pytest.fixture
def queue(moto_server: MotoServer) -> TestQueue:
    """An empty queue that no other test uses."""
    return moto_server.make_queue()


@pytest.fixture
def platform(tmp_path: Path, s3: S3Client, seaweedfs: SeaweedFS, make_bucket: MakeBucket) -> Platform:
    """A pair of two empty buckets on the real server, with a catalog and a lake of its own."""
    return Platform(tmp_path, s3, seaweedfs.endpoint_url, make_bucket(), make_bucket())


@pytest.fixture
def batch(
    tmp_path: Path,
    s3: S3Client,
    seaweedfs: SeaweedFS,
    moto_server: MotoServer,
    queue: TestQueue,
    make_bucket: MakeBucket,
) -> Iterator[BatchPlatform]:
    """A pair of two empty buckets whose checksums S3 computes, that is, the stand-in for S3 Control."""
    with S3ControlServer(s3, moto_server.sqs(), queue.url) as control:
        yield BatchPlatform(
            tmp_path, s3, seaweedfs.endpoint_url, control, moto_server, queue,
            make_bucket(), make_bucket(), make_bucket(), {}, {},
        )  # fmt: skip


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """A Dagster instance in memory."""
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral
