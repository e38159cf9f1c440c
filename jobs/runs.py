"""How far runs are, for whoever waits for one or asks for it again. What runs do does not belong here."""

from collections.abc import Sequence

import dagster as dg

UNSUCCESSFUL = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
"""The statuses of runs that ended without doing what they were for."""

UNFINISHED = [
    status for status in dg.DagsterRunStatus if status not in (dg.DagsterRunStatus.SUCCESS, *UNSUCCESSFUL)
]
"""The statuses of runs that have not ended."""

_REST, _LONGEST_REST = 15 * 60, 12 * 60 * 60  # seconds


def due_again(failed: Sequence[dg.RunRecord]) -> float:
    """When to ask again for what these runs failed to do, one after the other, the newest first.

    After one failure a quarter of an hour later, after each more twice as late, at most 12 hours.
    """
    ended = failed[0].end_time or failed[0].create_timestamp.timestamp()
    return ended + min(_REST << min(len(failed) - 1, 10), _LONGEST_REST)
