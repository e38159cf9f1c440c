"""Which objects are due, and how many of them make a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from fixity.database import open_database
from fixity.lake import Lake
from fixity.standing import STANDING, Standing
from fixity.standing.views import view, view_now
from fixity.wording import bytes_text

_SQL = Path(__file__).with_suffix(".sql")


@dataclass(frozen=True)
class Limits:
    """The most that a batch may have: objects, bytes, and bytes of what a store's egress budget has left.

    budget: all bytes of that budget; what is larger can never be read within it, and is left out.
    """

    items: int
    size: int | None = None
    egress: int | None = None
    budget: int | None = None


@dataclass(frozen=True)
class Batch:
    """Objects to check: rows of the standing, in the order in which they are to be checked.

    cut_short: why there are fewer than are due, None where there are not.
    """

    rows: pa.Table
    cut_short: str | None = None

    @property
    def size(self) -> int:
        """Bytes of all its objects."""
        return int(pc.sum(self.rows.column("size")).as_py() or 0)


def due_now(
    lake: Lake,
    standing: Standing,
    taken: Sequence[Path],
    now: datetime,
    items: int,
    workspace: Path,
    most: int | None = None,
) -> pa.Table:
    """The first `items` objects that are due, without those larger than `most` bytes.

    Arguments: `taken`, local files of what runs in progress have taken. Raises LakeError.
    """
    with open_database(workspace) as database:
        view_now(database, lake, standing, "queue", workspace)
        view(database, "taken", taken)
        found = database.execute(_SQL.read_text(encoding="utf-8"), {"now": now, "items": items, "most": most})
        return found.to_arrow_table().select(STANDING.names).cast(STANDING)


def choose(
    lake: Lake, standing: Standing, taken: Sequence[Path], now: datetime, limits: Limits, workspace: Path
) -> Batch:
    """The next batch: in order, as much as the limits allow, left out only what can never be read.

    An object larger than `limits.size` is a batch by itself. Raises LakeError.
    """
    due = due_now(lake, standing, taken, now, limits.items + 1, workspace, limits.budget)
    batch = within(due, limits)
    too_large = _too_large(lake, standing, limits.budget, now, workspace)
    if not too_large:
        return batch
    why = f"{too_large:,} objects are larger than all of monthly_egress and are never read within it"
    return Batch(batch.rows, f"{batch.cut_short}; {why}" if batch.cut_short else why)


def _too_large(lake: Lake, standing: Standing, budget: int | None, now: datetime, workspace: Path) -> int:
    if budget is None:
        return 0
    with open_database(workspace) as database:
        view_now(database, lake, standing, "queue", workspace)
        row = database.execute(
            "SELECT count(*) FROM now WHERE wanted AND left_out IS NULL AND size > $budget "
            "AND (due_at IS NULL OR due_at <= $now)",
            {"budget": budget, "now": now},
        ).fetchone()
    return int(row[0]) if row else 0


def within(due: pa.Table, limits: Limits) -> Batch:
    """As much of the front of what is due as the limits allow, and why it is no more."""
    totals = list(accumulate(due.column("size").to_pylist()))
    count, why = len(totals), None
    if count > limits.items:
        count, why = limits.items, f"batch_items allows {limits.items:,} objects"
    if limits.size is not None and totals[:count] and totals[count - 1] > limits.size:
        count = max(1, sum(total <= limits.size for total in totals))
        why = f"batch_bytes allows {bytes_text(limits.size)}"
    if limits.egress is not None and totals[:count] and totals[count - 1] > limits.egress:
        count = sum(total <= limits.egress for total in totals)
        why = f"monthly_egress of the store allows {bytes_text(max(0, limits.egress))} more for now"
    return Batch(due.slice(0, count), why)


def find(lake: Lake, standing: Standing, keys: Sequence[str], workspace: Path) -> Batch:
    """The objects of these keys, all versions that are listed, be they due or not.

    Raises ValueError naming the keys that the newest inventory does not have; LakeError.
    """
    with open_database(workspace) as database:
        view_now(database, lake, standing, "objects", workspace)
        found = database.execute(
            "FROM now WHERE wanted AND list_contains($keys, key) ORDER BY key, version_id",
            {"keys": list(keys)},
        ).to_arrow_table()
    missing = sorted(set(keys) - set(found.column("key").to_pylist()))
    if missing:
        raise ValueError(
            f"the newest inventory of '{standing.bucket}' has no {', '.join(map(repr, missing))}: "
            f"if it is new, list the bucket first: fixity inventory {standing.bucket}"
        )
    return Batch(found.select(STANDING.names).cast(STANDING))
