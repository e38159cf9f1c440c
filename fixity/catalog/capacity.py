"""Whether the limits of a bucket are wide enough for its policy: what a day allows, and what it needs.

Reckoning only, from the catalog and from how much a bucket holds. What is read when does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from fixity.catalog.model import Bucket, Store
from fixity.catalog.policy import Policy
from fixity.humanize import bytes_text

DAY = timedelta(days=1)
_MONTH = 30  # days of a `monthly_egress`


@dataclass(frozen=True)
class Limit:
    """What a limit of the catalog allows in a day: bytes or objects, and its keys, for people."""

    amount: float
    of_bytes: bool
    keys: str

    @property
    def text(self) -> str:
        """The amount for people."""
        return bytes_text(self.amount) if self.of_bytes else f"{self.amount:,.0f} objects"


def limits(bucket: Bucket, policy: Policy, store: Store | None) -> Iterator[Limit]:
    """What the limits of a bucket allow to be read in a day.

    Arguments: `store`, None for a local directory.
    """
    open_for = policy.window.length if policy.window else DAY
    in_window = " in `window`" if policy.window else ""
    if bucket.max_bandwidth is not None:
        yield Limit(bucket.max_bandwidth * open_for.total_seconds(), True, f"`max_bandwidth`{in_window}")
    batches = max(1, open_for // bucket.batch_interval)
    of_batches = f"{batches} batches a day{in_window} (`batch_interval`)"
    yield Limit(bucket.batch_items * batches, False, f"`batch_items` in {of_batches}")
    if bucket.batch_bytes is not None:
        yield Limit(bucket.batch_bytes * batches, True, f"`batch_bytes` in {of_batches}")
    if policy.monthly_egress is not None:
        yield Limit(policy.monthly_egress / _MONTH, True, "`monthly_egress` of the policy")
    if store is not None and store.monthly_egress is not None:
        yield Limit(store.monthly_egress / _MONTH, True, f"`monthly_egress` of the store '{store.name}'")


def daily_share(bucket: Bucket, policy: Policy) -> float:
    """Which share of a bucket's objects the platform has to read in a day, by its term and its sample."""
    sample = policy.sample or 0.0
    # What is drawn is due by its term that much later: of two draws one saves a read.
    return DAY / policy.bytes + sample / 2 if bucket.is_rolled else sample


def shortfall(bucket: Bucket, objects: int, size: int) -> str | None:
    """Why a bucket's own limits cannot do what its policy wants, for people; None where they can.

    Arguments: `objects` and `size` in bytes, of what it holds. The store's budget is in `store_shortfalls`.
    """
    policy = bucket.schedule
    if policy is None:
        return None
    share = daily_share(bucket, policy)
    worst: tuple[float, str] = (1.0, "")
    for limit in limits(bucket, policy, None):
        needed = (size if limit.of_bytes else objects) * share
        if needed > limit.amount * worst[0]:
            text = bytes_text(needed) if limit.of_bytes else f"{needed:,.0f} objects"
            worst = needed / limit.amount, f"{text} a day, but {limit.keys} allows {limit.text}"
    if not worst[1]:
        return None
    return (
        f"{objects:,} objects of {bytes_text(size)} cannot be read within the policy's limits: "
        f"{_wanted_text(policy, bucket)} needs {worst[1]}. Give a longer term or a wider limit"
    )


def _wanted_text(policy: Policy, bucket: Bucket) -> str:
    term = [f"the term ({policy.bytes / DAY:g} days)"] if bucket.is_rolled else []
    sample = [f"`sample` ({policy.sample:.2%} a day)"] if policy.sample else []
    return " and ".join([*term, *sample])


def store_shortfalls(
    buckets: Mapping[str, Bucket], stores: Mapping[str, Store], sizes: Mapping[str, int]
) -> dict[str, str]:
    """Why the budgets of stores cannot do what the policies of all their buckets want, by names of stores.

    Arguments: `sizes` in bytes, of what buckets hold, by their names.
    """
    needed: dict[str, float] = {}
    for name, size in sizes.items():
        bucket, policy = buckets[name], buckets[name].schedule
        if policy is not None and not bucket.is_local:
            monthly = size * daily_share(bucket, policy) * _MONTH
            needed[bucket.store] = needed.get(bucket.store, 0.0) + monthly
    return {
        name: f"its buckets need {bytes_text(monthly)} in 30 days, to be read within their terms, but it "
        f"allows {bytes_text(most)}: give longer terms or a larger budget"
        for name, monthly in needed.items()
        if (most := stores[name].monthly_egress) is not None and monthly > most
    }


def store_shortfall_of(bucket: Bucket, short: Mapping[str, str]) -> str | None:
    """What `store_shortfalls` says of a bucket's store, for people; None where its budget does."""
    if bucket.is_local or bucket.schedule is None or bucket.store not in short:
        return None
    return f"`monthly_egress` of the store '{bucket.store}': {short[bucket.store]}"


def capacity_problems(
    buckets: Mapping[str, Bucket], stores: Mapping[str, Store]
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Buckets, and stores, whose limits cannot do what is wanted, by what the catalog says that they hold."""
    sizes: dict[str, int] = {}
    for name, bucket in buckets.items():
        if bucket.holds is None:
            continue
        if why := shortfall(bucket, bucket.holds.objects, bucket.holds.bytes):
            yield ("buckets", name, "holds"), why
        else:
            sizes[name] = bucket.holds.bytes
    for name, why in store_shortfalls(buckets, stores, sizes).items():
        yield ("stores", name, "monthly_egress"), why
