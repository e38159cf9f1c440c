"""The end of a streamed run: joins its parts to one file of the ledger."""

from __future__ import annotations

from dataclasses import replace

from fixity.engines.stream.parts import software_of, whole_table
from fixity.engines.stream.shards import Plan, parts_folder
from fixity.lake import Lake
from fixity.ledger.write import Checksums, ChecksWriter, kept_before
from fixity.tables import Provenance


def keep_checksums(lake: Lake, scratch: str, plan: Plan, bucket: str, run_id: str) -> Checksums:
    """Join the parts of a run to its table, `checksums/<bucket>/<run_id>.parquet`.

    A table that an earlier attempt of this run has kept stays. Raises LakeError; PartsMissing: an incomplete
    table is never kept.
    """
    with lake.workspace() as workspace:
        inventory = Provenance.read(lake.fetch(plan.inventory, workspace))
        provenance = replace(inventory, bucket=bucket, run_id=run_id, rests_on=plan.rests_on)
        before = kept_before(lake, provenance, workspace)
        if before is not None:
            return before
        parts = whole_table(lake, parts_folder(scratch, plan), plan.objects, workspace)
        provenance = replace(provenance, software=software_of(part.file for part in parts))
        with ChecksWriter(lake, provenance, workspace) as checks:
            for part in parts:
                checks.write(part.checks())
        return checks.keep()
