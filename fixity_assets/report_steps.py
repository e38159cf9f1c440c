"""The steps of `fixity_report` where several machines execute steps: each compares a part of a large pair.

How they share the work is in `fixity.reports.pair_steps`. A smaller pair, and a pair with several replicas,
are compared by the step that makes the report.
"""

from collections.abc import Iterator

import dagster as dg

from fixity.lake import LakeError
from fixity.lake.paths import scratch_folder
from fixity.reports import check_names
from fixity.reports.pair import First, no_first
from fixity.reports.pair_steps import PairSteps
from fixity_assets.copies_report import report_copies
from fixity_assets.describe import RETRIES, failures_in_plain_words
from fixity_assets.pair_report import report_pair
from jobs.names import REPORT_ASSET
from jobs.runs import refuse_over
from resources import CatalogResource, LakeResource, StoresResource


def _scratch(context: dg.AssetExecutionContext) -> str:
    return scratch_folder(context.run.root_run_id or context.run.run_id, REPORT_ASSET)


def _steps(context: dg.AssetExecutionContext, catalog: CatalogResource, lake: LakeResource) -> PairSteps:
    return PairSteps(lake.open(), catalog.pair(context.partition_key), _scratch(context), context.run.run_id)


@dg.op(ins={"checksums": dg.In(dg.Nothing)}, out=dg.DynamicOut(dg.Nothing), retry_policy=RETRIES)
def plan_comparison(
    context: dg.AssetExecutionContext, catalog: CatalogResource, lake: LakeResource
) -> Iterator[dg.DynamicOutput[None]]:
    """Choose the tables of both sides, and cut them into parts by key, if they are large."""
    parts = 0
    with failures_in_plain_words():
        refuse_over(context)
        if context.partition_key not in catalog.catalog.copies:
            parts = _steps(context, catalog, lake).plan()
    for number in range(parts):
        yield dg.DynamicOutput(None, mapping_key=str(number))


@dg.op(ins={"planned": dg.In(dg.Nothing)}, out=dg.Out(dg.Nothing), retry_policy=RETRIES)
def compare_part(context: dg.AssetExecutionContext, catalog: CatalogResource, lake: LakeResource) -> None:
    """Compare both sides' objects with some keys."""
    number = context.op_execution_context.get_mapping_key() or "0"
    with failures_in_plain_words():
        refuse_over(context)
        _steps(context, catalog, lake).compare(int(number))


@dg.op(
    ins={"compared": dg.In(dg.Nothing)},
    out={"result": dg.Out(dg.Nothing), **{name: dg.Out(dg.Nothing) for name in check_names()}},
    retry_policy=RETRIES,
)
def make_report(
    context: dg.AssetExecutionContext, catalog: CatalogResource, lake: LakeResource, stores: StoresResource
) -> Iterator[dg.Output[None] | dg.AssetCheckResult]:
    """Look again at what differs, make the report, and evaluate the asset checks."""
    with failures_in_plain_words():
        refuse_over(context)
        is_one = context.partition_key not in catalog.catalog.copies
        first = _steps(context, catalog, lake).compared if is_one else no_first
        made = report(context, catalog, lake, stores, first)
        try:
            lake.open().remove(_scratch(context))
        except LakeError as error:  # the report is kept
            context.log.warning(f"scratch was not removed: {error}")
    yield dg.Output(None, "result", metadata=dict(made.metadata or {}))
    yield from made.check_results or ()


def report(
    context: dg.AssetExecutionContext,
    catalog: CatalogResource,
    lake: LakeResource,
    stores: StoresResource,
    first: First = no_first,
) -> dg.MaterializeResult:
    """Report the partition's pair, or all copies of it. Raises LakeError, TableMissing.

    Arguments: `first`, as of `fixity.reports.pair.make_report`, of a pair.
    """
    name, kept_in = context.partition_key, lake.open()
    copies = catalog.catalog.copies.get(name)
    if copies is not None:
        return report_copies(context, stores, kept_in, copies)
    return report_pair(context, stores, kept_in, catalog.pair(name), first=first).result
