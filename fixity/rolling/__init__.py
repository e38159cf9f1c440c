"""Rolling fixity: every object checked within its term, for ever, a batch at a time.

What is due is chosen here, checked, and compared with its baseline. How objects are read is in
`fixity.engines.stream`, what the ledger says of them in `fixity.ledger`. When batches are taken is for
others to decide.
"""

from __future__ import annotations

from fixity.rolling.coverage import BucketCoverage, bucket_coverage
from fixity.rolling.due import Batch, Limits, choose, due_now, find
from fixity.rolling.egress import EgressBudget, egress_budget, egress_left
from fixity.rolling.finish import Rolled
from fixity.rolling.lease import BucketBusy, LeaseLost
from fixity.rolling.roll import Order, RollingRun, order_for, roll

__all__ = [
    "Batch",
    "BucketBusy",
    "BucketCoverage",
    "EgressBudget",
    "LeaseLost",
    "Limits",
    "Order",
    "Rolled",
    "RollingRun",
    "bucket_coverage",
    "choose",
    "due_now",
    "egress_budget",
    "egress_left",
    "find",
    "order_for",
    "roll",
]
