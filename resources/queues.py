"""The SQS queues of a catalog: receiving messages, and deleting those that were handled.

The meaning of messages does not belong here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import Field

from fixity.catalog import Queue
from fixity.catalog.clients import sqs_client
from fixity.errors import FixityError
from resources.catalog import CatalogResource

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_AT_ONCE = 10  # SQS returns and deletes no more in one request


class QueueUnreachable(FixityError):
    """A queue cannot be read. The message says which, and why."""

    final = False


@dataclass(frozen=True)
class Message:
    """A message as received. `receipt` deletes it, unless SQS has delivered it again since."""

    body: str
    receipt: str


class OpenQueue:
    """One queue, and its `settings` in the catalog.

    A received message that is not deleted comes again after `hidden_for` seconds.
    """

    def __init__(self, queue: Queue, client: "SQSClient", hidden_for: int, wait: int) -> None:
        self.settings = queue
        self._client = client
        self._hidden_for = hidden_for
        self._wait = wait

    def receive(self, limit: int) -> list[Message]:
        """The next messages, at most `limit`; fewer or none if the queue has no more.

        Raises QueueUnreachable.
        """
        messages: list[Message] = []
        while len(messages) < limit:
            try:
                answer = self._client.receive_message(
                    QueueUrl=self.settings.url,
                    MaxNumberOfMessages=min(_AT_ONCE, limit - len(messages)),
                    VisibilityTimeout=self._hidden_for,
                    WaitTimeSeconds=self._wait,
                )
            except (ClientError, BotoCoreError) as error:
                raise QueueUnreachable(f"the queue {self.settings.url} cannot be read: {error}") from error
            received = answer.get("Messages", [])
            if not received:
                break
            messages += [Message(each.get("Body", ""), each["ReceiptHandle"]) for each in received]
        return messages

    def delete(self, receipts: Sequence[str]) -> int:
        """Delete messages by their receipts. Returns how many could not be deleted; those come again.

        Raises QueueUnreachable.
        """
        failed = 0
        for first in range(0, len(receipts), _AT_ONCE):
            batch = receipts[first : first + _AT_ONCE]
            try:
                answer = self._client.delete_message_batch(
                    QueueUrl=self.settings.url,
                    Entries=[{"Id": str(number), "ReceiptHandle": each} for number, each in enumerate(batch)],
                )
            except (ClientError, BotoCoreError) as error:
                raise QueueUnreachable(
                    f"messages of the queue {self.settings.url} cannot be deleted: {error}"
                ) from error
            failed += len(answer.get("Failed", []))
        return failed


class QueuesResource(dg.ConfigurableResource):
    """Opens the queues of the catalog."""

    catalog: dg.ResourceDependency[CatalogResource]
    hidden_for: int = Field(
        default=600,
        description="Seconds until SQS delivers a received message again, if it is not deleted. Keep it well "
        "above every sensor's interval: a message is deleted in the tick after the one that received it.",
    )
    wait: int = Field(
        default=1,
        description="Seconds to wait for a first message. With 0, SQS asks only some of its servers.",
    )

    def open(self, queue: Queue) -> OpenQueue:
        """A queue of the catalog. Raises QueueUnreachable."""
        store = self.catalog.catalog.stores[queue.store]
        try:
            return OpenQueue(queue, sqs_client(store, queue), self.hidden_for, self.wait)
        except BotoCoreError as error:
            raise QueueUnreachable(f"the queue {queue.url} cannot be opened: {error}") from error
