"""Whether the queues of a catalog can be reached. No message is received: that would count as a delivery.

Reading messages does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterator

from fixity.catalog import Catalog
from fixity.catalog.clients import sqs_client
from fixity.doctor.finding import OK, WARNING, Finding, finding_of_refusal

_ACTION = "sqs:GetQueueAttributes"


def look_at_queues(catalog: Catalog) -> Iterator[Finding]:
    """What is right and wrong with the queues."""
    from botocore.exceptions import BotoCoreError, ClientError

    for name, queue in catalog.queues:
        if queue is None:
            continue
        about = f"queue {name}"
        try:
            client = sqs_client(catalog.stores[queue.store], queue)
            client.get_queue_attributes(QueueUrl=queue.url, AttributeNames=["QueueArn"])
        except (ClientError, BotoCoreError) as error:
            found = finding_of_refusal(about, error, _ACTION, queue.url)
            if _ACTION in found.to_do:  # which the platform itself does not need
                found = Finding(
                    about, WARNING, f"{_ACTION} is refused, so that nothing is known of it", found.to_do
                )
            yield found
        else:
            yield Finding(about, OK, "is there")
