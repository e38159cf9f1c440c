"""What a second look may still read: by `second_look`, and by the `monthly_egress` of stores.

Both sides of a pair take from it at once. What is read does not belong here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from threading import Lock

from fixity.buckets import ListedObject
from fixity.catalog import Bucket, Catalog
from fixity.lake import Lake
from fixity.rolling.egress import egress_budget, egress_left


class LookLimits:
    """Objects and bytes that may still be read. Arguments: `buckets`, of each side; `now` in UTC."""

    def __init__(self, lake: Lake, catalog: Catalog, buckets: Mapping[str, Bucket], now: datetime) -> None:
        self._objects, self._bytes = catalog.second_look.objects, catalog.second_look.bytes
        self._stores = {side: bucket.store for side, bucket in buckets.items() if not bucket.is_local}
        budgets = {bucket.store: egress_budget(catalog, bucket) for bucket in buckets.values()}
        self._egress = {
            store: egress_left(lake, [budget], None, now).share
            for store, budget in budgets.items()
            if budget is not None
        }
        self._taking = Lock()

    def take(self, sizes: Mapping[str, int], objects: int = 0) -> str | None:
        """Take objects and bytes off all limits; returns why not, if one of them does not allow it.

        Arguments: `sizes`, in bytes, by side.
        """
        size = sum(sizes.values())
        with self._taking:
            if objects > self._objects or size > self._bytes:
                return "`second_look` allows no more in this run"
            left = {
                store: left - sum(of for side, of in sizes.items() if self._stores.get(side) == store)
                for store, left in self._egress.items()
            }
            for store in left:
                if left[store] < 0:
                    return f"`monthly_egress` of the store '{store}' allows no more"
            self._objects -= objects
            self._bytes -= size
            self._egress = left
        return None


@dataclass(frozen=True)
class SideLimits:
    """The limits, as one side takes from them for what is read beyond what was chosen."""

    limits: LookLimits
    side: str

    def refusal(self, item: ListedObject) -> str | None:
        """Take an object's bytes; returns why not, if a limit does not allow it."""
        return self.limits.take({self.side: item.size})

    def take(self, item: ListedObject) -> bool:
        """Whether an object may be read. If so, its bytes are taken."""
        return self.refusal(item) is None
