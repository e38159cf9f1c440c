"""Which objects a run checks: the whole bucket, or the objects of its tag `fixity/selection`.

The tag has the name of a list in the lake (`fixity.ledger.selection`), made by a sensor or the command line.
The run's assets share the listed objects through the lake's scratch.
"""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq

from fixity.buckets import BucketReader
from fixity.humanize import printable
from fixity.lake.paths import scratch_folder
from fixity.ledger.bucket_run import BucketRun
from fixity.ledger.inventory import Wanted, fetch_inventory, list_selection, newest_inventory
from fixity.ledger.selection import read_selection
from jobs.names import SELECTION


def selected_scratch(run: dg.DagsterRun) -> str:
    """The folder in the lake for what a run's assets share about its objects."""
    return scratch_folder(run.root_run_id or run.run_id, "selected")


class SelectedObjects:
    """The objects of one run, and the tables of them."""

    def __init__(self, context: dg.OpExecutionContext, run: BucketRun) -> None:
        self._context = context
        self._run = run
        self._lake, self._bucket = run.lake, run.bucket.name
        self._name = context.run.tags.get(SELECTION)
        self.scratch = selected_scratch(context.run)

    @property
    def everything(self) -> bool:
        """Whether the run checks the whole bucket."""
        return self._name is None

    def objects(self, store: BucketReader, workspace: Path) -> Path:
        """A local inventory of the objects: the bucket's newest, or one of those selected as they
        are listed now. Raises TableMissing, BucketUnreachable, LakeError."""
        if self._name is None:
            return fetch_inventory(self._lake, newest_inventory(self._lake, self._bucket), workspace)
        name = f"{self.scratch}selected.parquet"
        try:
            return self._lake.fetch(name, workspace)
        except FileNotFoundError:
            wanted = read_selection(self._lake, self._bucket, self._name)
            file = workspace / "selected.parquet"
            gone = list_selection(store, self._run, wanted, file)
            for key, version_id in gone:
                self._context.log.info(
                    printable(f"{key}{f' ({version_id})' if version_id else ''}: does not exist")
                )
            self._lake.put(name, file, replace=True)
            return self._lake.fetch(name, workspace)

    def gone(self, objects: Path) -> list[Wanted]:
        """The selected objects that are not in `objects`. Raises LakeError."""
        if self._name is None:
            return []
        listed = pq.read_table(objects, columns=["key", "version_id", "is_latest"]).to_pylist()
        there = {(row["key"], row["version_id"]) for row in listed}
        there |= {(row["key"], None) for row in listed if row["is_latest"]}
        return [each for each in read_selection(self._lake, self._bucket, self._name) if each not in there]
