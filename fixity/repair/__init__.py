"""Repairs: the bad copy of an object is replaced by the good one, which is proved by reading it.

Finding out which copy is bad belongs to `fixity.incidents`. How a bucket is written is in `fixity.buckets`.
"""

from __future__ import annotations

from fixity.repair.order import Order, Planned
from fixity.repair.plan import make_plan
from fixity.repair.run import Repair, repair
from fixity.repair.sides import RepairRun, Side

__all__ = ["Order", "Planned", "Repair", "RepairRun", "Side", "make_plan", "repair"]
