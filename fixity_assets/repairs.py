"""The repair of a pair: what would be copied over which bad copy, and with `apply` the copying and its check.

It takes the objects of open incidents that concern the pair. A good copy is read and must have the checksum
that is expected of it; only then it replaces the bad one, and only while that is still the one that was found
to be bad. The bad bytes are kept, as an older version or below `.fixity-quarantine/`. Each new copy is read
and checked in the same run; that check alone closes an incident. Then the repaired bucket is listed, and the
pair is reported anew. The pair's key `repair` says to which side it may write.

From a thousand objects on, a job of S3 Batch copies what it can, where both buckets are in one store and keep
versions, and the target has `s3_batch` in the catalog. Its end starts a run that reads and checks the copies.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from enum import Enum
from typing import Any

import dagster as dg
from pydantic import Field

from fixity.buckets import BucketUnreachable
from fixity.catalog import Pair
from fixity.clock import utc_now
from fixity.humanize import printable
from fixity.incidents.state import Incident, incidents_now
from fixity.lake import Lake
from fixity.repair import Order, Repair, RepairRun, make_plan, repair
from fixity.repair.batch_way import MANY
from fixity.repair.words import COLUMNS, cost_of, done_row, planned_row
from fixity_assets.describe import GROUP, check_specs, failures_in_plain_words, rows_table
from fixity_assets.fixity_report import report_after_repair
from fixity_assets.incidents import log_open_incidents
from fixity_assets.keep_status import keep_status
from jobs.names import NOT_REPORTED, REPAIR_ASSET
from resources import CatalogResource, LakeResource, S3ControlResource, StoresResource

_CHECK = "all_repaired"
_SHOWN = 1000


class GoodCopy(Enum):
    """Whose copy is the good one."""

    as_diagnosed = "as_diagnosed"  # the launchpad shows the names
    source = "source"
    replica = "replica"


class CopiedBy(Enum):
    """Who copies what S3 Batch can copy."""

    as_fits = "as_fits"
    stream = "stream"
    s3_batch = "s3_batch"


class RepairConfig(dg.Config):
    """What to repair, and whether to do it."""

    apply: bool = Field(default=False, description="Whether to repair. Otherwise only the plan is shown.")
    incident: str | None = Field(default=None, description="Only the objects of this incident.")
    good_copy: GoodCopy = Field(
        default=GoodCopy.as_diagnosed,
        description="Whose copy is the good one, for objects of which no diagnosis says it. Needs a reason.",
    )
    reason: str | None = Field(default=None, description="How you know that. It is kept with the incident.")
    quarantine: bool = Field(
        default=True, description="Whether the bad bytes are kept where the bucket keeps no versions."
    )
    by: CopiedBy = Field(
        default=CopiedBy.as_fits,
        description="Who copies: s3_batch, a job of S3 Batch where it can; stream, never one; as_fits, a job "
        f"from {MANY:,} such objects on.",
    )
    job: str | None = Field(
        default=None,
        description="With apply: only take the report of this S3 Batch job, and check its objects.",
    )
    person: str | None = Field(default=None, description="Who asks for the repair.")

    def order(self, pair: Pair) -> Order:
        """The order for a pair."""
        named = None if self.good_copy is GoodCopy.as_diagnosed else self.good_copy.value
        by = None if self.by is CopiedBy.as_fits else self.by.value
        return Order(pair, self.incident, named, self.reason, self.quarantine, by, self.job, self.person)


def repairs_asset(pairs: dg.PartitionsDefinition[str], owners: list[str]) -> dg.AssetsDefinition:
    """The asset `repairs`, one partition for each pair."""

    @dg.asset(
        name=REPAIR_ASSET,
        description=__doc__,
        group_name=GROUP,
        kinds={"s3"},
        owners=owners,
        partitions_def=pairs,
        deps=["fixity_report"],
        check_specs=check_specs(
            REPAIR_ASSET,
            {_CHECK: "No bad copy of an open incident is left: each was repaired, read again, and is right"},
            pairs,
        ),
    )
    def repairs(
        context: dg.AssetExecutionContext,
        config: RepairConfig,
        catalog: CatalogResource,
        stores: StoresResource,
        lake: LakeResource,
        s3_control: S3ControlResource,
    ) -> dg.MaterializeResult:
        began = utc_now()
        with failures_in_plain_words(), ExitStack() as opened:
            pair = catalog.pair(context.partition_key)
            order, kept_in = config.order(pair), lake.open()
            both = (pair.source, pair.replica)
            sides = {name: opened.enter_context(stores.side(name)) for name in both}
            copies, away = catalog.catalog.copies_with(pair.name), list[str]()
            for name in copies.buckets if copies else ():
                if name in both:
                    continue
                try:  # only a good copy may be taken from it
                    sides[name] = opened.enter_context(stores.side(name))
                except BucketUnreachable as error:
                    away.append(name)
                    context.log.warning(printable(f"nothing is taken from {name}: {error}", 2000))
            account = s3_control.for_copies
            run = RepairRun(kept_in, context.run.run_id, sides, context.log.info, account=account, away=away)
            if not config.apply:
                return keep_status(context, kept_in, began, _planned(order, run))
            repaired = repair(order, run)
            log_open_incidents(context, incidents_now(kept_in), catalog.catalog, both)
            not_reported = None
            changed = {each.planned.damaged for each in repaired.done if each.item is not None}
            damaged = {each.planned.good for each in repaired.done if each.is_damaged_too}
            if changed or damaged:
                not_reported = report_after_repair(
                    context, stores, kept_in, pair, sorted(changed), sorted(damaged - changed)
                )
        return keep_status(context, kept_in, began, _repaired(order, repaired, kept_in, not_reported))

    return repairs


def _planned(order: Order, run: RepairRun) -> dg.MaterializeResult:
    incidents = incidents_now(run.lake)
    plan = make_plan(order, run, incidents)
    refused = sum(each.refused is not None for each in plan)
    text = f"{len(plan) - refused:,} to repair, {refused:,} refused: this was only the plan" if plan else ""
    return dg.MaterializeResult(
        metadata={
            "applied": False,
            "to_repair": len(plan) - refused,
            "refused": refused,
            "cost": cost_of(plan).text,
            "objects": _table([planned_row(each) for each in plan[:_SHOWN]]),
        },
        check_results=[_evaluation(text, incidents, order)],
    )


def _repaired(order: Order, repaired: Repair, lake: Lake, not_reported: str | None) -> dg.MaterializeResult:
    right = sum(map(repaired.is_right, repaired.done))
    refused = sum(each.refused is not None for each in repaired.done)
    copying = sum(each.job is not None for each in repaired.done)
    wrong = len(repaired.done) - right - refused - copying
    text = f"{right:,} repaired and right, {refused:,} refused, {wrong:,} not right when they were read"
    text += f", {copying:,} are being copied by S3 Batch" if copying else ""
    return dg.MaterializeResult(
        metadata={
            "applied": True,
            "repaired": right,
            "refused": refused,
            "not_right": wrong,
            **({"copying": copying} if copying else {}),
            "closed_incidents": list(repaired.closed),
            "checks": [lake.location(file) for file in repaired.checks],
            **({NOT_REPORTED: not_reported} if not_reported else {}),
            "objects": _table([done_row(repaired, each) for each in repaired.done[:_SHOWN]]),
        },
        check_results=[_evaluation("" if right == len(repaired.done) else text, incidents_now(lake), order)],
    )


def _evaluation(text: str, incidents: Iterable[Incident], order: Order) -> dg.AssetCheckResult:
    """The result of the check. Arguments: `text`, what is not repaired; '' for nothing."""
    unknown = [each.id for each in incidents if each.unknown and order.incident_id in (None, each.id)]
    ids = ", ".join(unknown[:5]) + (", …" if len(unknown) > 5 else "")
    why = f"it is not known which objects these incidents have, because their files cannot be read: {ids}"
    wrong = "; ".join(filter(None, (text, why if unknown else "")))
    return dg.AssetCheckResult(check_name=_CHECK, passed=not wrong, description=wrong or None)


def _table(rows: list[dict[str, Any]]) -> dg.TableMetadataValue:
    return rows_table(
        rows, [dg.TableColumn(name, "int" if name == "bytes" else "string") for name in COLUMNS]
    )
