"""Reports the progress of a run: as lines of its log or, on the command line, as a bar.

Measuring progress does not belong here.
"""

import time
from collections.abc import Callable

import dagster as dg

from fixity.engines.stream.shards import Plan, Progress, Shard
from fixity.humanize import bytes_text, seconds_text


class ProgressResource:
    """Progress as log lines, at most one every `every_seconds`.

    A plain object, used as `dg.ResourceParam`: Dagster copies a configurable resource for each run, but a
    bar must remain the one on the screen.
    """

    def __init__(self, every_seconds: float = 15.0) -> None:
        self._every_seconds = every_seconds

    def listing(self, context: dg.OpExecutionContext, bucket: str) -> Callable[[int], None]:
        """A callback for listing, called with the number of objects listed so far."""
        due = self._due()

        def listed(objects: int) -> None:
            if due():
                context.log.info(f"{bucket}: {objects:,} objects listed")

        return listed

    def hashing(
        self, context: dg.OpExecutionContext, bucket: str, plan: Plan, shard: Shard
    ) -> Callable[[Progress], None]:
        """A callback for hashing a shard, called with its progress."""
        due = self._due()
        began = time.monotonic()
        first: Progress | None = None

        def hashed(progress: Progress) -> None:
            nonlocal first
            first = first or progress
            if due():
                seconds = time.monotonic() - began
                rate = (progress.size - first.size) / seconds
                left = (progress.of_size - progress.size) / rate if rate else 0.0
                context.log.info(
                    f"{bucket}: {progress.objects:,} of {progress.of_objects:,} objects, "
                    f"{bytes_text(progress.size)} of {bytes_text(progress.of_size)}, "
                    f"{bytes_text(rate)}/s, {seconds_text(left)} left in this shard"
                )

        return hashed

    def _due(self) -> Callable[[], bool]:
        last = time.monotonic()

        def due() -> bool:
            nonlocal last
            now = time.monotonic()
            if now - last < self._every_seconds:
                return False
            last = now
            return True

        return due
