"""Drills: proof that a check would have noticed. Objects are damaged on purpose for the schedule to find.

Only buckets that the catalog's `drills` names are touched, and there only keys that drills have made.
"""

from __future__ import annotations

from fixity.drills.begin import DrillRefused, Order
from fixity.drills.drill import drill
from fixity.drills.kept import Drill, DrillObject

__all__ = ["Drill", "DrillObject", "DrillRefused", "Order", "drill"]
