"""What the policies of a catalog will read, request and cost, and by when all is checked, before they run.

Reckoning only, from how much each bucket holds. What is due now is in `due`; what was checked, in `coverage`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from fixity.catalog import Bucket, Catalog, Policy
from fixity.catalog.capacity import DAY, limits, shortfall, store_shortfall_of, store_shortfalls
from fixity.catalog.prices import Prices, prices_of
from fixity.lake import Lake
from fixity.lake.database import open_database
from fixity.lake.times import TimesUnknown
from fixity.ledger.inventory import TableMissing, fetch_inventory, newest_inventory
from fixity.rolling.jobs import interval, jobs_within
from fixity.tables import ARCHIVES, Provenance, TableUnreadable

_MONTH = timedelta(days=365) / 12
_FOR_EVER = 36_500  # days
_PAGE = 1000  # objects in one answer of a listing
_GB, _MILLION = 1e9, 1e6


@dataclass(frozen=True)
class Holding:
    """How much a bucket holds: objects, bytes, and how that is known, for people.

    classes: objects and bytes by storage class, as far as it is known.
    """

    objects: int
    size: int
    known_by: str
    classes: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def archived(self) -> int:
        """How many objects are archived."""
        return sum(self.classes.get(name, (0, 0))[0] for name in ARCHIVES)

    def without_archives(self) -> Holding:
        """What the platform itself can read."""
        others = {name: held for name, held in self.classes.items() if name not in ARCHIVES}
        size = sum(self.classes.get(name, (0, 0))[1] for name in ARCHIVES)
        return Holding(self.objects - self.archived, self.size - size, self.known_by, others)

    def read_by(self, bucket: Bucket) -> Holding:
        """What is to be read of it by whoever reads the bucket."""
        return self if bucket.engine == "s3_batch" else self.without_archives()


@dataclass(frozen=True)
class BucketPlan:
    """What a bucket's policy will do in a time.

    reads, bytes_read: objects and bytes that the platform reads, at most. jobs: that are requested of others,
    each over all objects. lists: LIST requests. cost: US dollars, None where a price is not known or how much
    the bucket holds. covered_at: when all that is to be read is checked if nothing was before, None where
    that is nothing, not known or a century away. shortfall: why the limits cannot do it, for people.
    unreadable: why it is not known what it holds, where its inventory cannot be read.
    """

    bucket: str
    policy: Policy | None
    holding: Holding | None
    reads: int = 0
    bytes_read: int = 0
    jobs: int = 0
    lists: int = 0
    cost: float | None = None
    covered_at: datetime | None = None
    shortfall: str | None = None
    unreadable: str | None = None


def plan_of(lake: Lake, catalog: Catalog, begin: datetime, months: int) -> list[BucketPlan]:
    """The plan of each bucket, from `begin` (UTC) on. Raises LakeError."""
    plans: list[BucketPlan] = []
    with lake.workspace() as workspace:
        for bucket in catalog.buckets.values():
            try:
                holding = holding_of(lake, bucket, workspace)
            except (TableUnreadable, TimesUnknown) as error:  # of this bucket alone
                plans.append(BucketPlan(bucket.name, bucket.schedule, None, unreadable=str(error)))
            else:
                plans.append(plan_bucket(catalog, bucket, holding, begin, months * _MONTH))
    sizes = {
        each.bucket: each.holding.read_by(catalog.buckets[each.bucket]).size for each in plans if each.holding
    }
    short = store_shortfalls(catalog.buckets, catalog.stores, sizes)
    return [
        replace(each, shortfall=each.shortfall or store_shortfall_of(catalog.buckets[each.bucket], short))
        for each in plans
    ]


def holding_of(lake: Lake, bucket: Bucket, workspace: Path) -> Holding | None:
    """How much a bucket holds, by its newest inventory, else by the catalog; None where neither says so.

    Raises TableUnreadable, LakeError.
    """
    try:
        file = fetch_inventory(lake, newest_inventory(lake, bucket.name), workspace)
    except TableMissing:
        if bucket.holds is None:
            return None
        return Holding(bucket.holds.objects, bucket.holds.bytes, "`holds` of the catalog")
    with open_database(workspace) as database:
        held = database.execute(
            "SELECT storage_class, count(*), sum(size)::BIGINT FROM read_parquet(?) GROUP BY ALL",
            [str(file)],
        ).fetchall()
    return Holding(
        sum(objects for _, objects, _ in held),
        sum(size for _, _, size in held),
        f"the inventory of {Provenance.read(file).listed_at:%Y-%m-%d}",
        {name: (objects, size) for name, objects, size in held if name},
    )


def plan_bucket(
    catalog: Catalog, bucket: Bucket, holding: Holding | None, begin: datetime, length: timedelta
) -> BucketPlan:
    """The plan of a bucket for a time, as if nothing was checked before and nothing is added."""
    policy = bucket.schedule
    if policy is None or holding is None:
        return BucketPlan(bucket.name, policy, holding)
    store = None if bucket.is_local else catalog.store_of(bucket)
    share = (length / policy.bytes if bucket.is_rolled else 0.0) + (policy.sample or 0.0) * (length / DAY)
    ours = holding.without_archives()
    # How many days the limits want to read all once.
    by_us = max(
        (
            (ours.size if each.of_bytes else ours.objects) / each.amount
            for each in limits(bucket, policy, store)
        ),
        default=0.0,
    )
    share = min(share, length / DAY / by_us) if by_us else share
    can_ask = bucket in catalog.checked_by_jobs
    jobs = jobs_within(bucket.name, policy.bytes, begin, length) if can_ask else 0
    listings = jobs + (0 if bucket.has_lists else length // policy.stored)
    lists = listings * max(1, math.ceil(holding.objects / _PAGE))
    first = by_us if bucket.is_rolled else (policy.bytes - interval(policy.bytes)) / DAY if can_ask else None
    to_read = holding.read_by(bucket)
    if holding.objects and not to_read.objects:  # nobody checks what is archived
        first = None
    plan = BucketPlan(
        bucket.name,
        policy,
        holding,
        reads=math.ceil(ours.objects * share),
        bytes_read=math.ceil(ours.size * share),
        jobs=jobs,
        lists=0 if bucket.is_local else lists,
        covered_at=None if first is None or first > _FOR_EVER else begin + first * DAY,
        shortfall=shortfall(bucket, to_read.objects, to_read.size),
    )
    return replace(plan, cost=_cost(plan, holding, bucket, prices_of(store, catalog.prices)))


def _cost(plan: BucketPlan, holding: Holding, bucket: Bucket, prices: Prices) -> float | None:
    by_s3 = plan.jobs if bucket.engine == "s3_batch" else 0
    parts: list[tuple[float, float | None]] = [
        (plan.bytes_read / _GB, prices.egress_gb),
        *_of_classes(plan, holding.without_archives(), prices),
        (plan.lists / 1000, prices.list_1000),
        (by_s3, prices.batch_job),
        (by_s3 * holding.objects / _MILLION, prices.batch_million),
        (by_s3 * holding.objects / _MILLION, prices.batch_million_listed),
        (by_s3 * holding.size / _GB, prices.batch_gb),
        # What a map of your own costs is not known here.
        (plan.jobs - by_s3, None),
    ]
    used = [(amount, price) for amount, price in parts if amount]
    if any(price is None for _, price in used):
        return None
    return sum(amount * price for amount, price in used if price is not None)


def _of_classes(plan: BucketPlan, ours: Holding, prices: Prices) -> Iterator[tuple[float, float | None]]:
    """What requests and retrieving cost, by storage class: how often, and the price."""
    others = plan.reads
    for name, dearer in prices.classes.items():
        objects, size = ours.classes.get(name, (0, 0))
        reads = round(plan.reads * objects / ours.objects) if objects else 0
        others -= reads
        yield reads / 1000, prices.get_1000 if dearer.get_1000 is None else dearer.get_1000
        yield (plan.bytes_read / _GB * size / ours.size if size else 0.0), dearer.retrieval_gb
    yield others / 1000, prices.get_1000
