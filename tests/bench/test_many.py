"""The part `many` runs, too, on little data.

It waits half a minute until Dagster's daemon looks for backfills: in a file of its own, which is executed
beside that of the other parts.
"""

from __future__ import annotations

from collections.abc import Callable


def test_the_part_with_a_backfill_runs_on_little_data(run_part: Callable[[str], None]) -> None:
    run_part("many")
