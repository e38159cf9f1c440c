"""The steps of `checksums` that fold a large bucket's ledger on several machines, each a part of its keys.

How they share the work is in `fixity.ledger.fold_steps`. Where one machine executes all steps, and for a
bucket that is one part, the step that needs the snapshot folds it.
"""

from collections.abc import Iterator
from contextlib import suppress

import dagster as dg

from fixity.ledger.fold_steps import FoldSteps
from fixity.ledger.inventory import TableMissing
from fixity_assets.checksums_run import scratch_of
from fixity_assets.describe import RETRIES, failures_in_plain_words
from jobs.runs import refuse_over
from resources import LakeResource, StoresResource


def fold_steps(context: dg.OpExecutionContext, lake: LakeResource, stores: StoresResource) -> FoldSteps:
    """The steps that fold the run's bucket."""
    return FoldSteps(lake.open(), stores.catalog.bucket(context.partition_key), scratch_of(context))


@dg.op(ins={"inventory": dg.In(dg.Nothing)}, out=dg.DynamicOut(dg.Nothing), retry_policy=RETRIES)
def plan_fold(
    context: dg.OpExecutionContext, lake: LakeResource, stores: StoresResource
) -> Iterator[dg.DynamicOutput[None]]:
    """Cut what is to be folded into parts by key, if the ledger has more than the snapshot."""
    parts = 0
    with failures_in_plain_words(), suppress(TableMissing):  # what was never listed has no snapshot
        refuse_over(context)
        if stores.catalog.bucket(context.partition_key).fixity_every is not None:  # others hardly need one
            parts = fold_steps(context, lake, stores).plan(context.run.run_id, log=context.log.warning)
    for number in range(parts):
        yield dg.DynamicOutput(None, mapping_key=str(number))


@dg.op(ins={"planned": dg.In(dg.Nothing)}, out=dg.Out(dg.Nothing), retry_policy=RETRIES)
def fold_part(context: dg.OpExecutionContext, lake: LakeResource, stores: StoresResource) -> None:
    """Fold the checks of some keys into rows of the snapshot."""
    with failures_in_plain_words():
        refuse_over(context)
        fold_steps(context, lake, stores).fold(int(context.get_mapping_key() or 0))
