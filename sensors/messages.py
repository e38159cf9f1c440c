"""Takes messages from a queue so that none is lost: each tick deletes the messages of the tick before.

Dagster commits a tick after the sensor's function has returned, and its cursor last. If a tick deleted
its own messages and then failed, they would be lost. So the cursor holds the receipts of messages that
were dealt with. The next tick finds them in its cursor, which proves the commit, and deletes them. SQS
delivers all other messages again.
"""

import json
from collections.abc import Callable

from resources.queues import Message, OpenQueue
from sensors.events import Event, UnknownMessage, read_message


class Inbox:
    """The messages of one tick.

    Arguments: `cursor` of the tick, whose messages are deleted now; `limit`, how many messages to take at
    most. Raises QueueUnreachable.
    """

    def __init__(self, queue: OpenQueue, cursor: str | None, limit: int = 100) -> None:
        queue.delete(json.loads(cursor or "[]"))
        self.messages = queue.receive(limit)
        self._done: list[str] = []

    def events(self, message: Message, log: Callable[[str], object]) -> list[Event]:
        """The events in a message. An unknown message counts as dealt with; `log` takes why."""
        try:
            return read_message(message.body)
        except UnknownMessage as unknown:
            log(f"ignored: {unknown}")
            self.done(message)
            return []

    def done(self, message: Message) -> None:
        """Mark a message as dealt with: it is deleted once this tick is committed."""
        if message.receipt not in self._done:
            self._done.append(message.receipt)

    @property
    def cursor(self) -> str:
        """The cursor to return from the tick; never empty, since Dagster would ignore that."""
        return json.dumps(self._done)
