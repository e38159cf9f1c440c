"""The results of a Step Functions Distributed Map, joined into one object for the next step.

One partition for each map run, `<consignment id>/<random id>`. All its result files are read. The object is
written whole or not at all; a second run writes the same bytes to the same key. If the catalog says where the
outputs have checksums, these are kept in the ledger of the buckets that the map read, as checks with the
evidence `step_functions` and this run's id.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from fixity.clock import utc_now
from fixity.engines.s3_batch.second_job import note_second_look_at_map
from fixity.engines.step_functions import MapRun, ResultsRefused
from fixity.engines.step_functions.keep import Kept, Ledgers, find_run, keep_run
from fixity.engines.step_functions.keep_checks import KeptChecks
from fixity.lake import Lake
from fixity.ledger.damage import damage_after
from fixity.ledger.fold import settings_of
from fixity.ledger.inventory import Inventory, fetch_inventory, newest_inventory
from fixity.ledger.refresh import state_of_files
from fixity.ledger.unread import unstable
from fixity.ledger.write import Checksums
from fixity.status import Result, keep_result
from fixity.tables import FAILED, SKIPPED, SUCCEEDED
from fixity_assets.bucket_checks import (
    ASSET,
    evaluations,
    log_evaluation,
    reads_evaluation,
)
from fixity_assets.describe import (
    GROUP,
    RETRIES,
    counts_metadata,
    failures_in_plain_words,
    inventory_metadata,
)
from fixity_assets.incidents import log_open_incidents, record_checks
from fixity_assets.keep_status import checks_of, counts_of, keep_of_bucket
from fixity_assets.left_to_s3 import left_to_s3
from fixity_assets.read_so_far import read_so_far
from jobs.names import MAP_RESULTS_ASSET, MAP_RUNS, READ_BY_S3, REFUSED
from resources import LakeResource, StoresResource
from resources.map_results import MapResultsResource


@contextmanager
def _tagged_if_refused(context: dg.AssetExecutionContext) -> Iterator[None]:
    """Tags a run whose results are refused, so that the sensor does not try them again."""
    try:
        yield
    except ResultsRefused:
        context.instance.add_run_tags(context.run.run_id, {REFUSED: "true"})
        raise


def map_results_asset(owners: list[str]) -> dg.AssetsDefinition:
    """The asset `map_results`, one partition for each map run."""

    @dg.asset(
        name=MAP_RESULTS_ASSET,
        description=__doc__,
        group_name=GROUP,
        kinds={"s3", "json"},
        owners=owners,
        partitions_def=MAP_RUNS,
        retry_policy=RETRIES,
    )
    def map_results(
        context: dg.AssetExecutionContext,
        map_results: MapResultsResource,
        stores: StoresResource,
        lake: LakeResource,
    ) -> dg.MaterializeResult:
        began = utc_now()
        with failures_in_plain_words(), _tagged_if_refused(context):
            settings, bucket = map_results.settings, map_results.open()
            run = find_run(bucket, settings, context.partition_key)
            kept_in = lake.open()

            def announce(name: str, table: Inventory | KeptChecks) -> None:
                # These events show sensors and the UI that the buckets have new tables.
                if isinstance(table, Inventory):
                    metadata = inventory_metadata(kept_in, table)
                    context.log_event(dg.AssetMaterialization("inventory", partition=name, metadata=metadata))
                elif table.table:
                    checks = table.table
                    asked = left_to_s3(
                        context,
                        stores,
                        name,
                        lambda reports, of: note_second_look_at_map(kept_in, reports, of, checks.file),
                    )
                    context.log_event(_checksums_event(kept_in, name, checks, run, asked))
                    _log_checks(context, kept_in, stores, name, checks)

            ledgers = Ledgers(
                kept_in, stores.catalog.catalog, stores.open, context.run.run_id, stores.look_again
            )
            kept = keep_run(bucket, run, settings, ledgers, announce)
            keep_result(kept_in, Result(MAP_RESULTS_ASSET, None, context.run.run_id, began))
        if kept.left_out or any(checks.left_out for checks in kept.checks):
            context.log.warning(f"results that do not count as checks: {_left_out(kept)}")
        gathered = kept.gathered
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": gathered.results,
                "failed_executions": gathered.failed,
                "result_files": gathered.files,
                "results": bucket.url(gathered.key),
                "manifest": run.url,
                "manifest_etag": gathered.manifest.etag,
                "manifest_written_at": dg.MetadataValue.timestamp(gathered.manifest.last_modified),
                **({"checks": _checks(kept)} if settings.ledger else {}),
            }
        )

    return map_results


def _log_checks(
    context: dg.AssetExecutionContext, lake: Lake, stores: StoresResource, bucket: str, kept: Checksums
) -> None:
    began, counts = utc_now(), counts_of(counts_metadata(kept))
    with lake.workspace() as workspace:
        run_file = lake.fetch(kept.file, workspace)
        inventory = fetch_inventory(lake, newest_inventory(lake, bucket), workspace)
        settings = settings_of(stores.catalog.bucket(bucket))
        damaged = damage_after(lake, settings, run_file, inventory, workspace)
        place = stores.catalog.place_of(bucket)
        so_far = read_so_far(context, lake, stores.catalog.bucket(bucket), place, run_file, began)
        results = [
            *evaluations(
                bucket,
                damaged,
                so_far.not_read,
                state_of_files(lake, bucket, workspace),
                so_far.passed_over,
            ),
            reads_evaluation(unstable(run_file), stores.store_text(bucket)),
        ]
        for result in results:
            log_evaluation(context, result, bucket)
        run_id, catalog = context.run.run_id, stores.catalog.catalog
        incidents = record_checks(run_id, lake, catalog, bucket, damaged, run_file)
        found = Result(ASSET, bucket, run_id, began, checks_of(results), counts, all_checks=False)
        keep_of_bucket(stores, lake, found, run_file, so_far)
        log_open_incidents(context, incidents, catalog, [bucket])


def _checksums_event(
    lake: Lake, bucket: str, kept: Checksums, run: MapRun, asked: int
) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        "checksums",
        partition=bucket,
        metadata={
            **counts_metadata(kept),
            "table": dg.MetadataValue.path(lake.location(kept.file)),
            "map_run": run.url,
            **({READ_BY_S3: asked} if asked else {}),
        },
    )


def _figures(kept: Checksums | None) -> dict[str, int]:
    return {name: getattr(kept, name) if kept else 0 for name in (SUCCEEDED, FAILED, SKIPPED)}


def _left_out(kept: Kept) -> dict[str, dict[str, int]]:
    by_bucket = {checks.bucket: dict(checks.left_out) for checks in kept.checks if checks.left_out}
    return {**by_bucket, **({"of no bucket": dict(kept.left_out)} if kept.left_out else {})}


def _checks(kept: Kept) -> dg.JsonMetadataValue:
    return dg.MetadataValue.json(
        {
            "kept": {checks.bucket: _figures(checks.table) for checks in kept.checks},
            "left_out": _left_out(kept),
        }
    )
