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


def shortfall(bucket: Bucket, store: Store | None, objects: int, size: int) -> str | None:
    """Why a bucket's limits cannot do what its policy wants, for people; None where they can.

    Arguments: `store`, None for a local directory; `objects` and `size` in bytes, of what it holds.
    """
    policy = bucket.schedule
    if policy is None:
        return None
    share = DAY / policy.bytes if bucket.is_rolled else policy.sample or 0.0
    what = "the term" if bucket.is_rolled else "`sample`"
    worst: tuple[float, str] = (1.0, "")
    for limit in limits(bucket, policy, store):
        needed = (size if limit.of_bytes else objects) * share
        if needed > limit.amount * worst[0]:
            text = bytes_text(needed) if limit.of_bytes else f"{needed:,.0f} objects"
            worst = needed / limit.amount, f"{text} a day, but {limit.keys} allows {limit.text}"
    if not worst[1]:
        return None
    return (
        f"{objects:,} objects of {bytes_text(size)} cannot be read within the policy's limits: {what} "
        f"({_term_text(policy, bucket)}) needs {worst[1]}. Give a longer term or a wider limit"
    )


def _term_text(policy: Policy, bucket: Bucket) -> str:
    return f"{policy.bytes / DAY:g} days" if bucket.is_rolled else f"{policy.sample:.2%} a day"


def capacity_problems(
    buckets: Mapping[str, Bucket], stores: Mapping[str, Store]
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Buckets, and stores, whose limits cannot do what is wanted, by what the catalog says that they hold."""
    of_stores: dict[str, float] = {}
    for name, bucket in buckets.items():
        if bucket.holds is None:
            continue
        store = None if bucket.is_local else stores[bucket.store]
        if why := shortfall(bucket, store, bucket.holds.objects, bucket.holds.bytes):
            yield ("buckets", name, "holds"), why
        elif store is not None and bucket.is_rolled and bucket.fixity_every:
            monthly = bucket.holds.bytes * (_MONTH * DAY / bucket.fixity_every)
            of_stores[store.name] = of_stores.get(store.name, 0.0) + monthly
    for name, monthly in of_stores.items():
        most = stores[name].monthly_egress
        if most is not None and monthly > most:
            yield (
                ("stores", name, "monthly_egress"),
                f"its buckets need {bytes_text(monthly)} in 30 days, to be read within their terms, but it "
                f"allows {bytes_text(most)}: give longer terms or a larger budget",
            )
