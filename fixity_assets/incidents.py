"""What was found wrong in a bucket, from the second look to the check after a repair: its incidents.

One row for each incident that is not over. All damage that one run found is one incident; the same damage
found again belongs to it. It closes by itself only when a check after a repair found the right bytes; a
person closes or dismisses it with `fixity incident close` or `dismiss`, and a reason. Each event is a row
that is never changed, in `incidents/<id>/`.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import dagster as dg

from fixity.catalog import Catalog
from fixity.clock import utc_now
from fixity.incidents.closing import close_right
from fixity.incidents.opening import record_damage
from fixity.incidents.state import Incident, incidents_now
from fixity.incidents.summary import COLUMNS, summary, what
from fixity.lake import Lake
from fixity.ledger.damage import Damage
from fixity_assets.bucket_checks import log_evaluation
from fixity_assets.describe import GROUP, check_specs, failures_in_plain_words, rows_table
from fixity_assets.keep_status import keep_status
from jobs.names import INCIDENTS_ASSET
from resources import CatalogResource, LakeResource

NO_OPEN = "no_open_incidents"
_CLAIMS = {
    NO_OPEN: "No incident of the bucket is open or waits for the check after a repair. Stays red until a "
    "check finds the right bytes after a repair, or a person closes or dismisses it with a reason."
}
_SHOWN = 100


def incidents_asset(buckets: dg.PartitionsDefinition[str], owners: list[str]) -> dg.AssetsDefinition:
    """The asset `incidents`, one partition for each bucket."""

    @dg.asset(
        name=INCIDENTS_ASSET,
        description=__doc__,
        group_name=GROUP,
        kinds={"parquet"},
        owners=owners,
        partitions_def=buckets,
        deps=["checksums"],
        check_specs=check_specs(INCIDENTS_ASSET, _CLAIMS, buckets),
    )
    def incidents(
        context: dg.AssetExecutionContext, catalog: CatalogResource, lake: LakeResource
    ) -> dg.MaterializeResult:
        began = utc_now()
        with failures_in_plain_words():
            kept_in = lake.open()
            all_of_them = incidents_now(kept_in)
        concerned = _of_bucket(all_of_them, catalog.catalog, context.partition_key)
        result: dg.MaterializeResult = dg.MaterializeResult(
            metadata={"dagster/row_count": len(concerned), "incidents": _table(concerned)},
            check_results=[_evaluation(concerned)],
        )
        return keep_status(context, kept_in, began, result)

    return incidents


def record_checks(
    run_id: str,
    lake: Lake,
    catalog: Catalog,
    bucket: str,
    damaged: Sequence[Damage],
    run_file: Path | None,
) -> list[Incident]:
    """Open incidents for what a run found in a bucket, and close those that it found right after a repair.

    Arguments: `damaged`, all damaged objects of the bucket; `run_file`, the run's file of the ledger, a local
    file, if it has one. Returns all incidents now. Raises LakeError.
    """
    record_damage(lake, bucket, damaged, run_id, [pair.name for pair in catalog.pairs_of(bucket)])
    return close_right(lake, bucket, run_file, run_id)


def log_open_incidents(
    context: dg.AssetExecutionContext | dg.OpExecutionContext,
    incidents: Sequence[Incident],
    catalog: Catalog,
    buckets: Iterable[str],
) -> None:
    """Report, from a run of another asset, whether buckets have open incidents; `incidents` are all."""
    for bucket in buckets:
        log_evaluation(context, _evaluation(_of_bucket(incidents, catalog, bucket)), bucket)


def _of_bucket(incidents: Iterable[Incident], catalog: Catalog, bucket: str) -> list[Incident]:
    """Those that are not over and concern a bucket."""
    pairs = [pair.name for pair in catalog.pairs_of(bucket)]
    return [each for each in incidents if not each.is_over and each.concerns(bucket, pairs)]


def _evaluation(incidents: Sequence[Incident]) -> dg.AssetCheckResult:
    first = "; ".join(f"{each.id}: {what(each)} ({each.state})" for each in incidents[:5])
    return dg.AssetCheckResult(
        asset_key=INCIDENTS_ASSET,
        check_name=NO_OPEN,
        passed=not incidents,
        description=f"{len(incidents):,} open: {first}" if incidents else None,
        metadata={"open": len(incidents), "incidents": _table(incidents)},
    )


def _table(incidents: Sequence[Incident]) -> dg.TableMetadataValue:
    columns = [dg.TableColumn(name, "int" if name == "objects" else "string") for name in COLUMNS]
    return rows_table(map(summary, incidents[:_SHOWN]), columns)
