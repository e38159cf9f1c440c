"""Whether each object is what was recorded of it: its bytes are read now and held against its baseline.

One row an object version, sorted by key: `MATCHED`, `NOTMATCHED` or `SKIPPED` (not compared: no record,
or its bytes could not be read; `status` and `detail` say which), and with which kind of record. Kept in the
lake as `ingest/<bucket>/<run id>.parquet` and as CSV under `reports/<date>/ingest/`. Where the catalog says
`write_tags: true`, what was computed is written to the tags `computed-<algorithm>`. The checks of a run over
a few objects say what the newest rows of all objects of the bucket say.
"""

import warnings
from collections.abc import Iterator

import dagster as dg

from fixity.buckets.s3.attributes import open_attributes
from fixity.engines.stream.keep import keep_checksums
from fixity.engines.stream.shards import Plan
from fixity.humanize import bytes_text
from fixity.ingest.counts import counts_of_bucket
from fixity.ingest.plan import ingest_scratch, kept_plans, plan_ingest
from fixity.ingest.report import IngestCounts, IngestReport, make_ingest_report
from fixity.ingest.tags import tag_writer
from fixity.ingest.verdict import check_names, verdict
from fixity.lake import Lake
from fixity.tables import INGEST
from fixity_assets.describe import GROUP, RETRIES, column_schema, failures_in_plain_words
from fixity_assets.hashing import hash_planned
from fixity_assets.selected import SelectedObjects
from resources import LakeResource, ProgressResource, StoresResource

warnings.filterwarnings("ignore", message="Specifying a partitions_def", category=dg.PreviewWarning)

NAME = "ingest_report"
_SHOWN = ("result", "key", "version_id", "compared_with", "expected", "checksum", "detail", "tags_written")


@dg.op(ins={"baselines": dg.In(dg.Nothing)}, out=dg.DynamicOut(dg.Nothing), retry_policy=RETRIES)
def plan_reading(
    context: dg.OpExecutionContext, lake: LakeResource, stores: StoresResource
) -> Iterator[dg.DynamicOutput[None]]:
    """Say with which algorithm each object is read, and cut them into shards."""
    bucket = context.partition_key
    with failures_in_plain_words(), stores.open(bucket) as store:
        kept_in = lake.open()
        selected = SelectedObjects(context, kept_in, bucket, stores.catalog.place_of(bucket))
        with kept_in.workspace() as workspace:
            objects, baselines = selected.objects(store, workspace), selected.baselines(workspace)
            usual = stores.catalog.bucket(bucket).algorithm
            plans = plan_ingest(kept_in, selected.scratch, objects, baselines, usual, workspace)
    for algorithm, plan in plans.items():
        with failures_in_plain_words():
            plan.refuse_elsewhere(bucket, stores.catalog.place_of(bucket))
        context.log.info(f"{bucket}: {plan.objects:,} objects with {algorithm}, {bytes_text(plan.size)}")
        for number in range(len(plan.shards)):
            yield dg.DynamicOutput(None, mapping_key=f"{algorithm}_{number}")


@dg.op(
    ins={"planned": dg.In(dg.Nothing)},
    out=dg.Out(dg.Nothing),
    retry_policy=RETRIES,
)
def read_objects(
    context: dg.OpExecutionContext,
    lake: LakeResource,
    stores: StoresResource,
    progress: dg.ResourceParam[ProgressResource],
) -> None:
    """Read and hash the objects of one shard; finished parts and chunks stay when it is interrupted."""
    bucket = context.partition_key
    wanted, _, number = (context.get_mapping_key() or "").rpartition("_")

    def planned(kept_in: Lake) -> tuple[Plan, str, int]:
        selected = SelectedObjects(context, kept_in, bucket, stores.catalog.place_of(bucket))
        plan = next(p for a, p in kept_plans(kept_in, selected.scratch).items() if a == wanted)
        return plan, ingest_scratch(selected.scratch, plan.algorithm), int(number)

    hash_planned(context, lake, stores, progress, planned)


