"""A PREMIS 3 event for each check of a bucket, and for each object that was deleted, repaired or replicated.

Each run writes the new events as `premis/<bucket>/<run id>.xml` and `.parquet`; what does not fit into
one document goes into `<run id>-000002.xml`, and so on. Each document is valid by itself. Events are never
changed or deleted, and a second export gives them the same identifiers.
"""

import dagster as dg

from fixity.clock import utc_now
from fixity.reports.premis import Subject, export_events
from fixity_assets.describe import GROUP, failures_in_plain_words
from fixity_assets.keep_status import keep_status
from resources import CatalogResource, LakeResource

NAME = "premis_events"


def premis_asset(buckets: dg.PartitionsDefinition[str], owners: list[str]) -> dg.AssetsDefinition:
    """The asset `premis_events`, one partition for each bucket."""

    @dg.asset(
        name=NAME,
        description=__doc__,
        group_name=GROUP,
        kinds={"xml", "parquet"},
        owners=owners,
        partitions_def=buckets,
        deps=["checksums"],
    )
    def premis_events(
        context: dg.AssetExecutionContext, catalog: CatalogResource, lake: LakeResource
    ) -> dg.MaterializeResult:
        began = utc_now()
        with failures_in_plain_words():
            bucket = catalog.bucket(context.partition_key)
            kept_in = lake.open()
            subject = Subject.of(catalog.catalog, bucket.name)
            exported = export_events(kept_in, subject, context.run.run_id, context.log.warning)
        files = {"xml": next(iter(exported.xml), None), "parquet_table": exported.parquet}
        result: dg.MaterializeResult = dg.MaterializeResult(
            metadata={
                "dagster/row_count": exported.events,
                "ledger_files": exported.ledger_files,
                "documents": len(exported.xml),
                **{
                    name: dg.MetadataValue.path(kept_in.location(file))
                    for name, file in files.items()
                    if file
                },
            }
        )
        return keep_status(context, kept_in, began, result)

    return premis_events
