"""How far a run is, for whoever waits for one or asks for it again. What runs do does not belong here."""

import dagster as dg

UNSUCCESSFUL = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
"""The statuses of runs that ended without doing what they were for."""

UNFINISHED = [
    status for status in dg.DagsterRunStatus if status not in (dg.DagsterRunStatus.SUCCESS, *UNSUCCESSFUL)
]
"""The statuses of runs that have not ended."""
