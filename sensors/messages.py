"""Taking messages from a queue so that none is lost: a tick's messages are deleted by the next one.

Dagster commits a tick after the sensor's function has returned, and its cursor last of all. Messages
deleted within the tick that received them would be lost with a tick that fails. So the cursor holds the
receipts of what was dealt with, and the tick that finds them there, which proves the commit, deletes
them. Messages that are not dealt with come again by themselves.
"""

import json
from collections.abc import Callable

from resources.queues import Message, OpenQueue
from sensors.events import Event, UnknownMessage, read_message


class Inbox:
    """The messages of one tick.

    Arguments: `cursor` as the tick was given it: its messages are deleted now; `limit`, how many
    messages to take at most. Raises QueueUnreachable.
    """

    def __init__(self, queue: OpenQueue, cursor: str | None, limit: int = 100) -> None:
        queue.delete(json.loads(cursor or "[]"))
        self.messages = queue.receive(limit)
        self._done: list[str] = []

    def events(self, message: Message, log: Callable[[str], object]) -> list[Event]:
        """What a message tells of. One that is unknown is dealt with: `log` takes why, once."""
        try:
            return read_message(message.body)
        except UnknownMessage as unknown:
            log(f"acknowledged without effect: {unknown}")
            self.done(message)
            return []

    def done(self, message: Message) -> None:
        """A message is dealt with, as soon as this tick is committed."""
        if message.receipt not in self._done:
            self._done.append(message.receipt)

    @property
    def cursor(self) -> str:
        """The cursor to return from the tick; never empty, since Dagster would ignore that."""
        return json.dumps(self._done)
