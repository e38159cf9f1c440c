"""What events named is read in the end, though its run failed; and it is told where it is not."""

from __future__ import annotations

import time
from pathlib import Path

import dagster as dg
import pytest

from devstack.moto_server import MotoServer, TestQueue
from jobs.names import INGEST_BUCKET_JOB, INGEST_SELECTED_JOB, SELECTION
from sensors import event_reconciliation
from sensors.restore_completion import READING
from sensors.selecting import EVENTS
from tests.platform import definitions_of, read_report
from tests.sensors.archive import BUCKET, ArchivePlatform
from tests.sensors.test_new_objects import created

SENSOR = "event_reconciliation"
MINUTES, HOURS = 60, 60 * 60


class Arrivals(ArchivePlatform):
    """A bucket with a queue of new objects, and a clock that is set forward."""

    later = 0.0

    def failed(
        self, instance: dg.DagsterInstance, request: dg.RunRequest, job: str = INGEST_SELECTED_JOB
    ) -> str:
        return self.ended(instance, request, job, dg.DagsterRunStatus.FAILURE)

    def ended(
        self, instance: dg.DagsterInstance, request: dg.RunRequest, job: str, status: dg.DagsterRunStatus
    ) -> str:
        run = instance.create_run_for_job(
            definitions_of(self.catalog).resolve_job_def(job),
            tags={**request.tags, "dagster/partition": BUCKET},
            status=status,
        )
        return run.run_id

    def again(self, instance: dg.DagsterInstance) -> list[dg.RunRequest]:
        return self.tick(instance, SENSOR)[0]


@pytest.fixture
def arrivals(
    moto_server: MotoServer, queue: TestQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Arrivals:
    arrivals = Arrivals(tmp_path, moto_server, {"new_objects": queue})
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + arrivals.later)
    return arrivals


@pytest.fixture
def request_of_event(arrivals: Arrivals, queue: TestQueue, instance: dg.DagsterInstance) -> dg.RunRequest:
    """The run that the event of a new object leads to; its message is gone."""
    arrivals.s3.put_object(Bucket=arrivals.real_name, Key="a", Body=b"abc")
    queue.send(created(arrivals.real_name, "a"))
    (request,), cursor = arrivals.tick(instance, "new_objects")
    arrivals.tick(instance, "new_objects", cursor)
    assert queue.kept == 0
    return request


def test_a_run_that_failed_is_asked_for_again_and_reads_what_the_event_named(
    arrivals: Arrivals, request_of_event: dg.RunRequest, instance: dg.DagsterInstance
) -> None:
    run_id = arrivals.failed(instance, request_of_event)
    assert arrivals.again(instance) == []  # not at once: what it failed of may not be over
    arrivals.later = 16 * MINUTES
    (again,) = arrivals.again(instance)
    assert again.run_key == f"again:{run_id}"
    (row,) = read_report(arrivals.run(instance, INGEST_SELECTED_JOB, again)["csv"])
    assert (row["key"], row["result"]) == ("a", "MATCHED")
    assert arrivals.again(instance) == []


def test_it_is_asked_again_ever_later_and_from_the_third_failure_on_the_ticks_tell_it(
    arrivals: Arrivals, request_of_event: dg.RunRequest, instance: dg.DagsterInstance
) -> None:
    keys = []
    for rest in (15 * MINUTES, 30 * MINUTES, 60 * MINUTES):
        last = arrivals.failed(instance, request_of_event)
        arrivals.later = rest - 60
        if rest < 60 * MINUTES:
            assert arrivals.again(instance) == []
        arrivals.later = rest + 60
        keys += [request.run_key for request in arrivals.again(instance)]
    assert len(set(keys)) == 3
    arrivals.later = 0
    with pytest.raises(Exception, match=f"'deposit': 3 runs failed, the last is {last}"):
        arrivals.again(instance)
    # A person re-executes the run, or reads the whole bucket: it is quiet again.
    arrivals.ended(instance, request_of_event, INGEST_SELECTED_JOB, dg.DagsterRunStatus.SUCCESS)
    assert arrivals.again(instance) == []


def test_a_run_over_the_whole_bucket_has_read_it_too(
    arrivals: Arrivals, request_of_event: dg.RunRequest, instance: dg.DagsterInstance
) -> None:
    for _ in range(3):
        arrivals.failed(instance, request_of_event)
    whole = dg.RunRequest(partition_key=BUCKET)
    arrivals.failed(instance, whole, INGEST_BUCKET_JOB)
    arrivals.later = 13 * HOURS
    assert len(arrivals.again(instance)) == 1
    arrivals.ended(instance, whole, INGEST_BUCKET_JOB, dg.DagsterRunStatus.SUCCESS)
    assert arrivals.again(instance) == []


def test_a_run_that_is_under_way_or_that_no_event_led_to_is_left_alone(
    arrivals: Arrivals, request_of_event: dg.RunRequest, instance: dg.DagsterInstance
) -> None:
    arrivals.failed(instance, request_of_event)
    arrivals.ended(instance, request_of_event, INGEST_SELECTED_JOB, dg.DagsterRunStatus.STARTED)
    of_a_person = dg.RunRequest(tags={"fixity/selection": "1" * 40})
    arrivals.failed(instance, of_a_person)
    arrivals.later = 13 * HOURS
    assert arrivals.again(instance) == []


@pytest.mark.parametrize("other", [{}, {READING: "restored"}], ids=["a person", "a look"])
def test_that_others_asked_for_the_same_list_changes_nothing(
    arrivals: Arrivals, request_of_event: dg.RunRequest, instance: dg.DagsterInstance, other: dict[str, str]
) -> None:
    arrivals.failed(instance, request_of_event)
    last = arrivals.failed(
        instance, dg.RunRequest(tags={SELECTION: request_of_event.tags[SELECTION], **other})
    )
    arrivals.later = 13 * HOURS
    (again,) = arrivals.again(instance)
    assert again.run_key == f"again:{last}"
    assert again.tags[EVENTS] == "new"


def test_of_more_lists_than_a_tick_asks_for_or_a_page_holds_none_is_forgotten(
    arrivals: Arrivals,
    request_of_event: dg.RunRequest,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_reconciliation, "_PAGE", 7)
    selections = [request_of_event.tags[SELECTION], *(f"{number:040x}" for number in range(60))]
    job = definitions_of(arrivals.catalog).resolve_job_def(INGEST_SELECTED_JOB)
    for selection in selections:
        tags = {SELECTION: selection, EVENTS: "new", "dagster/partition": BUCKET}
        instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.FAILURE)
    arrivals.later = 16 * MINUTES
    first = arrivals.again(instance)
    assert [request.tags[SELECTION] for request in first] == selections[:50]
    for request in first:
        arrivals.ended(instance, request, INGEST_SELECTED_JOB, dg.DagsterRunStatus.STARTED)
    assert [request.tags[SELECTION] for request in arrivals.again(instance)] == selections[50:]
