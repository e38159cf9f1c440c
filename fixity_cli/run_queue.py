"""The order of Dagster's queue: reports come before checks, also those of a backfill.

The jobs of reports say so by their tags. The runs of a backfill, and of "Materialize", are of no such job.
How many runs go on at once does not belong here; that is in dagster.yaml.
"""

from __future__ import annotations

import dagster as dg

# As in `jobs`, which the daemon cannot import: it would take a jobs.py of the user's.
_REPORT = dg.AssetKey("fixity_report")
_PRIORITY = {"dagster/priority": "1"}


class ReportsFirst(dg.QueuedRunCoordinator):
    """Dagster's queue, in which what is known is said before more is read."""

    def submit_run(self, context: dg.SubmitRunContext) -> dg.DagsterRun:
        """See Dagster's RunCoordinator."""
        run = context.dagster_run
        if _REPORT in (run.asset_selection or ()):
            self._instance.add_run_tags(run.run_id, _PRIORITY)
        return super().submit_run(context)
