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

from fixity.errors import FixityError

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

    bucket: its real name. key: decoded. version_id: None where the bucket is unversioned. size: in
    bytes, etag: without quotes, where the event says them. sequencer: orders the events of one key, by
    comparing texts of equal length (pad the shorter with zeros on its left).
    """

    kind: ObjectEventKind
    bucket: str
    key: str
    version_id: str | None = None
    size: int | None = None
    etag: str | None = None
    sequencer: str = ""


@dataclass(frozen=True)
class BatchOperationsEvent:
    """An S3 Batch Operations job was created or changed its status (`Complete`, `Failed`, …)."""

    job_id: str
    status: str


@dataclass(frozen=True)
class ComputeJobEvent:
    """A job of AWS Batch, the compute service, changed its status (`SUCCEEDED`, `FAILED`, …)."""

    job_id: str
    name: str
    status: str
    reason: str
    tags: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)


Event = ObjectEvent | BatchOperationsEvent | ComputeJobEvent


def read_message(body: str) -> list[Event]:
    """The events in a message of a queue.

    Arguments: `body` as SQS delivers it.
    Returns: several for a classic notification; none for S3's test message.
    Raises UnknownMessage for everything else: no JSON, another service, an event without its parts.
    """
    message = _unwrapped(body)
    try:
        if message.get("Event") == "s3:TestEvent":
            return []
        if "Records" in message:
            return list(_records(message["Records"]))
        return [_eventbridge(message)]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = message.get("detail-type") or "notification"
        raise UnknownMessage(f"a message '{what}' of an unknown form ({error!r})") from error


def _unwrapped(body: str) -> dict[str, Any]:
    message = _mapping(body)
    if message.get("Type") == "Notification" and "Message" in message:
        message = _mapping(message["Message"])
    return message


def _mapping(text: object) -> dict[str, Any]:
    try:
        said = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise UnknownMessage("a message that is not a JSON object")
    return said


def _eventbridge(message: Mapping[str, Any]) -> Event:
    kind, detail = message.get("detail-type"), message["detail"]
    match message.get("source"), kind:
        case "aws.s3", str() if kind in _EVENTBRIDGE_KINDS:
            said = detail["object"]
            return _object_event(
                _EVENTBRIDGE_KINDS[kind], detail, said["key"], said.get("version-id"), said.get("etag")
            )
        case "aws.s3", "AWS Service Event via CloudTrail":
            about = detail["serviceEventDetails"]
            return BatchOperationsEvent(_text(about["jobId"]), _text(about["status"]))
        case "aws.batch", "Batch Job State Change":
            return ComputeJobEvent(
                job_id=_text(detail["jobId"]),
                name=_text(detail["jobName"]),
                status=_text(detail["status"]),
                reason=str(detail.get("statusReason") or ""),
                tags=_texts(detail.get("tags")),
                parameters=_texts(detail.get("parameters")),
            )
    raise UnknownMessage(f"a message of an unknown kind ({kind or 'no detail-type'})")


def _records(records: list[dict[str, Any]]) -> Iterator[ObjectEvent]:
    for record in records:
        name = record["eventName"].removeprefix("s3:")
        kind = next((kind for prefix, kind in _CLASSIC_KINDS.items() if name.startswith(prefix)), None)
        if kind is not None:  # other events, such as replication or tagging, do not matter here
            said = record["s3"]["object"]
            key = unquote_plus(said["key"], errors="strict")
            yield _object_event(kind, record["s3"], key, said.get("versionId"), said.get("eTag"))


def _object_event(
    kind: ObjectEventKind, holder: Mapping[str, Any], key: object, version_id: object, etag: object
) -> ObjectEvent:
    said = holder["object"]
    return ObjectEvent(
        kind=kind,
        bucket=_text(holder["bucket"]["name"]),
        key=_text(key),
        version_id=_text(version_id) if version_id else None,
        size=int(said["size"]) if said.get("size") is not None else None,
        etag=_text(etag).strip('"') if etag else None,
        sequencer=str(said.get("sequencer") or ""),
    )


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is not text")
    value.encode()  # JSON may hold halves of characters, which nothing else takes
    return value


def _texts(values: object) -> dict[str, str]:
    return {str(name): str(value) for name, value in values.items()} if isinstance(values, dict) else {}
