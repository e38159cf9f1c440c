"""moto's server on loopback: SQS, and moto's other services, over the wire and in memory.

S3 does not belong here; SeaweedFS serves it.
"""

from __future__ import annotations

import json
import logging
from types import TracebackType
from typing import TYPE_CHECKING
from uuid import uuid4

import boto3
from moto.server import ThreadedMotoServer

from devstack.seaweedfs import ACCESS_KEY, REGION, SECRET_KEY

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class MotoServer:
    """A server on a free port for the length of a `with` block."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else it logs every request
        self._server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
        self.endpoint_url = ""

    def __enter__(self) -> MotoServer:
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.endpoint_url = f"http://{host}:{port}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()

    def sqs(self) -> SQSClient:
        """A boto3 SQS client of this server."""
        return boto3.client(
            "sqs",
            endpoint_url=self.endpoint_url,
            region_name=REGION,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
        )

    def make_queue(self) -> TestQueue:
        """Create a new queue."""
        client = self.sqs()
        url = client.create_queue(QueueName=f"queue-{uuid4()}")["QueueUrl"]
        return TestQueue(client, url)


class TestQueue:
    """A queue for a test, which puts messages in and counts those left."""

    __test__ = False  # else pytest treats it as a class of tests

    def __init__(self, client: SQSClient, url: str) -> None:
        self._client = client
        self.url = url

    def send(self, message: object) -> None:
        """Send a message: a text unchanged, anything else as JSON."""
        body = message if isinstance(message, str) else json.dumps(message)
        self._client.send_message(QueueUrl=self.url, MessageBody=body)

    @property
    def kept(self) -> int:
        """The number of messages not deleted: those waiting, and those received."""
        answer = self._client.get_queue_attributes(QueueUrl=self.url, AttributeNames=["All"])
        counts = answer["Attributes"]
        return int(counts["ApproximateNumberOfMessages"]) + int(
            counts["ApproximateNumberOfMessagesNotVisible"]
        )
