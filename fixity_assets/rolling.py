"""The newest batch of rolling fixity: the objects longest due, read and compared with their baselines.

What never was checked comes first, then what is due longest; a check without a result is made again
soon. The checks are kept in the lake as `checksums/<bucket>/<run id>.parquet`, a run's part of the
ledger, and change what `checksums` says of the bucket, so that a run counts as its materialization too.
"""

import dagster as dg
from pydantic import Field

from fixity.humanize import bytes_text
from fixity.ledger import ready
from fixity.ledger.fold import settings_of
from fixity.rolling import (
    Damage,
    Rolled,
    damaged_now,
    egress_budget,
    order_for,
    roll,
)
from fixity_assets.describe import GROUP, failures_in_plain_words
from jobs.names import ROLLING
from resources import CatalogResource, LakeResource, StoresResource

NAME = "rolling_checks"
NO_DAMAGE = "no_damage"
_SHOWN = 100


class RollConfig(dg.Config):
    """What to check, where it is not just what the catalog says: at most so many objects, or these keys."""

    items: int | None = None
    keys: list[str] = Field(default=[])


def rolling_asset(buckets: dg.PartitionsDefinition[str], owners: list[str]) -> dg.AssetsDefinition:
    """The asset `rolling_checks`, a partition a bucket."""

    @dg.asset(
        name=NAME,
        description=__doc__,
        group_name=GROUP,
        kinds={"python", "parquet"},
        owners=owners,
        partitions_def=buckets,
        deps=["inventory"],
    )
    def rolling_checks(
        context: dg.AssetExecutionContext, config: RollConfig, stores: StoresResource, lake: LakeResource
    ) -> dg.MaterializeResult:
        bucket = stores.catalog.bucket(context.partition_key)
        with failures_in_plain_words():
            kept_in = lake.open()
            budget = egress_budget(stores.catalog.catalog, bucket)
            place = stores.catalog.place_of(bucket.name)
            order = order_for(bucket, place, budget, config.items, config.keys)
            with stores.open(bucket.name) as store:
                rolled = roll(
                    store, kept_in, order, context.run.run_id, stores.threads(bucket.name), context.log.info
                )
        metadata = _metadata(rolled, kept_in.location(rolled.file) if rolled.file else None)
        if rolled.file:
            context.log_event(dg.AssetMaterialization("checksums", partition=bucket.name, metadata=metadata))
        return dg.MaterializeResult(metadata=metadata)

    return rolling_checks


def _metadata(rolled: Rolled, table: str | None) -> dict[str, dg.MetadataValue | int | str | dict[str, int]]:
    return {
        "dagster/row_count": rolled.objects,
        "succeeded": rolled.succeeded,
        "failed": rolled.failed,
        "skipped": rolled.skipped,
        "registered": rolled.registered,
        "damaged": len(rolled.damaged),
        "bytes_read": rolled.bytes_read,
        "size": bytes_text(rolled.bytes_read),
        "reasons": rolled.reasons,
        ROLLING: rolled.cut_short or "-",
        "table": dg.MetadataValue.path(table) if table else "-",
    }


def no_damage_check(buckets: dg.PartitionsDefinition[str]) -> dg.AssetChecksDefinition:
    """The asset check `no_damage` of `checksums`, a partition a bucket."""

    @dg.asset_check(
        asset="checksums",
        name=NO_DAMAGE,
        description="No object's bytes differ from its baseline, with nothing rewritten: the same version, "
        "or where there is none the same ETag, time and size. Stays red until a check finds the bytes right "
        "again, or the object is replaced.",
        partitions_def=buckets,
        additional_deps=[NAME],
    )
    def no_damage(
        context: dg.AssetCheckExecutionContext, catalog: CatalogResource, lake: LakeResource
    ) -> dg.AssetCheckResult:
        run = context.op_execution_context
        bucket = catalog.bucket(run.partition_key)
        with failures_in_plain_words():
            kept_in = lake.open()
            snapshot = ready(kept_in, bucket.name, settings_of(bucket), run.run_id, log=run.log.warning)
            damaged = damaged_now(kept_in, snapshot)
        return dg.AssetCheckResult(
            passed=not damaged,
            severity=dg.AssetCheckSeverity.ERROR,
            description=f"{len(damaged):,} damaged" if damaged else None,
            metadata={"damaged": len(damaged), "objects": damage_table(damaged)},
        )

    return no_damage


def damage_table(damaged: list[Damage]) -> dg.TableMetadataValue:
    """The first damaged objects, as a table of the UI."""
    columns = ("key", "version_id", "algorithm", "expected", "actual", "good_at", "damaged_at")
    return dg.MetadataValue.table(
        records=[
            dg.TableRecord({name: str(getattr(each, name) or "") for name in columns})
            for each in damaged[:_SHOWN]
        ],
        schema=dg.TableSchema(columns=[dg.TableColumn(name) for name in columns]),
    )