@dg.op(
    ins={"read": dg.In(dg.Nothing)},
    out={"result": dg.Out(dg.Nothing), **{name: dg.Out(dg.Nothing) for name in check_names()}},
    retry_policy=RETRIES,
)
def compare_with_baselines(
    context: dg.OpExecutionContext, lake: LakeResource, stores: StoresResource
) -> Iterator[dg.Output | dg.AssetCheckResult]:
    """Hold what was computed against what was recorded, write tags where wanted, keep the report."""
    bucket = context.partition_key
    with failures_in_plain_words():
        kept_in = lake.open()
        report, of_bucket = _make(context, kept_in, stores)
    counts = {name: value for name, value in vars(report.counts).items() if name != "compared_with"}
    context.add_output_metadata(
        {
            "dagster/row_count": report.counts.objects + report.counts.missing,
            **counts,
            "compared_with": report.counts.compared_with,
            "not_in_order": _table(report),
            "csv": dg.MetadataValue.path(kept_in.location(report.csv)),
            **(
                {"latest_csv": dg.MetadataValue.path(kept_in.location(report.latest_csv))}
                if report.latest_csv
                else {}
            ),
            "table": dg.MetadataValue.path(kept_in.location(report.table)),
        },
        output_name="result",
    )
    context.log.info(f"{bucket}: {counts}")
    yield dg.Output(None, "result")
    for check in verdict(of_bucket):
        yield dg.AssetCheckResult(
            asset_key=NAME,
            check_name=check.name,
            passed=check.passed,
            severity=dg.AssetCheckSeverity[check.severity],
            description=check.description,
            metadata={"rows": check.rows},
        )


def _make(
    context: dg.OpExecutionContext, kept_in: Lake, stores: StoresResource
) -> tuple[IngestReport, IngestCounts]:
    """The run's report, and what all checks of the bucket say together."""
    name = context.partition_key
    bucket, threads = stores.catalog.bucket(name), stores.threads(name)
    selected = SelectedObjects(context, kept_in, name, stores.catalog.place_of(name))
    plans = kept_plans(kept_in, selected.scratch)
    catalog = stores.catalog.catalog
    attributes = open_attributes(catalog, bucket, threads) if bucket.write_tags else None
    with stores.open(name) as store, kept_in.workspace() as workspace:
        objects = selected.objects(store, workspace)
        report = make_ingest_report(
            kept_in,
            selected.scratch,
            plans,
            objects,
            selected.baselines(workspace),
            name,
            context.run.run_id,
            workspace,
            selected.everything,
            tag_writer(attributes, threads) if attributes is not None else None,
            selected.gone(objects),
        )
        of_bucket = report.counts if selected.everything else counts_of_bucket(kept_in, name, workspace)
    if bucket.algorithm in plans:  # they are checks of the bucket like any others
        folder = ingest_scratch(selected.scratch, bucket.algorithm)
        kept = keep_checksums(kept_in, folder, plans[bucket.algorithm], name, context.run.run_id)
        # Whatever waits for the bucket's checksums, as the report of a pair does, sees them by this event.
        figures = {"dagster/row_count": kept.objects, "succeeded": kept.succeeded, "failed": kept.failed}
        table = dg.MetadataValue.path(kept_in.location(kept.file))
        context.log_event(
            dg.AssetMaterialization("checksums", partition=name, metadata={**figures, "table": table})
        )
    kept_in.remove(selected.scratch)
    return report, of_bucket


def _table(report: IngestReport) -> dg.TableMetadataValue:
    schema = column_schema(INGEST)
    return dg.MetadataValue.table(
        records=[
            dg.TableRecord({name: "" if row[name] is None else row[name] for name in _SHOWN})
            for row in report.rows_not_ok
        ],
        schema=dg.TableSchema(columns=[column for column in schema.columns if column.name in _SHOWN]),
    )


def ingest_report_asset(buckets: dg.PartitionsDefinition[str], owners: list[str]) -> dg.AssetsDefinition:
    """The asset `ingest_report`, a partition a bucket, with the verdict as asset checks."""

    @dg.graph_asset(
        name=NAME,
        description=__doc__,
        group_name=GROUP,
        kinds={"duckdb", "csv"},
        owners=owners,
        partitions_def=buckets,
        ins={"baselines": dg.AssetIn(dagster_type=dg.Nothing)},
        check_specs=[
            dg.AssetCheckSpec(name, asset=NAME, description=text, partitions_def=buckets)
            for name, text in check_names().items()
        ],
        metadata={"dagster/column_schema": column_schema(INGEST)},
    )
    def ingest_report(baselines: None) -> dict[str, object]:
        made = compare_with_baselines(plan_reading(baselines).map(read_objects).collect())
        checks = {f"{NAME}_{name}": getattr(made, name) for name in check_names()}
        return {"result": made.result, **checks}

    return ingest_report
