"""Drills: proof that a check would have noticed. One partition for each bucket of the catalog's `drills`.

A drill deposits objects below `fixity-drill/`, checks them, and damages them: one bit, cut short, two
swapped, deleted, replaced by older bytes. The damaged objects look as if nobody had written. Then the
schedule of the bucket has to find each within `fixity_every` and a day. While a drill goes on, `no_damage`
and `no_open_incidents` of this bucket are red, as they should be. When it is over, the right bytes are put
back and the incidents are dismissed. The lake keeps what was found, and when, in `drills/<bucket>/<id>/`.
"""

from collections.abc import Sequence
from datetime import datetime
from random import SystemRandom

import dagster as dg
from pydantic import Field

from fixity.clock import utc_now
from fixity.drills import Drill, Order, drill
from fixity.drills.kept import that_count
from fixity.drills.plan import FEWEST, MOST
from fixity.incidents.state import incidents_now
from fixity.repair import RepairRun
from fixity_assets.describe import GROUP, check_specs, failures_in_plain_words, rows_table
from fixity_assets.incidents import log_open_incidents
from fixity_assets.keep_status import keep_status
from jobs.names import DRILLS_ASSET
from resources import CatalogResource, LakeResource, StoresResource

_CHECK = "all_found"
_CLAIMS = {
    _CHECK: "Every object that the newest drill damaged was found within the term and a day. Until one is "
    "over, the objects of the drill that goes on are only waited for. Without any drill, a warning."
}
_COLUMNS = ("drill", "key", "damage", "damaged_at", "due_by", "found_as", "found_at", "result")
_SHOWN = 1000


class DrillConfig(dg.Config):
    """Whether to begin a drill, and which."""

    begin: bool = Field(default=False, description="Whether to begin a drill where none goes on.")
    seed: int | None = Field(
        default=None, description="What its plan is drawn from; by default a new number."
    )
    objects: int = Field(default=12, ge=FEWEST, le=MOST, description="How many objects are damaged.")
    person: str = Field(default="unknown", description="Who begins it.")

    def order(self) -> Order | None:
        """The order of a drill; None if none is to begin."""
        seed = SystemRandom().randrange(2**31) if self.seed is None else self.seed
        return Order(seed, self.objects, self.person) if self.begin else None


def drills_asset(names: Sequence[str], owners: list[str]) -> dg.AssetsDefinition:
    """The asset `drills`. Arguments: `names`, of the buckets in the catalog's `drills`."""
    buckets = dg.StaticPartitionsDefinition(names)

    @dg.asset(
        name=DRILLS_ASSET,
        description=__doc__,
        group_name=GROUP,
        kinds={"parquet"},
        owners=owners,
        partitions_def=buckets,
        check_specs=check_specs(DRILLS_ASSET, _CLAIMS, buckets),
    )
    def drills(
        context: dg.AssetExecutionContext,
        config: DrillConfig,
        catalog: CatalogResource,
        stores: StoresResource,
        lake: LakeResource,
    ) -> dg.MaterializeResult:
        name, began = context.partition_key, utc_now()
        with failures_in_plain_words(), stores.side(name) as side:
            kept_in = lake.open()
            run = RepairRun(kept_in, context.run.run_id, {name: side}, context.log.info)
            made = drill(run, side, config.order())
            log_open_incidents(context, incidents_now(kept_in), catalog.catalog, [name])
        now = utc_now()
        counting = that_count(made)
        newest = made[-1] if made else None
        result: dg.MaterializeResult = dg.MaterializeResult(
            metadata={
                "drills": len(made),
                "goes_on": newest is not None and not newest.is_over,
                "drill": newest.id if newest else "",
                "seed": newest.seed if newest else "",
                "damaged": len(newest.objects) if newest else 0,
                "found": sum(each.found_at is not None for each in newest.objects) if newest else 0,
                "objects": _table(counting, now),
            },
            check_results=[_evaluation(counting, now)],
        )
        return keep_status(context, kept_in, began, result)

    return drills


def _evaluation(counting: Sequence[Drill], now: datetime) -> dg.AssetCheckResult:
    if not counting:
        return dg.AssetCheckResult(
            check_name=_CHECK,
            passed=False,
            severity=dg.AssetCheckSeverity.WARN,
            description="there was no drill yet: fixity drill BUCKET begins one",
        )
    missed = [each for made in counting for each in made.missed(now)]
    first = "; ".join(f"{each.key} ({each.damage}): {each.text(now)}" for each in missed[:5])
    return dg.AssetCheckResult(
        check_name=_CHECK,
        passed=not missed,
        description=f"{len(missed):,} not found in time: {first}" if missed else None,
        metadata={"missed": len(missed)},
    )


def _table(counting: Sequence[Drill], now: datetime) -> dg.TableMetadataValue:
    rows = [
        {"drill": made.id, **vars(each), "result": each.text(now)}
        for made in reversed(counting)
        for each in made.objects
    ]
    return rows_table(rows[:_SHOWN], [dg.TableColumn(name) for name in _COLUMNS])
