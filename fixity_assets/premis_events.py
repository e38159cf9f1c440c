"""A PREMIS 3 event for each check of a bucket. Events are never changed or deleted.

Each run writes the events of new checks, as `premis/<bucket>/<run id>.xml` and
`.parquet`. Their identifiers are made from the checks, so a second export gives the same ones.
"""

import dagster as dg

from fixity.reports.premis import export_events
from fixity_assets.describe import GROUP, failures_in_plain_words
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
        with failures_in_plain_words():
            bucket = catalog.bucket(context.partition_key)
            kept_in = lake.open()
            pairs = catalog.catalog.pairs_of(bucket.name)
            exported = export_events(kept_in, bucket, context.run.run_id, pairs, context.log.warning)
        files = {"xml": exported.xml, "parquet_table": exported.parquet}
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": exported.events,
                "ledger_files": exported.ledger_files,
                **{
                    name: dg.MetadataValue.path(kept_in.location(file))
                    for name, file in files.items()
                    if file
                },
            }
        )

    return premis_events
