"""Progress on a terminal: bars on stderr. Where there is none, `lines` shows it and imports less."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from fixity_cli.interrupts import interrupts
from fixity_cli.lines import counted_before
from resources import ProgressResource


class ProgressBars(ProgressResource):
    """Shows what runs do, bucket by bucket, while it is `shown`.

    Arguments: `pairs`, the buckets of each by its name: they have one bar.
    """

    def __init__(self, pairs: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self._pair_of = {bucket: name for name, buckets in pairs.items() for bucket in buckets}
        self._plans: dict[str, dict[str, shards.Plan]] = {}  # of each bar, by bucket
        self._hashed: dict[str, tuple[int, int]] = {}  # objects and bytes of each bucket
        self._changing = threading.Lock()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[objects]}"),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )

    @contextmanager
    def shown(self) -> Iterator[ProgressBars]:
        """Show it for the length of a `with` block."""
        with self._bar:
            yield self

    def listing(self, context: dg.OpExecutionContext, bucket: str) -> Callable[[int], None]:
        """See ProgressResource."""
        task = self._bar.add_task(f"{bucket}: listing", total=None, objects="")

        def listed(objects: int) -> None:
            interrupts.leave_if_received()
            self._bar.update(task, objects=f"{objects:,} objects")

        return listed

    def hashing(
        self, context: dg.OpExecutionContext, bucket: str, plan: shards.Plan, shard: shards.Shard
    ) -> Callable[[shards.Progress], None]:
        """See ProgressResource: one bar for all shards of a bucket, or of both buckets of a pair."""
        objects_before, size_before = counted_before(plan, shard)
        bar = self._pair_of.get(bucket, bucket)
        with self._changing:
            plans = self._plans.setdefault(bar, {})
            plans[bucket] = plan
            task = self._task(bar, bucket)

        def hashed(progress: shards.Progress) -> None:
            interrupts.leave_if_received()
            objects, size = objects_before + progress.objects, size_before + progress.size
            self._hashed[bucket] = objects, size
            done = [self._hashed.get(each, (0, 0)) for each in list(plans)]
            total = sum(each.objects for each in list(plans.values()))
            self._bar.update(
                task,
                completed=sum(size for _, size in done),
                total=sum(each.size for each in list(plans.values())),
                objects=f"{sum(objects for objects, _ in done):,}/{total:,}",
                refresh=objects == plan.objects,
            )

        return hashed

    def _task(self, bar: str, bucket: str) -> TaskID:
        for task in self._bar.tasks:
            if task.description == f"{bucket}: listing":
                self._bar.update(task.id, visible=False)
        for task in self._bar.tasks:
            if task.description == f"{bar}: hashing":
                return task.id
        return self._bar.add_task(f"{bar}: hashing", total=None, objects="")
