"""A rolling run: with what it reads and keeps. What it does is in `roll`, what it is to do in `order`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from fixity.buckets import BucketReader
from fixity.catalog import SecondLook
from fixity.clock import utc_now
from fixity.engines.stream.engine import Threads
from fixity.errors import RunOver
from fixity.lake import Lake


@dataclass(frozen=True)
class RollingRun:
    """A run that carries out an order: from which store, into which lake, and its id.

    `threads`: objects that are read at once. `log` takes what is left out or cut short, and why.
    `second_look`: how much of what differs it reads a second time. `is_over`: whether a rolling run is known
    to have ended, so that nobody waits for its heartbeat to be old.
    """

    store: BucketReader
    lake: Lake
    run_id: str
    threads: Threads
    log: Callable[[str], None] = lambda text: None
    now: Callable[[], datetime] = utc_now
    second_look: SecondLook = field(default_factory=SecondLook)
    is_over: Callable[[str], bool] = lambda run_id: False

    def refuse_over(self) -> None:
        """Raise RunOver if the run itself has ended, of which its process may not have heard."""
        if self.is_over(self.run_id):
            raise RunOver(
                f"the run {self.run_id} has ended: it reads no more, and what it has checked is kept"
            )
