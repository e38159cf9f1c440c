"""Messages of AWS in every envelope, and everything that is none."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixity.catalog import Queue
from sensors.events import (
    BatchOperationsEvent,
    ComputeJobEvent,
    Event,
    ObjectEvent,
    UnknownMessage,
)
from sensors.events import read_message as events_in

OBJECT_CREATED: dict[str, Any] = {
    "version": "0",
    "detail-type": "Object Created",
    "source": "aws.s3",
    "account": "111122223333",
    "detail": {
        "version": "0",
        "bucket": {"name": "deposit"},
        "object": {
            "key": "red flower+é.jpg",
            "size": 5,
            "etag": "b1946ac9",
            "version-id": "v1",
            "sequencer": "00617F",
        },
        "reason": "PutObject",
    },
}
JOB_FINISHED: dict[str, Any] = {
    "version": "0",
    "detail-type": "AWS Service Event via CloudTrail",
    "source": "aws.s3",
    "detail": {
        "eventSource": "s3.amazonaws.com",
        "eventName": "JobStatusChanged",
        "serviceEventDetails": {
            "jobId": "e849b567-5232-44be-9a0c-40988f14e80c",
            "jobArn": "arn:aws:s3:us-east-1:123456789012:job/e849b567-5232-44be-9a0c-40988f14e80c",
            "status": "Complete",
            "failureCodes": [],
            "statusChangeReason": [],
        },
    },
}
COMPUTE_JOB: dict[str, Any] = {
    "source": "aws.batch",
    "detail-type": "Batch Job State Change",
    "detail": {
        "jobId": "4c7599ae",
        "jobName": "checksums-deposit",
        "jobQueue": "arn:aws:batch:us-east-1:111122223333:job-queue/q",
        "status": "FAILED",
        "statusReason": "Essential container in task exited",
        "tags": {"fixity-bucket": "deposit"},
    },
}


QUEUE = Queue(url="https://sqs.us-east-1.amazonaws.com/111122223333/name")


def read_message(body: str, queue: Queue = QUEUE) -> list[Event]:
    """All events in a message."""
    return list(events_in(body, queue))


def classic(name: str, key: str = "red+flower%2B%C3%A9.jpg", **about: object) -> dict[str, Any]:
    """A classic notification of one record."""
    said = {"bucket": {"name": "deposit"}, "object": {"key": key, "sequencer": "00617F", **about}}
    return {"Records": [{"eventSource": "aws:s3", "eventName": name, "s3": said}]}


def in_sns(message: object) -> str:
    """A message as SNS delivers it."""
    return json.dumps({"Type": "Notification", "TopicArn": "arn:…", "Message": json.dumps(message)})


def test_an_eventbridge_event_is_read_with_its_key_as_it_is() -> None:
    expected = ObjectEvent("created", "deposit", "red flower+é.jpg", "v1")
    assert read_message(json.dumps(OBJECT_CREATED)) == [expected]


def test_sns_around_it_makes_no_difference() -> None:
    for message in (OBJECT_CREATED, JOB_FINISHED, COMPUTE_JOB, classic("ObjectCreated:Put")):
        assert read_message(in_sns(message)) == read_message(json.dumps(message))


def test_the_key_of_a_classic_notification_is_form_encoded() -> None:
    message = classic("ObjectCreated:Put", size=5, eTag="b1946ac9", versionId="v1")
    (event,) = read_message(json.dumps(message))
    assert event == ObjectEvent("created", "deposit", "red flower+é.jpg", "v1")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ObjectCreated:CompleteMultipartUpload", "created"),
        ("s3:ObjectCreated:Put", "created"),
        ("ObjectRemoved:DeleteMarkerCreated", "deleted"),
        ("LifecycleExpiration:Delete", "deleted"),
        ("ObjectRestore:Post", "restore_initiated"),
        ("ObjectRestore:Completed", "restore_completed"),
        ("ObjectRestore:Delete", "restore_expired"),
        ("LifecycleTransition", "storage_class_changed"),
    ],
)
def test_classic_names_are_the_kinds_of_eventbridge(name: str, kind: str) -> None:
    (event,) = read_message(json.dumps(classic(name)))
    assert isinstance(event, ObjectEvent) and event.kind == kind


def test_a_message_of_several_records_gives_an_event_each_and_leaves_out_what_is_of_no_concern() -> None:
    records = [
        record
        for name in ("ObjectCreated:Put", "ObjectTagging:Put", "ObjectRemoved:Delete")
        for record in classic(name)["Records"]
    ]
    events = read_message(json.dumps({"Records": records}))
    assert [event.kind for event in events if isinstance(event, ObjectEvent)] == ["created", "deleted"]


def test_a_batch_operations_event_gives_the_job() -> None:
    job = "e849b567-5232-44be-9a0c-40988f14e80c"
    assert read_message(json.dumps(JOB_FINISHED)) == [BatchOperationsEvent(job, "Complete")]


def test_a_compute_job_s_event_gives_its_name_and_tags() -> None:
    assert read_message(json.dumps(COMPUTE_JOB)) == [
        ComputeJobEvent(
            "4c7599ae",
            "checksums-deposit",
            "FAILED",
            {"fixity-bucket": "deposit"},
        )
    ]


def test_the_test_message_of_s3_tells_of_nothing() -> None:
    assert read_message(json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent"})) == []


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not JSON",
        "null",
        "[]",
        '"text"',
        "{}",
        '{"Records": 5}',
        '{"Records": [null]}',
        '{"Records": [{"eventName": "ObjectCreated:Put"}]}',
        '{"Type": "Notification", "Message": "no JSON"}',
        '{"detail-type": "Object Created", "source": "aws.s3", "detail": {}}',
        '{"detail-type": "Object Created", "source": "mine", "detail": {}}',
        '{"detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}',
        json.dumps(classic("ObjectCreated:Put", key="%FF")),
        json.dumps(OBJECT_CREATED).replace("red", "\\ud800"),
        json.dumps(JOB_FINISHED).replace("jobId", "id"),
        json.dumps(JOB_FINISHED).replace("e849b567-5232-44be-9a0c-40988f14e80c", "../" * 9),
        json.dumps(JOB_FINISHED).replace("e849b567-5232-44be-9a0c-40988f14e80c", "j" * 300),
        json.dumps(COMPUTE_JOB).replace("4c7599ae", "/etc/passwd"),
        json.dumps(COMPUTE_JOB).replace("4c7599ae", "a\\u0000"),
        "[" * 100_000,
    ],
)
def test_garbage_is_told_as_such(body: str) -> None:
    with pytest.raises(UnknownMessage, match="a message"):
        read_message(body)


def test_sizes_that_are_no_numbers_do_not_matter() -> None:
    for size in ("1e999", "NaN", "-Infinity", "[]", "null", '"\\u001b[2J"'):
        body = json.dumps(OBJECT_CREATED).replace('"size": 5', f'"size": {size}')
        assert size in body and len(read_message(body)) == 1


def test_an_odd_record_keeps_none_of_the_others_back() -> None:
    records = [{"eventName": "ObjectCreated:Put"}, *classic("ObjectCreated:Put")["Records"], None]
    events = events_in(json.dumps({"Records": records}), QUEUE)
    assert next(events) == ObjectEvent("created", "deposit", "red flower+é.jpg")
    with pytest.raises(UnknownMessage, match=r"of an unknown form \(KeyError"):
        next(events)


def test_events_of_another_account_are_refused_where_the_catalog_names_one() -> None:
    ours, theirs = (Queue(url=QUEUE.url, account_id=each) for each in ("111122223333", "444455556666"))
    assert len(read_message(json.dumps(OBJECT_CREATED), ours)) == 1
    for body in (json.dumps(OBJECT_CREATED), in_sns(OBJECT_CREATED)):
        with pytest.raises(UnknownMessage, match="of the account 111122223333, not of 444455556666"):
            read_message(body, theirs)
    assert len(read_message(json.dumps(classic("ObjectCreated:Put")), theirs)) == 1  # it names no account


def test_messages_of_another_topic_are_refused_where_the_catalog_names_one() -> None:
    queue = Queue(url=QUEUE.url, topic_arn="arn:aws:sns:eu-west-2:111122223333:objects")
    ours = (
        in_sns(OBJECT_CREATED)
        .replace("arn:…", str(queue.topic_arn))
        .replace("arn:\\u2026", str(queue.topic_arn))
    )
    assert len(read_message(ours, queue)) == 1
    for body, said in ((in_sns(OBJECT_CREATED), "the topic arn:…"), (json.dumps(OBJECT_CREATED), "no topic")):
        with pytest.raises(UnknownMessage, match=f"a message of {said}, not of arn:aws:sns:eu-west-2"):
            read_message(body, queue)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(
    start=st.sampled_from([OBJECT_CREATED, JOB_FINISHED, COMPUTE_JOB, classic("ObjectCreated:Put")]),
    replaced=st.data(),
)
def test_whatever_stands_in_a_message_it_is_read_or_told_to_be_unknown(
    start: dict[str, Any], replaced: st.DataObject
) -> None:
    message = json.loads(json.dumps(start))
    place: Any = message
    while isinstance(place, dict | list) and place:
        key = replaced.draw(st.sampled_from(list(place) if isinstance(place, dict) else range(len(place))))
        if replaced.draw(st.booleans()):
            place[key] = replaced.draw(JSON)
            break
        place = place[key]
    with suppress(UnknownMessage):
        read_message(json.dumps(message))
