"""No message is lost with a tick that fails, and none blocks the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack.moto_server import MotoServer, TestQueue
from fixity.catalog import Queue
from fixity.engines.s3_batch.errors import S3ControlError
from fixity.lake import LakeError, LocalLake
from resources.queues import Message, OpenQueue
from sensors.events import BatchOperationsEvent, Event
from sensors.messages import Inbox
from tests.resources.test_queues import open_queue
from tests.sensors.test_events import COMPUTE_JOB, JOB_FINISHED, JSON, OBJECT_CREATED, QUEUE, classic


class OneMessage(OpenQueue):
    """A queue that has one message, whatever its body."""

    def __init__(self, body: str, queue: Queue = QUEUE) -> None:
        self.settings = queue
        self._body = body

    def delete(self, receipts: object) -> int:
        """There is nothing to delete."""
        return 0

    def receive(self, limit: int) -> list[Message]:
        """The message."""
        return [Message(self._body, "receipt")]


def take(
    queue: OpenQueue,
    folder: Path,
    cursor: str | None = None,
    act: Callable[[Event, Message], bool] = lambda event, message: True,
) -> tuple[Inbox, list[str]]:
    """A tick over a queue; returns also what was logged."""
    notes: list[str] = []
    inbox = Inbox(queue, cursor, LocalLake(folder / "lake"), notes.append)
    inbox.each_event(act)
    return inbox, notes


def kept(folder: Path) -> list[dict[str, Any]]:
    """The messages that are kept in the lake."""
    return [json.loads(file.read_text()) for file in sorted((folder / "lake/messages").glob("*.json"))]


def test_messages_are_deleted_by_the_tick_after_the_one_that_took_them(
    tmp_path: Path, moto_server: MotoServer, queue: TestQueue
) -> None:
    queue.send(JOB_FINISHED)
    opened = open_queue(tmp_path, moto_server, queue.url)
    events: list[Event] = []

    def act(event: Event, _: Message) -> bool:
        events.append(event)
        return True

    first, _ = take(opened, tmp_path, act=act)
    assert events == [BatchOperationsEvent("e849b567-5232-44be-9a0c-40988f14e80c", "Complete")]
    assert queue.kept == 1
    second, _ = take(opened, tmp_path, first.cursor, act)
    assert queue.kept == 0 and len(events) == 1
    assert second.cursor == "[]"  # an empty text would leave the old receipts in place


def test_a_tick_that_was_not_committed_loses_nothing(
    tmp_path: Path, moto_server: MotoServer, queue: TestQueue
) -> None:
    queue.send(JOB_FINISHED)
    opened = open_queue(tmp_path, moto_server, queue.url, hidden_for=0)
    bodies: list[str] = []

    def act(_: Event, message: Message) -> bool:
        bodies.append(message.body)
        return True

    for _ in range(2):  # and the cursor of the first is never kept
        inbox = Inbox(opened, None, LocalLake(tmp_path / "lake"), print, limit=1)
        inbox.each_event(act)
    assert bodies[0] == bodies[1] and len(bodies) == 2


def test_what_is_not_dealt_with_comes_again(
    tmp_path: Path, moto_server: MotoServer, queue: TestQueue
) -> None:
    queue.send(JOB_FINISHED)
    opened = open_queue(tmp_path, moto_server, queue.url)
    inbox, _ = take(opened, tmp_path, act=lambda event, message: False)
    assert inbox.cursor == "[]" and queue.kept == 1


def test_garbage_is_kept_in_the_lake_logged_and_acknowledged(
    tmp_path: Path, moto_server: MotoServer, queue: TestQueue
) -> None:
    queue.send("no JSON \x1b[2J")
    opened = open_queue(tmp_path, moto_server, queue.url)
    inbox, (note,) = take(opened, tmp_path)
    (message,) = kept(tmp_path)
    assert message["why"] == "a message that is not a JSON object" and message["queue"] == queue.url
    assert "no JSON" in message["body"]
    assert note.endswith(f"{next((tmp_path / 'lake/messages').iterdir())}: {message['why']}")
    take(opened, tmp_path, inbox.cursor)
    assert queue.kept == 0


@pytest.mark.parametrize(
    "error", [KeyError("x"), OverflowError("1e999"), RecursionError(), ValueError("\x1b" * 999)]
)
def test_whatever_a_message_raises_the_others_go_on(tmp_path: Path, error: Exception) -> None:
    def act(_: Event, __: Message) -> bool:
        raise error

    inbox, (note,) = take(OneMessage(json.dumps(JOB_FINISHED)), tmp_path, act=act)
    assert json.loads(inbox.cursor) == ["receipt"] and len(kept(tmp_path)) == 1
    assert note.isprintable() and len(note) < 3000


@pytest.mark.parametrize(
    "error", [S3ControlError("throttled"), LakeError("no lake"), ConnectionResetError("reset")]
)
def test_trouble_that_may_pass_throws_no_message_away(tmp_path: Path, error: Exception) -> None:
    def act(_: Event, __: Message) -> bool:
        raise error

    inbox, (note,) = take(OneMessage(json.dumps(JOB_FINISHED)), tmp_path, act=act)
    assert inbox.cursor == "[]" and not kept(tmp_path)
    assert note == f"a message is left in the queue, because this may pass: {error}"


def test_a_message_that_cannot_be_kept_for_people_is_left_in_the_queue(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("a file stands where the lake should be")
    inbox, (note,) = take(OneMessage("garbage"), tmp_path)
    assert inbox.cursor == "[]" and "cannot be written" in note


STARTS = st.sampled_from([OBJECT_CREATED, JOB_FINISHED, COMPUTE_JOB, classic("ObjectCreated:Put")])


@given(start=STARTS, data=st.data())
def test_any_body_is_acted_on_or_kept_and_always_acknowledged(
    tmp_path_factory: pytest.TempPathFactory, start: dict[str, Any], data: st.DataObject
) -> None:
    body = data.draw(st.text() | JSON.map(json.dumps))
    if data.draw(st.booleans()):
        text = json.dumps(start)
        cut = sorted(data.draw(st.lists(st.integers(0, len(text)), min_size=2, max_size=2)))
        body = text[: cut[0]] + body + text[cut[1] :]
    folder = tmp_path_factory.mktemp("lake")
    acted: list[Event] = []

    def act(event: Event, _: Message) -> bool:
        acted.append(event)
        return True

    inbox, notes = take(OneMessage(body), folder, act=act)
    assert json.loads(inbox.cursor) == ["receipt"]
    assert len(kept(folder)) == len(notes) <= 1
    assert all(note.isprintable() for note in notes)
    assert [message["body"] for message in kept(folder)] in ([], [body])
