"""The catalog's queues: which SQS queue each sensor reads.

Receiving and handling messages do not belong here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from fixity.catalog.base import Part
from fixity.catalog.messages import NO_SECRETS, shown

_A_URL = "write it as SQS shows it, https://sqs.us-east-1.amazonaws.com/111122223333/name"


def _check_url(url: str) -> str:
    if not re.fullmatch(r"[\w:/.\[\]-]*", url):  # a user, a query, a signature, also an encoded one
        why = f"the URL of a queue has more than a host and a path; {_A_URL}; {NO_SECRETS}"
        raise PydanticCustomError("secret", "{why}", {"why": why})
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.path.strip("/")
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(f"{shown(url)} is not the URL of a queue: {_A_URL}")
    return url


class Queue(Part):
    """An SQS queue. In the file, its URL alone is enough."""

    url: Annotated[str, AfterValidator(_check_url)]
    """The queue's URL, as SQS shows it."""
    store: str = "aws"
    """The store whose endpoint, region and profile are used for the queue."""
    account_id: Annotated[str, Field(pattern=r"^[0-9]{12}$")] | None = None
    """The AWS account whose events are accepted: twelve digits, in quotes; by default any. Events that name
    another account are not accepted."""
    topic_arn: Annotated[str, Field(pattern=r"^arn:[a-z-]+:sns:[a-z0-9-]+:[0-9]{12}:\S+$")] | None = None
    """The SNS topic whose messages are accepted, without raw delivery; by default any, or none."""

    @property
    def region(self) -> str | None:
        """The region in the URL of an AWS queue; None for any other URL."""
        found = re.match(r"https://sqs\.([a-z0-9-]+)\.amazonaws\.com", self.url)
        return found[1] if found else None


_Queue = Annotated[Queue, BeforeValidator(lambda value: {"url": value} if isinstance(value, str) else value)]


class Queues(Part):
    """The queue of each sensor. A sensor without a queue is not needed."""

    batch_completion: _Queue | None = None
    """Events of S3 Batch Operations and AWS Batch jobs."""
    restore_completion: _Queue | None = None
    """Events of restored objects."""
    new_objects: _Queue | None = None
    """Events of new objects."""
    results_manifest: _Queue | None = None
    """Events of the manifests that a Distributed Map writes."""

    @model_validator(mode="after")
    def _are_not_shared(self) -> Self:
        sensors: dict[str, str] = {}
        for name, queue in self:
            other = sensors.setdefault(queue.url, name) if queue else name
            if other != name:
                raise ValueError(
                    f"`{other}` and `{name}` share a queue, and each would delete the other's messages: "
                    "give each a queue of its own"
                )
        return self


def stores_of_queues(queues: object) -> Iterator[tuple[tuple[str, ...], str]]:
    """The stores that queues name, each with its path of keys.

    Arguments: `queues`, validated or as in the file.
    """
    section = queues.model_dump() if isinstance(queues, Queues) else queues
    for name, queue in section.items() if isinstance(section, Mapping) else ():
        if isinstance(queue, Mapping) and isinstance(queue.get("store"), str):
            yield ("queues", str(name), "store"), queue["store"]
