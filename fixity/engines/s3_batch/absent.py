"""Looks for objects that a report does not name or did not find: were they deleted or overwritten?

A deleted object is not missing in a replica. Judging the rows of a report does not belong here.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from fixity import compute as pc
from fixity.buckets import ListedObject
from fixity.buckets.base import CHANGED, DELETED
from fixity.clock import utc_now
from fixity.tables import CHECKSUMS, SKIPPED

MOST = 100_000
"""At most this many objects of a report are looked for, in about two minutes; other rows stay as they are."""

NOT_IN_REPORT = "NotInReport"
_THREADS = 16
_SETTLED = pa.schema(
    [CHECKSUMS.field(name) for name in ("status", "error_code", "error_message", "checked_at")]
)
"""The columns that may change. These rows have no checksum, so their verdict stays the same."""

Find = Callable[[str, str | None], ListedObject | None]
"""Finds an object by key and version id as it is listed now, or None: `BucketReader.find`."""


class Absentees:
    """Looks for the absent objects of a report's checks, table by table.

    Arguments: `find`; without it, all checks stay as they are.
    """

    def __init__(self, find: Find | None) -> None:
        self._find = find
        self._left = MOST

    def settle(self, checks: pa.Table) -> pa.Table:
        """The checks; those of objects that were deleted or overwritten become skipped ones.

        Raises BucketUnreachable.
        """
        if self._find is None:
            return checks
        absent = pc.or_kleene(
            pc.equal(checks.column("error_code"), NOT_IN_REPORT),
            pc.ends_with(checks.column("error_message"), "(404)"),
        )
        absent = absent.combine_chunks().fill_null(False)
        chosen = pc.and_(absent, pc.less_equal(pc.cumulative_sum(absent.cast(pa.int64())), self._left))
        rows = checks.filter(chosen).to_pylist()
        if not rows:
            return checks
        self._left -= len(rows)
        with ThreadPoolExecutor(_THREADS) as pool:
            settled = pa.Table.from_pylist(list(pool.map(self._row, rows)), _SETTLED)
        for name in _SETTLED.names:
            column = pc.replace_with_mask(
                checks.column(name).combine_chunks(), chosen, settled.column(name).combine_chunks()
            )
            place = checks.schema.get_field_index(name)
            checks = checks.set_column(place, checks.schema.field(place), column)
        return checks

    def _row(self, row: dict[str, Any]) -> dict[str, Any]:
        assert self._find is not None
        found = self._find(row["key"], row["version_id"])
        if found is not None and row["etag"] in (None, found.etag):
            return row
        code, change = (DELETED, "deleted") if found is None else (CHANGED, "overwritten")
        return {
            **row,
            "status": SKIPPED,
            "error_code": code,
            "error_message": f"the object was {change} since it was listed",
            "checked_at": utc_now(),
        }
