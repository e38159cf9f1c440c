"""Progress on the command line: a bar on a terminal, plain lines elsewhere, both to stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dagster as dg
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from fixity.engines.stream import shards
from fixity.humanize import bytes_text
from resources import ProgressResource


class CommandLineProgress(ProgressResource):
    """Shows what a run does, bucket by bucket, while it is `shown`. Arguments: `quiet`, shows nothing."""

    def __init__(self, quiet: bool = False) -> None:
        super().__init__()
        self._quiet = quiet
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[objects]}"),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=quiet or not self._console.is_terminal,
        )

    @contextmanager
    def shown(self) -> Iterator[CommandLineProgress]:
        """Show it for the length of a `with` block."""
        with self._bar:
            yield self

    def _line(self, text: str) -> None:
        if not (self._quiet or self._console.is_terminal):
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def listing(self, context: dg.OpExecutionContext, bucket: str) -> Callable[[int], None]:
        """See ProgressResource."""
        self._line(f"{bucket}: listing")
        task = self._bar.add_task(f"{bucket}: listing", total=None, objects="")
        due = self._due()

        def listed(objects: int) -> None:
            self._bar.update(task, objects=f"{objects:,} objects")
            if due():
                self._line(f"{bucket}: {objects:,} objects listed")

        return listed

    def hashing(
        self, context: dg.OpExecutionContext, bucket: str, plan: shards.Plan, shard: shards.Shard
    ) -> Callable[[shards.Progress], None]:
        """See ProgressResource: one bar for all shards of a bucket."""
        before = [earlier for earlier in plan.shards if earlier.first < shard.first]
        objects_before = sum(earlier.objects for earlier in before)
        size_before = sum(earlier.size for earlier in before)
        task = self._task(bucket, plan)
        due = self._due()

        def hashed(progress: shards.Progress) -> None:
            objects, size = objects_before + progress.objects, size_before + progress.size
            self._bar.update(
                task, completed=size, objects=f"{objects:,}/{plan.objects:,}", refresh=objects == plan.objects
            )
            if due() or objects == plan.objects:
                self._line(
                    f"{bucket}: {objects:,} of {plan.objects:,} objects, "
                    f"{bytes_text(size)} of {bytes_text(plan.size)}"
                )

        return hashed

    def _task(self, bucket: str, plan: shards.Plan) -> TaskID:
        for task in self._bar.tasks:
            if task.description == f"{bucket}: hashing":
                return task.id
        for task in self._bar.tasks:
            if task.description == f"{bucket}: listing":
                self._bar.update(task.id, visible=False)
        return self._bar.add_task(f"{bucket}: hashing", total=plan.size, objects="")
