"""Rolling fixity: every object checked within its term, for ever, a batch at a time.

What is due is chosen here, checked, and compared with its baseline. How objects are read is in
`fixity.engines.stream`, what the ledger says of them in `fixity.ledger`. When batches are taken is for
others to decide.
"""

from __future__ import annotations

from fixity.rolling.coverage import BucketCoverage, bucket_coverage
from fixity.rolling.due import Limits, choose, due_now
from fixity.rolling.egress import egress_budgets
from fixity.rolling.lease import BucketBusy, LeaseLost
from fixity.rolling.order import Order, order_for
from fixity.rolling.run import RollingRun

__all__ = [
    "BucketBusy",
    "BucketCoverage",
    "LeaseLost",
    "Limits",
    "Order",
    "RollingRun",
    "bucket_coverage",
    "choose",
    "due_now",
    "egress_budgets",
    "order_for",
]
