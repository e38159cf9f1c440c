"""What the steps of `checksums` share: the run's config, its scratch in the lake, and its plan.

The steps pass nothing to each other through Dagster. They share files in the lake's scratch, which a step on
another machine and a re-execution find as well. The steps are in `checksums_read` and `checksums_keep`.
"""

from enum import Enum

import dagster as dg
from pydantic import Field

from fixity.engines.stream.shards import Plan, plan_file
from fixity.lake import Lake
from fixity.lake.paths import scratch_folder
from fixity.lake.sweep import SCRATCH_DAYS
from fixity.ledger.inventory import TableMissing
from fixity.tables import TableUnreadable
from fixity_assets.bucket_checks import ASSET
from resources import StoresResource


class Which(Enum):
    """Which objects a run checks."""

    all = "all"  # the launchpad shows the names
    due = "due"


class ChecksumsConfig(dg.Config):
    """Which objects to check: all, those that are due, or these keys."""

    objects: Which = Field(
        default=Which.all,
        description="all: every object. due: objects that were not checked within the term (`fixity_every`), "
        "as the schedule selects them.",
    )
    items: int | None = Field(default=None, description="With `due`: at most so many objects.")
    keys: list[str] = Field(default=[], description="Only these objects, in all versions, due or not.")

    @property
    def is_batch(self) -> bool:
        """Whether the run checks a batch, not the whole bucket."""
        return self.objects is Which.due or bool(self.keys)


def scratch_of(context: dg.OpExecutionContext) -> str:
    """The folder in the lake for what the steps of this run share; also of its re-executions."""
    return scratch_folder(context.run.root_run_id or context.run.run_id, ASSET)


def plan_of_run(lake: Lake, scratch: str, stores: StoresResource, bucket: str) -> Plan:
    """The run's plan.

    Raises TableMissing if it is gone, TableUnreadable if it is damaged, AnotherPlace if the catalog has
    changed since.
    """
    try:
        plan = Plan.from_json(lake.read_text(plan_file(scratch)))
    except FileNotFoundError:
        raise TableMissing(
            f"{lake.location(scratch)} is gone (kept {SCRATCH_DAYS} days for a run that failed): start a new "
            f"run that materializes checksums[{bucket}]"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise TableUnreadable(lake.location(plan_file(scratch)), error) from error
    plan.refuse_elsewhere(bucket, stores.catalog.place_of(bucket))
    return plan
