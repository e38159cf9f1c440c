"""What a rolling run is to do, by the catalog or by hand. Doing it does not belong here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from fixity.catalog import Bucket, Window
from fixity.errors import NoTerm
from fixity.ledger import Settings
from fixity.ledger.fold import settings_of
from fixity.rolling.due import Limits
from fixity.rolling.egress import EgressBudget


@dataclass(frozen=True)
class Order:
    """What a rolling run is to do.

    `interval`: seconds after which the next batch starts, in parallel to one that is not finished. `keys`:
    check these objects instead of those that are due. `place`: where the bucket is, by the catalog.
    `budgets`: of its store and its policy; batches stay within what is left of them. `window`: when objects
    that are due may be read.
    """

    bucket: str
    settings: Settings
    limits: Limits
    interval: float
    keys: tuple[str, ...] = ()
    place: str | None = None
    budgets: tuple[EgressBudget, ...] = ()
    window: Window | None = None

    def may_read(self, now: datetime) -> bool:
        """Whether reading may begin now: always, if the objects were named."""
        return bool(self.keys) or self.window is None or self.window.is_open(now)


def order_for(
    bucket: Bucket,
    place: str,
    budgets: tuple[EgressBudget, ...],
    items: int | None = None,
    keys: Sequence[str] = (),
) -> Order:
    """The order that the catalog gives for a bucket.

    Arguments: `place`, where the catalog says that it is; `budgets`, of its store and its policy; `items`
    and `keys` where they were asked for. Raises NoTerm for a bucket of which nothing falls due for the
    platform itself, unless keys were asked for.
    """
    policy = bucket.schedule
    if policy is None and not keys:
        raise NoTerm(
            f"'{bucket.name}' has no term: give it a `policy` or `fixity_every` in the catalog, such as "
            "fixity_every: 90d"
        )
    if policy and not (bucket.is_rolled or policy.sample or keys):
        raise NoTerm(
            f"'{bucket.name}' has `engine: {bucket.engine}` and its policy no `sample`: the platform itself "
            f"reads nothing there. Ask for a job: fixity request {bucket.name}"
        )
    return Order(
        bucket.name,
        settings_of(bucket),
        Limits(items or bucket.batch_items, bucket.batch_bytes),
        bucket.batch_interval.total_seconds(),
        tuple(keys),
        place,
        budgets,
        policy.window if policy else None,
    )
