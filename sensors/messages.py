"""Takes messages from a queue so that none is lost, and none blocks the others.

Dagster commits a tick after the sensor's function has returned, and its cursor last. If a tick deleted
its own messages and then failed, they would be lost. So the cursor holds the receipts of messages that
were dealt with. The next tick finds them in its cursor, which proves the commit, and deletes them. SQS
delivers all other messages again.

A message that cannot be used is kept in the lake for people, and then deleted. What an event leads to does
not belong here.
"""

import hashlib
import json
from collections.abc import Callable

from fixity.clock import utc_now
from fixity.errors import FixityError
from fixity.humanize import printable
from fixity.lake import Lake, LakeError
from fixity.lake.paths import message_file
from resources.queues import Message, OpenQueue
from sensors.cursors import read_cursor
from sensors.events import Event, UnknownMessage, read_message


class Inbox:
    """The messages of one tick.

    Arguments: `cursor` of the tick, whose messages are deleted now; `lake`, where unusable messages are kept;
    `log` takes texts that are safe to print; `limit`, how many messages to take at most.
    Raises QueueUnreachable.
    """

    def __init__(
        self, queue: OpenQueue, cursor: str | None, lake: Lake, log: Callable[[str], object], limit: int = 100
    ) -> None:
        queue.delete(read_cursor(cursor, list[str], []))
        self._queue = queue.settings
        self._messages = queue.receive(limit)
        self._lake = lake
        self._log = log
        self._done: list[str] = []

    def log(self, text: object) -> None:
        """Log a text that may come from a message."""
        self._log(printable(text))

    def each_event(self, act: Callable[[Event, Message], bool]) -> None:
        """Call `act` with each event of all messages. If it returns False, the message comes again later.

        A message also comes again after an error that it is not to blame for, such as a lake that cannot be
        reached. After any other error it is kept in the lake, logged and deleted.
        """
        for message in self._messages:
            try:
                outcomes = [act(event, message) for event in read_message(message.body, self._queue)]
                done = all(outcomes)
            except Exception as error:
                done = self._failed(message, error)
            if done and message.receipt not in self._done:
                self._done.append(message.receipt)

    @property
    def cursor(self) -> str:
        """The cursor to return from the tick; never empty, since Dagster would ignore that."""
        return json.dumps(self._done)

    def _failed(self, message: Message, error: Exception) -> bool:
        """Whether the message is done with, because it was kept for people."""
        ours = isinstance(error, FixityError | OSError) and not isinstance(error, UnknownMessage)
        try:
            if not ours:
                self._keep(message, error)
                return True
        except (LakeError, OSError) as unwritable:
            error = unwritable
        self.log(f"a message is left in the queue, because this may pass: {error}")
        return False

    def _keep(self, message: Message, error: Exception) -> None:
        why = str(error) if isinstance(error, UnknownMessage) else repr(error)
        name = message_file(hashlib.sha256(message.body.encode(errors="surrogatepass")).hexdigest())
        kept = {"queue": self._queue.url, "kept_at": utc_now().isoformat(), "why": why, "body": message.body}
        self._lake.put_text(name, json.dumps(kept, indent=2) + "\n", replace=True)
        self.log(f"a message that cannot be used is kept as {self._lake.location(name)}: {why}")
