"""No message is lost with a tick that fails, and none is dealt with for ever."""

from __future__ import annotations

from pathlib import Path

from devstack.moto_server import MotoServer, TestQueue
from sensors.events import BatchOperationsEvent
from sensors.messages import Inbox
from tests.resources.test_queues import open_queue
from tests.sensors.test_events import JOB_FINISHED


def test_messages_are_deleted_by_the_tick_after_the_one_that_took_them(
    tmp_path: Path, moto_server: MotoServer, queue: TestQueue
) -> None:
    queue.send(JOB_FINISHED)
    opened = open_queue(tmp_path, moto_server, queue.url)
    first = Inbox(opened, None)
    (message,) = first.messages
    assert first.events(message, print) == [
        BatchOperationsEvent("e849b567-5232-44be-9a0c-40988f14e80c", "Complete")
    ]
    first.done(message)
    first.done(message)
    assert queue.kept == 1
    second = Inbox(opened, first.cursor)
    assert queue.kept == 0 and second.messages == []
    assert second.cursor == "[]"  # an empty text would leave the old receipts in place


def test_a_tick_that_was_not_committed_loses_nothing(
    tmp_path: Path, moto_server: MotoServer, queue: TestQueue
) -> None:
    queue.send(JOB_FINISHED)
    opened = open_queue(tmp_path, moto_server, queue.url, hidden_for=0)
    lost = Inbox(opened, None, limit=1)
    lost.done(lost.messages[0])  # and its cursor is never kept
    again = Inbox(opened, None, limit=1)
    assert [message.body for message in again.messages] == [message.body for message in lost.messages]


def test_what_is_not_dealt_with_comes_again(
    tmp_path: Path, moto_server: MotoServer, queue: TestQueue
) -> None:
    queue.send(JOB_FINISHED)
    opened = open_queue(tmp_path, moto_server, queue.url, hidden_for=0)
    first = Inbox(opened, None, limit=1)
    assert first.cursor == "[]"
    assert len(Inbox(opened, first.cursor, limit=1).messages) == 1


def test_garbage_is_noted_and_acknowledged(tmp_path: Path, moto_server: MotoServer, queue: TestQueue) -> None:
    queue.send("no JSON")
    opened = open_queue(tmp_path, moto_server, queue.url)
    notes: list[str] = []
    inbox = Inbox(opened, None)
    assert inbox.events(inbox.messages[0], notes.append) == []
    assert notes == ["ignored: a message that is not a JSON object"]
    Inbox(opened, inbox.cursor)
    assert queue.kept == 0
