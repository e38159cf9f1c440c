"""Of all who are told to execute a step one does, and a run never waits for a worker that is dead."""

from __future__ import annotations

import socket
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import redis
import sqlalchemy
from celery.exceptions import TaskRevokedError
from dagster_celery.make_app import make_app
from dagster_celery.tasks import create_task
from redis.exceptions import ConnectionError as RedisConnectionError

from devstack.redis import RedisServer
from fixity_assets.workers.broker import SILENT, BrokerSilent, settings_of_run
from fixity_assets.workers.lease import Lease
from fixity_assets.workers.steps import StepTask, silent_in_doubt
from fixity_assets.workers.watch import WatchedStep, WorkersDied
from tests.conftest import or_skip

DEAD_AFTER = 45.0
MINUTE = 60.0


class Leaving(redis.Redis):
    """A client whose broker does not answer its next `away` requests."""

    away = 0

    def execute_command(self, *args: Any, **options: Any) -> Any:
        if self.away:
            self.away -= 1
            raise RedisConnectionError("refused")
        return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]


@dataclass
class Result:
    """What Celery gives for a message."""

    broker: Watched
    value: str | None = None

    def ready(self) -> bool:
        if self.broker.is_away:
            raise RedisConnectionError("refused")
        return self.value is not None

    def get(self) -> str | None:
        return self.value


@dataclass
class Watched:
    """A step, its messages, and a clock."""

    leases: Callable[[], Lease]
    sent: list[Result] = field(default_factory=list)
    now: float = 0.0
    is_away: bool = False

    def __post_init__(self) -> None:
        self.step = WatchedStep(self._send, self.leases(), DEAD_AFTER, lambda: self.now)

    def _send(self) -> Result:
        if self.is_away:
            raise RedisConnectionError("refused")
        self.sent.append(Result(self))
        return self.sent[-1]

    def after(self, seconds: float) -> bool:
        """Whether the step has ended after so many seconds."""
        self.now += seconds
        return self.step.ready()

    def begin(self) -> Lease:
        """A worker begins the step."""
        worker = self.leases()
        assert worker.take()
        assert not self.step.ready()
        return worker


@pytest.fixture
def leases(redis_server: RedisServer) -> Callable[[], Lease]:
    """Leases of one step, each for another worker, or the run."""
    client, sending = redis.Redis.from_url(redis_server.url()), str(uuid.uuid4())
    return lambda: Lease(client, sending, DEAD_AFTER)


def test_of_many_who_take_a_lease_at_once_one_has_it(leases: Callable[[], Lease]) -> None:
    start, won = threading.Barrier(8), list[bool]()

    def take() -> None:
        lease = leases()
        start.wait()
        won.append(lease.take())

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * 7 + [True]


def test_a_worker_whose_lease_another_has_stops_and_one_whose_lease_was_forgotten_goes_on(
    redis_server: RedisServer,
) -> None:
    client, sending = redis.Redis.from_url(redis_server.url()), str(uuid.uuid4())
    lost = threading.Event()
    slow, other = Lease(client, sending, 0.2, lost.set), Lease(client, sending, DEAD_AFTER)
    assert slow.take()
    slow.forget()  # as a broker that lost what it knew
    assert slow.take()
    slow.forget()
    assert other.take()
    with slow.kept():
        assert lost.wait(30)


