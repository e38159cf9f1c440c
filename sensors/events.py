"""Reads the events in AWS messages, whatever envelope they arrive in.

An EventBridge event is a message of its own, SNS wraps a message once more, and a classic S3 notification
is a list. An event is a hint: look at the object or job before acting on it. Queues, and what follows
from an event, do not belong here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import unquote_plus

from fixity.catalog import Queue
from fixity.engines.s3_batch.job_records import is_job_id
from fixity.errors import FixityError
from fixity.humanize import printable

ObjectEventKind = Literal[
    "created",
    "deleted",
    "restore_initiated",
    "restore_completed",
    "restore_expired",
    "storage_class_changed",
]
"""What may happen to an object."""

_EVENTBRIDGE_KINDS: dict[str, ObjectEventKind] = {
    "Object Created": "created",
    "Object Deleted": "deleted",
    "Object Restore Initiated": "restore_initiated",
    "Object Restore Completed": "restore_completed",
    "Object Restore Expired": "restore_expired",
    "Object Storage Class Changed": "storage_class_changed",
}
# By the beginning of the event's name; the first that fits.
_CLASSIC_KINDS: dict[str, ObjectEventKind] = {
    "ObjectCreated:": "created",
    "ObjectRemoved:": "deleted",
    "LifecycleExpiration:": "deleted",
    "ObjectRestore:Post": "restore_initiated",
    "ObjectRestore:Completed": "restore_completed",
    "ObjectRestore:Delete": "restore_expired",
    "LifecycleTransition": "storage_class_changed",
    "IntelligentTiering": "storage_class_changed",
}


class UnknownMessage(FixityError):
    """A message of an unknown form. The text says what it is."""


@dataclass(frozen=True)
class ObjectEvent:
    """Something happened to an object.

    bucket: its real name. key: decoded. version_id: None where the bucket is unversioned.
    """

    kind: ObjectEventKind
    bucket: str
    key: str
    version_id: str | None = None


@dataclass(frozen=True)
class BatchOperationsEvent:
    """An S3 Batch Operations job was created or changed its status (`Complete`, `Failed`, …).

    account: the AWS account that the event names, if any.
    """

    job_id: str
    status: str
    account: str | None = None


@dataclass(frozen=True)
class ComputeJobEvent:
    """A job of AWS Batch, the compute service, changed its status (`SUCCEEDED`, `FAILED`, …).

    account: the AWS account that the event names, if any.
    """

    job_id: str
    name: str
    status: str
    tags: Mapping[str, str] = field(default_factory=dict)
    account: str | None = None


Event = ObjectEvent | BatchOperationsEvent | ComputeJobEvent


def read_message(body: str, queue: Queue) -> Iterator[Event]:
    """The events in a message.

    Arguments: `body` as SQS delivers it; `queue`, which may say whose events are accepted.
    Yields: several events for a classic notification; none for S3's test message.
    Raises UnknownMessage for everything else: no JSON, another service, account or topic, an event without
    its parts. A notification of several records first yields the usable ones.
    """
    message = _unwrapped(body, queue)
    try:
        if message.get("Event") == "s3:TestEvent":
            return
        if "Records" in message:
            yield from _records(message["Records"])
        else:
            yield from _eventbridge(message, queue)
    except _MALFORMED as error:
        what = message.get("detail-type") or "notification"
        raise UnknownMessage(f"a message '{printable(what, 100)}' of an unknown form ({error!r})") from error


_MALFORMED = (KeyError, TypeError, ValueError, AttributeError, RecursionError)


def _unwrapped(body: str, queue: Queue) -> dict[str, Any]:
    message = _mapping(body)
    topic = None
    if message.get("Type") == "Notification" and "Message" in message:
        topic = message.get("TopicArn")
        message = _mapping(message["Message"])
    if queue.topic_arn not in (None, topic):
        raise UnknownMessage(f"a message of {_named('topic', topic)}, not of {queue.topic_arn}")
    return message


def _named(what: str, name: object) -> str:
    return f"the {what} {printable(name, 100)}" if name else f"no {what}"


def _mapping(text: object) -> dict[str, Any]:
    try:
        said = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise UnknownMessage("a message that is not a JSON object")
    return said


def _eventbridge(message: Mapping[str, Any], queue: Queue) -> Iterator[Event]:
    account = str(message["account"]) if message.get("account") else None
    if queue.account_id is not None and account not in (None, queue.account_id):
        raise UnknownMessage(f"an event of {_named('account', account)}, not of {queue.account_id}")
    kind, detail = message.get("detail-type"), message["detail"]
    match message.get("source"), kind:
        case "aws.s3", str() if kind.startswith("Object "):
            if kind in _EVENTBRIDGE_KINDS:  # others, such as tagging, do not matter here
                said = detail["object"]
                yield _object_event(_EVENTBRIDGE_KINDS[kind], detail, said["key"], said.get("version-id"))
        case "aws.s3", "AWS Service Event via CloudTrail":
            about = detail["serviceEventDetails"]
            yield BatchOperationsEvent(_job_id(about["jobId"]), _text(about["status"]), account)
        case "aws.batch", "Batch Job State Change":
            yield ComputeJobEvent(
                job_id=_job_id(detail["jobId"]),
                name=_text(detail["jobName"]),
                status=_text(detail["status"]),
                tags=_texts(detail.get("tags")),
                account=account,
            )
        case _:
            raise UnknownMessage(f"a message of an unknown kind ({printable(kind or 'no detail-type', 100)})")


def _records(records: list[dict[str, Any]]) -> Iterator[ObjectEvent]:
    wrong: Exception | None = None
    for record in records:
        try:
            event = _record(record)
        except _MALFORMED as error:
            wrong = wrong or error
            continue
        if event is not None:
            yield event
    if wrong is not None:
        raise wrong


def _record(record: dict[str, Any]) -> ObjectEvent | None:
    name = record["eventName"].removeprefix("s3:")
    kind = next((kind for prefix, kind in _CLASSIC_KINDS.items() if name.startswith(prefix)), None)
    if kind is None:  # other events, such as replication or tagging, do not matter here
        return None
    said = record["s3"]["object"]
    key = unquote_plus(said["key"], errors="strict")
    return _object_event(kind, record["s3"], key, said.get("versionId"))


def _object_event(
    kind: ObjectEventKind, holder: Mapping[str, Any], key: object, version_id: object
) -> ObjectEvent:
    return ObjectEvent(
        kind=kind,
        bucket=_text(holder["bucket"]["name"]),
        key=_text(key),
        version_id=_text(version_id) if version_id else None,
    )


def _job_id(value: object) -> str:
    job_id = _text(value)
    if not is_job_id(job_id):
        raise ValueError(f"{job_id[:100]!r} is not the id of a job")
    return job_id


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{type(value).__name__} is not text")
    value.encode()  # JSON may hold halves of characters, which nothing else takes
    return value


def _texts(values: object) -> dict[str, str]:
    return {str(name): str(value) for name, value in values.items()} if isinstance(values, dict) else {}
