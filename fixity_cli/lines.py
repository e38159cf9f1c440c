"""Progress as lines on stderr, where there is no terminal for a bar."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg

from fixity.engines.stream import shards
from fixity.humanize import bytes_text
from fixity_cli.interrupts import interrupts
from fixity_cli.output import output
from resources import ProgressResource


class ProgressLines(ProgressResource):
    """Prints what runs do, unless the user wants quiet."""

    def listing(self, context: dg.OpExecutionContext, bucket: str) -> Callable[[int], None]:
        """See ProgressResource."""
        output.progress(f"{bucket}: listing")
        due = self._due()

        def listed(objects: int) -> None:
            interrupts.leave_if_received()
            if due():
                output.progress(f"{bucket}: {objects:,} objects listed")

        return listed

    def hashing(
        self, context: dg.OpExecutionContext, bucket: str, plan: shards.Plan, shard: shards.Shard
    ) -> Callable[[shards.Progress], None]:
        """See ProgressResource."""
        objects_before, size_before = counted_before(plan, shard)
        due = self._due()

        def hashed(progress: shards.Progress) -> None:
            interrupts.leave_if_received()
            objects, size = objects_before + progress.objects, size_before + progress.size
            if due() or objects == plan.objects:
                output.progress(
                    f"{bucket}: {objects:,} of {plan.objects:,} objects, "
                    f"{bytes_text(size)} of {bytes_text(plan.size)}"
                )

        return hashed


def counted_before(plan: shards.Plan, shard: shards.Shard) -> tuple[int, int]:
    """How many objects and bytes are in the shards before one."""
    before = [earlier for earlier in plan.shards if earlier.first < shard.first]
    return sum(earlier.objects for earlier in before), sum(earlier.size for earlier in before)