def test_a_step_waits_at_the_database_while_another_may_have_taken_it(
    leases: Callable[[], Lease], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, happened = leases(), list[str]()
    clock = SimpleNamespace(now=0.0)

    def sleep(_: float) -> None:
        happened.append("waited")
        if len(happened) == 3:  # the network is back, and nobody has taken it
            assert worker.take()

    clock.monotonic, clock.sleep = lambda: clock.now, sleep
    monkeypatch.setattr("fixity_assets.workers.lease.time", clock)
    database = sqlalchemy.create_engine("sqlite://")
    assert worker.take()
    with silent_in_doubt(worker), database.connect() as connection:
        for moment in (DEAD_AFTER - 1, DEAD_AFTER):
            clock.now = moment
            connection.execute(sqlalchemy.text("SELECT 'an event'"))
            happened.append("said")
    assert happened == ["said", "waited", "waited", "said"]


def step_of(url: str) -> StepTask:
    """A step as a run sends it."""
    app = make_app({"broker": url, "backend": url, "config_source": settings_of_run(), "task_cls": StepTask})
    step: StepTask = create_task(app)
    return step


def test_a_broker_that_hangs_is_as_one_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fixity_assets.workers.broker._ANSWERS", 0.1)
    monkeypatch.setattr("kombu.utils.functional.sleep", lambda seconds: None)
    with socket.create_server(("127.0.0.1", 0)) as hangs:
        step = step_of(f"redis://127.0.0.1:{hangs.getsockname()[1]}/0")
        watched = step.apply_async(({}, {}))
        assert not watched.ready()
        del watched  # Celery's results ask the broker once more
        with pytest.raises(SILENT, match=r"timed out|Timeout"), step.app.connection() as broker:
            broker.default_channel.client.ping()


def test_a_step_that_is_sent_while_the_broker_is_away_is_sent_when_it_is_back() -> None:
    with or_skip(RedisServer) as server:
        step = step_of(server.url())
        server.kill()
        watched = step.apply_async(({}, {}))
        assert not watched.ready()
        server.start()
        assert not watched.ready()
        client: Any = redis.Redis.from_url(server.url())
        (queue,) = client.keys("dagster*")  # its name ends in its priority
        assert client.llen(queue) == 1
        del watched  # Celery's results ask the broker once more


def test_a_step_that_is_done_is_executed_by_nobody_again(leases: Callable[[], Lease]) -> None:
    worker = leases()
    assert worker.take()
    with worker.kept():
        assert leases().state() == "taken"
    assert leases().state() == "done"
    assert not leases().take()


def test_a_step_is_sent_again_as_soon_as_its_worker_is_dead_and_any_result_of_it_counts(
    leases: Callable[[], Lease],
) -> None:
    watched = Watched(leases)
    worker = watched.begin()
    assert not watched.after(60 * MINUTE)
    assert len(watched.sent) == 1
    worker.forget()  # its silence has lasted too long
    assert not watched.after(DEAD_AFTER + 1)
    assert len(watched.sent) == 2
    watched.sent[1].value = "events"
    assert watched.after(1)
    assert watched.step.get() == "events"


def test_a_step_that_kills_each_worker_fails_after_three(leases: Callable[[], Lease]) -> None:
    watched = Watched(leases)
    ended = False
    for _ in range(3):
        assert not ended
        watched.begin().forget()
        ended = watched.after(DEAD_AFTER + 1)
    assert ended
    with pytest.raises(WorkersDied, match="3 workers died or were cut off while they executed this step"):
        watched.step.get()


def test_a_step_that_waits_is_sent_again_ever_more_rarely(leases: Callable[[], Lease]) -> None:
    watched = Watched(leases)
    sent = []
    for _ in range(75):
        assert not watched.after(MINUTE)
        sent.append(len(watched.sent))
    assert [sent.index(number) for number in (1, 2, 3, 4)] == [0, 10, 31, 72]


def test_a_result_that_never_came_is_made_again(leases: Callable[[], Lease]) -> None:
    watched = Watched(leases)
    worker = watched.begin()
    with worker.kept():
        pass  # and it dies before it has given its result
    assert not watched.after(DEAD_AFTER + 1)
    assert len(watched.sent) == 2
    watched.begin()


def test_a_worker_has_time_to_say_that_it_lives_when_the_broker_is_back(
    leases: Callable[[], Lease],
) -> None:
    watched = Watched(leases)
    worker = watched.begin()
    watched.is_away = True
    assert not watched.after(DEAD_AFTER + 1)
    worker.forget()  # it lapsed
    watched.is_away = False
    assert not watched.after(1)
    assert not watched.after(DEAD_AFTER / 4)
    assert worker.take()
    assert not watched.after(60 * MINUTE)
    assert len(watched.sent) == 1


def test_a_worker_that_stays_silent_when_the_broker_is_back_is_dead(leases: Callable[[], Lease]) -> None:
    watched = Watched(leases)
    worker = watched.begin()
    watched.is_away = True
    assert not watched.after(DEAD_AFTER + 1)
    worker.forget()
    watched.is_away = False
    assert not watched.after(1)
    assert not watched.after(DEAD_AFTER + 1)
    assert len(watched.sent) == 2


def test_a_broker_that_forgets_what_it_knew_is_no_death_of_a_worker(leases: Callable[[], Lease]) -> None:
    watched = Watched(leases)
    worker = watched.begin()
    for _ in range(4):
        worker.forget()
        assert not watched.after(DEAD_AFTER / 4)
        assert worker.take()
        assert not watched.after(1)
    assert len(watched.sent) == 1


def test_a_step_that_ends_while_the_broker_is_away_is_done_when_it_is_back(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kombu.utils.functional.sleep", lambda seconds: None)
    client: Any = Leaving.from_url(redis_server.url())
    sending = str(uuid.uuid4())
    worker = Lease(client, sending, DEAD_AFTER)
    assert worker.take()
    with worker.kept():
        client.away = 300
    assert client.away == 0
    assert worker.state() == "done"


def test_a_worker_that_was_cut_off_does_not_end_the_step_of_the_one_that_took_over(
    redis_server: RedisServer,
) -> None:
    client, sending = redis.Redis.from_url(redis_server.url()), str(uuid.uuid4())
    lost = threading.Event()
    cut_off, heir = Lease(client, sending, DEAD_AFTER, lost.set), Lease(client, sending, DEAD_AFTER)
    assert cut_off.take()
    with cut_off.kept():
        cut_off.forget()  # it lapsed
        assert heir.take()
    assert lost.is_set()  # so that what it found is no result
    assert heir.state() == "taken"
    assert heir.take()


def test_a_broker_that_is_away_for_a_while_is_waited_for_and_one_that_stays_away_is_told(
    leases: Callable[[], Lease],
) -> None:
    watched = Watched(leases, is_away=True)
    assert not watched.after(9 * MINUTE)
    assert not watched.sent
    watched.is_away = False
    assert not watched.after(1)
    assert len(watched.sent) == 1
    assert not watched.after(DEAD_AFTER + 1)  # it may have lost what waited there
    assert len(watched.sent) == 2
    gone = Watched(leases, is_away=True)
    assert not gone.after(1)
    assert gone.after(11 * MINUTE)
    with pytest.raises(BrokerSilent, match=r"has not answered for 10 minutes .*start Redis again"):
        gone.step.get()


def test_a_step_that_was_not_begun_when_the_run_ended_is_begun_by_nobody(
    leases: Callable[[], Lease],
) -> None:
    watched = Watched(leases)
    watched.step.revoke()
    assert watched.after(0)
    assert not leases().take()
    with pytest.raises(TaskRevokedError):
        watched.step.get()


def test_a_step_of_a_run_that_ended_while_the_broker_was_away_is_begun_by_nobody(
    redis_server: RedisServer,
) -> None:
    client: Any = Leaving.from_url(redis_server.url())
    sending = str(uuid.uuid4())
    watched = Watched(lambda: Lease(client, sending, DEAD_AFTER))
    watched.is_away, client.away = True, 1
    watched.step.revoke()
    assert not watched.after(1)
    watched.is_away = False
    assert watched.after(1)
    assert len(watched.sent) == 1
    assert not watched.leases().take()
    with pytest.raises(TaskRevokedError):
        watched.step.get()


def test_of_a_run_that_ended_a_dead_workers_step_is_not_sent_again(leases: Callable[[], Lease]) -> None:
    watched = Watched(leases)
    worker = watched.begin()
    watched.step.revoke()
    assert not watched.after(1)
    worker.forget()
    assert watched.after(DEAD_AFTER + 1)
    assert len(watched.sent) == 1
    assert not leases().take()  # nor is it begun, where the broker gives its message to another
    with pytest.raises(TaskRevokedError):
        watched.step.get()
