"""Which objects are due, and how many of them make a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from fixity import compute as pc
from fixity.errors import NotInInventory
from fixity.humanize import bytes_text
from fixity.lake import Lake
from fixity.lake.database import open_database, own_table, view
from fixity.ledger import SNAPSHOT, Snapshot
from fixity.ledger.views import Fetched, view_now, view_now_of

if TYPE_CHECKING:
    import duckdb

_SQL = Path(__file__).with_suffix(".sql")
_UNTIL = Path(__file__).with_name("due_until.sql")
_SHARE_OF_RETRIES = 5


@dataclass(frozen=True)
class Limits:
    """The most that a batch may have: objects, bytes, and bytes of what a store's egress budget has left.

    What is larger than these is left out. budget: all bytes of that budget; what is larger can never be
    read within it.
    """

    items: int
    size: int | None = None
    egress: int | None = None
    budget: int | None = None


@dataclass(frozen=True)
class Batch:
    """Objects to check: rows of the snapshot, in the order in which they are to be checked.

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
    snapshot: Snapshot,
    taken: Sequence[Path],
    now: datetime,
    limits: Limits,
    workspace: Path,
) -> pa.Table:
    """The first `limits.items` objects that are due, without those larger than `limits.egress`.

    Objects that failed lately are at most a fifth of them, and of `limits.size`, as long as others are due.

    Arguments: `taken`, local files of what runs in progress have taken. Raises LakeError.
    """
    with open_database(workspace) as database:
        queue = view_now(database, lake, snapshot, "queue", workspace)
        view(database, "taken", taken, SNAPSHOT)
        given = {
            "items": limits.items,
            "most": limits.egress,
            "now": now,
            "last": _enough_by(database, queue, taken, limits),
            "retries": limits.items // _SHARE_OF_RETRIES,
            "size_of_retries": None if limits.size is None else limits.size // _SHARE_OF_RETRIES,
        }
        found = database.execute(_SQL.read_text(encoding="utf-8"), given).to_arrow_table()
        if not found.num_rows:  # nothing to cast, for which Arrow imports what takes 15 ms
            return SNAPSHOT.empty_table()
        return found.select(SNAPSHOT.names).cast(SNAPSHOT)


def _enough_by(
    database: duckdb.DuckDBPyConnection, queue: Fetched, taken: Sequence[Path], limits: Limits
) -> datetime | None:
    """A time by which enough objects of the queue are due (due_until.sql); None where it has not so many."""
    wanted = limits.items + _rows(*queue.since, *taken)
    if _rows(*queue.folded) < wanted:
        return None
    given = {"wanted": wanted, "most": limits.egress}
    row = database.execute(_UNTIL.read_text(encoding="utf-8"), given).fetchone()
    assert row is not None
    last: datetime | None = row[0]
    return last


def _rows(*files: Path) -> int:
    return sum(pq.read_metadata(file).num_rows for file in files)


def choose(
    lake: Lake, snapshot: Snapshot, taken: Sequence[Path], now: datetime, limits: Limits, workspace: Path
) -> Batch:
    """The next batch: in order, as much as the limits allow, without what the egress budget is too small for.

    An object larger than `limits.size` is a batch by itself. Raises LakeError.
    """
    one_more = replace(limits, items=limits.items + 1)  # shows whether more is due
    due = due_now(lake, snapshot, taken, now, one_more, workspace)
    batch = within(due, limits)
    why = [batch.cut_short, *_too_large(lake, snapshot, limits, now, workspace)]
    return Batch(batch.rows, "; ".join(text for text in why if text) or None)


def _too_large(
    lake: Lake, snapshot: Snapshot, limits: Limits, now: datetime, workspace: Path
) -> Iterator[str]:
    """Texts about due objects that are larger than the egress budget, or than what is left of it."""
    if limits.egress is None:
        return
    with open_database(workspace) as database:
        view_now(database, lake, snapshot, "queue", workspace)
        row = database.execute(
            "SELECT count(*) FILTER (size <= $budget), count(*) FILTER (size > $budget) FROM now "
            "WHERE listed AND left_out IS NULL AND size > $egress AND (due_at IS NULL OR due_at <= $now)",
            {"budget": limits.budget, "egress": limits.egress, "now": now},
        ).fetchone()
    waiting, never = row or (0, 0)
    if waiting:
        left = bytes_text(limits.egress)
        yield f"{waiting:,} objects are larger than the {left} that monthly_egress leaves for now"
    if never:
        yield f"{never:,} objects are larger than all of monthly_egress and are never read within it"


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
        why = f"monthly_egress allows {bytes_text(limits.egress)} more for now"
    return Batch(due.slice(0, count), why)


def find(lake: Lake, snapshot: Snapshot, keys: Sequence[str], workspace: Path) -> Batch:
    """The objects of these keys, all versions that are listed, due or not.

    Raises NotInInventory naming the keys that the newest inventory does not have, and when those that are
    gone were last seen and last right; LakeError.
    """
    with open_database(workspace) as database:
        own_table(database, "wanted", pa.table({"key": pa.array(keys, pa.string())}))
        view_now_of(database, lake, snapshot, "wanted", workspace)
        known = database.execute("FROM now ORDER BY key, version_id").to_arrow_table()
    known = known.select(SNAPSHOT.names).cast(SNAPSHOT)
    found = known.filter(known.column("listed"))
    missing = sorted(set(keys) - set(found.column("key").to_pylist()))
    if missing:
        raise NotInInventory("; ".join(_missing(snapshot.bucket, key, known) for key in missing))
    return Batch(found)


def _missing(bucket: str, key: str, known: pa.Table) -> str:
    """A text about a key that is not listed."""
    rows = known.filter(pc.equal(known.column("key"), key)).to_pylist()
    if not rows:
        return (
            f"the newest inventory of '{bucket}' has no {key!r}: if it is new, list the bucket first: "
            f"fixity inventory {bucket}"
        )
    seen, right = (
        max(filter(None, (row[name] for row in rows for name in names)), default="never")
        for names in (("last_listed_at", "verified_at"), ("good_at",))
    )
    damaged = "; its bytes were known to be damaged" if any(row["damaged_at"] for row in rows) else ""
    return f"{key!r} is gone from '{bucket}': last seen {seen}, last right {right}{damaged}"
