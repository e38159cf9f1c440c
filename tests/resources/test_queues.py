"""Queues over the wire: what is received stays until it is deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from devstack.moto_server import MotoServer, TestQueue
from fixity.catalog import load_catalog
from resources.catalog import CatalogResource
from resources.queues import OpenQueue, QueuesResource, QueueUnreachable


def open_queue(folder: Path, server: MotoServer, url: str, hidden_for: int = 600) -> OpenQueue:
    """A queue as the platform opens it, from a catalog."""
    file = folder / "fixity.yaml"
    file.write_text(
        f"lake: ./lake\nstores: {{local: {{endpoint_url: '{server.endpoint_url}', region: us-east-1}}}}\n"
        f"buckets: {{a: {{path: ./objects}}}}\nqueues: {{new_objects: {{url: '{url}', store: local}}}}\n"
    )
    queue = load_catalog(file).queues.new_objects
    assert queue is not None
    resource = QueuesResource(catalog=CatalogResource(file=str(file)), hidden_for=hidden_for, wait=0)
    return resource.open(queue)


def test_messages_are_received_up_to_a_limit_and_deleted_by_their_receipts(
    tmp_path: Path, moto_server: MotoServer, queue: TestQueue
) -> None:
    for number in range(23):
        queue.send(f"message {number}")
    opened = open_queue(tmp_path, moto_server, queue.url)
    first = opened.receive(limit=12)
    rest = opened.receive(limit=100)
    assert len(first) == 12 and len(rest) == 11
    assert {message.body for message in first + rest} == {f"message {number}" for number in range(23)}
    assert opened.delete([message.receipt for message in first]) == 0
    assert queue.kept == 11


def test_what_is_not_deleted_comes_again(tmp_path: Path, moto_server: MotoServer, queue: TestQueue) -> None:
    queue.send("again")
    opened = open_queue(tmp_path, moto_server, queue.url, hidden_for=0)
    assert [message.body for message in opened.receive(limit=1)] == ["again"]
    assert [message.body for message in opened.receive(limit=1)] == ["again"]


def test_deleting_twice_harms_nobody(tmp_path: Path, moto_server: MotoServer, queue: TestQueue) -> None:
    queue.send("once")
    opened = open_queue(tmp_path, moto_server, queue.url)
    receipts = [message.receipt for message in opened.receive(limit=1)]
    opened.delete(receipts)
    opened.delete(receipts)
    assert queue.kept == 0


def test_a_queue_that_is_not_there_is_named(tmp_path: Path, moto_server: MotoServer) -> None:
    url = f"{moto_server.endpoint_url}/123456789012/nobody"
    opened = open_queue(tmp_path, moto_server, url)
    with pytest.raises(QueueUnreachable, match=r"nobody cannot be read: .*NonExistentQueue"):
        opened.receive(limit=1)
    with pytest.raises(QueueUnreachable, match="nobody cannot be deleted"):
        opened.delete(["receipt"])
