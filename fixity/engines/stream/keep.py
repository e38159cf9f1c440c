"""The end of a streamed run: joins its parts to one file of the ledger."""

from __future__ import annotations

from dataclasses import replace

from fixity.engines.stream.parts import fetch_parts, read_part, software_of
from fixity.engines.stream.shards import Plan, parts_folder
from fixity.lake import Lake
from fixity.ledger.write import Checksums, ChecksWriter
from fixity.tables import Provenance


def keep_checksums(lake: Lake, scratch: str, plan: Plan, bucket: str, run_id: str) -> Checksums:
    """Join the parts of a run to its table, `checksums/<bucket>/<run_id>.parquet`.

    Raises LakeError if parts are missing: an incomplete table is never kept.
    """
    with lake.workspace() as workspace:
        inventory = Provenance.read(lake.fetch(plan.inventory, workspace))
        parts = fetch_parts(lake, parts_folder(scratch, plan), plan.objects, workspace)
        provenance = replace(
            inventory, bucket=bucket, run_id=run_id, rests_on=plan.rests_on, software=software_of(parts)
        )
        with ChecksWriter(lake, provenance, workspace) as checks:
            for part in parts:
                checks.write(read_part(part))
        return checks.keep()
