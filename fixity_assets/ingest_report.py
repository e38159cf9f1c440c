"""Whether each object matches its recorded checksums: the run's checks, compared with all records.

One row for each object version, sorted by key: `MATCHED`, `NOTMATCHED` or `SKIPPED` (not compared: no record,
or its bytes could not be read; `status` and `detail` say which), and with which kind of record. The checks
are those that `checksums` made in the same run; the report is a CSV under `reports/<date>/ingest/`. Where
the catalog says `write_tags: true`, the checksum is written to the tag `computed-<algorithm>`. Asset checks
always cover the whole bucket, using each object's newest result, even after a run over a few objects.
"""

from collections.abc import Callable
from pathlib import Path

import dagster as dg

from fixity.buckets.s3.attributes import open_attributes
from fixity.catalog import Bucket
from fixity.clock import utc_now
from fixity.ingest.counts import counts_of_bucket
from fixity.ingest.report import IngestReport, IngestRun, TagWriter, make_ingest_report
from fixity.ingest.tags import tag_writer
from fixity.ingest.verdict import check_names, verdict
from fixity.lake import Lake
from fixity.lake.paths import baselines_file, checksums_file
from fixity.ledger.inventory import TableMissing
from fixity.tables import INGEST
from fixity_assets.describe import (
    GROUP,
    RETRIES,
    check_results,
    check_specs,
    column_schema,
    failures_in_plain_words,
    rows_table,
)
from fixity_assets.keep_status import keep_status
from fixity_assets.selected import selected_scratch
from jobs.names import SELECTION
from jobs.runs import refuse_over
from resources import LakeResource, StoresResource

NAME = "ingest_report"
_TOGETHER = ("baselines", "checksums", NAME)
_SHOWN = ("result", "key", "version_id", "compared_with", "expected", "checksum", "detail", "tags_written")


def ingest_report_asset(buckets: dg.PartitionsDefinition[str], owners: list[str]) -> dg.AssetsDefinition:
    """The asset `ingest_report`, one partition for each bucket, with the verdict as asset checks."""

    @dg.asset(
        name=NAME,
        description=__doc__,
        group_name=GROUP,
        kinds={"duckdb", "csv"},
        owners=owners,
        partitions_def=buckets,
        deps=_TOGETHER[:2],
        check_specs=check_specs(NAME, check_names(), buckets),
        metadata={"dagster/column_schema": column_schema(INGEST)},
        retry_policy=RETRIES,
    )
    def ingest_report(
        context: dg.AssetExecutionContext, lake: LakeResource, stores: StoresResource
    ) -> dg.MaterializeResult:
        bucket, began = stores.catalog.bucket(context.partition_key), utc_now()
        with failures_in_plain_words():
            kept_in = lake.open()
            with kept_in.workspace() as workspace:
                run = _run(context, kept_in, workspace)
                refuse_over(context)
                report = make_ingest_report(kept_in, run, workspace, _tag_writer(stores, bucket))
                of_bucket = (
                    report.counts if run.everything else counts_of_bucket(kept_in, bucket.name, workspace)
                )
            kept_in.remove(selected_scratch(context.run))  # no later step needs it
        counts = report.counts.figures
        context.log.info(f"{bucket.name}: {counts}")
        result: dg.MaterializeResult = dg.MaterializeResult(
            metadata=_metadata(kept_in, run, report, counts), check_results=check_results(verdict(of_bucket))
        )
        return keep_status(context, kept_in, began, result)

    return ingest_report


def _run(context: dg.AssetExecutionContext, lake: Lake, workspace: Path) -> IngestRun:
    """The run's tables: of the checks, which an attempt before may have kept, and of the records.

    Raises TableMissing, LakeError.
    """
    bucket, run = context.partition_key, context.run
    _, records = _of_last_attempt(context, lake, workspace, baselines_file)
    name, checks = _of_last_attempt(context, lake, workspace, checksums_file)
    return IngestRun(bucket, run.run_id, name, checks, records, SELECTION not in run.tags)


def _of_last_attempt(
    context: dg.AssetExecutionContext, lake: Lake, workspace: Path, named: Callable[[str, str], str]
) -> tuple[str, Path]:
    """The table that the run kept, or the last attempt before it: its name, and a local copy."""
    bucket, attempt = context.partition_key, context.run
    while True:
        name = named(bucket, attempt.run_id)
        try:
            return name, lake.fetch(name, workspace)
        except FileNotFoundError as error:
            before = context.instance.get_run_by_id(attempt.parent_run_id) if attempt.parent_run_id else None
            if before is None:
                together = ", ".join(_TOGETHER)
                remedy = f"materialize {together} of '{bucket}' in one run, or run `fixity ingest {bucket}`"
                raise TableMissing(f"{error}: {remedy}") from error
            attempt = before


def _tag_writer(stores: StoresResource, bucket: Bucket) -> TagWriter | None:
    threads = stores.threads(bucket.name)
    attributes = open_attributes(stores.catalog.catalog, bucket, threads) if bucket.write_tags else None
    return tag_writer(attributes, threads) if attributes is not None else None


def _metadata(
    lake: Lake, run: IngestRun, report: IngestReport, counts: dict[str, int]
) -> dict[str, dg.MetadataValue | int | dict[str, int]]:
    shown = [column for column in column_schema(INGEST).columns if column.name in _SHOWN]
    latest = (
        {"latest_csv": dg.MetadataValue.path(lake.location(report.latest_csv))} if report.latest_csv else {}
    )
    return {
        "dagster/row_count": report.counts.objects + report.counts.missing,
        **counts,
        "compared_with": report.counts.compared_with,
        "not_in_order": rows_table(report.rows_not_ok, shown),
        "csv": dg.MetadataValue.path(lake.location(report.csv)),
        **latest,
        "checks": dg.MetadataValue.path(lake.location(run.checks_name)),
    }
