"""Reads the rows of both tables within one range of keys, and has them one beside the other.

What the rows say does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from fixity import compute as pc
from fixity.lake.ranges import KeyRange
from fixity.lake.row_groups import RowGroups
from fixity.lake.writer import VARIED
from fixity.reports.beside import Rows, Window, ascend, beside, within
from fixity.reports.columns import SUSPECTS
from fixity.tables import CHECKSUMS

_FEW_VALUES = pa.dictionary(pa.int32(), pa.string())


def _as_read(names: Iterable[str]) -> pa.Schema:
    """Columns of both tables; those with few texts have each of them once."""
    fields = map(CHECKSUMS.field, names)
    return pa.schema(
        field if field.name in VARIED or not pa.types.is_string(field.type) else field.with_type(_FEW_VALUES)
        for field in fields
    )


READ = _as_read(
    [
        *("key", "version_id", "size", "etag", "last_modified", "algorithm", "checksum_type", "checksum"),
        *("status", "error_code", "error_message", "evidence", "checked_at", "is_latest", "verdict"),
    ]
)
"""The columns of both tables by which they are compared; the verdict only if damage is known."""
OF_A_SIDE = [name for name in READ.names if name not in ("key", "version_id", "is_latest", "verdict")]
"""Those that any pair of rows has of each side."""
REST = _as_read(
    name for name in CHECKSUMS.names if name not in OF_A_SIDE and f"source_{name}" in SUSPECTS.names
)
"""All others that suspect rows have of each side."""
OLDER = pa.schema(
    [READ.field(name) for name in ("key", "version_id", "last_modified", "algorithm", "checksum")]
)
"""The columns of older versions by which they are known."""


@dataclass(frozen=True)
class Found:
    """What a range has. windows: its rows, in the order of a report. older: versions of the source that are
    not current, if only current ones are compared; with the columns of OLDER or more."""

    windows: list[Window]
    older: Rows


@dataclass(frozen=True)
class Pairs:
    """Reads pairs of rows. by_version: whether versions are compared, not keys. tables: both sides'. largest:
    how many bytes of a row group, before compression, may be in memory."""

    by_version: bool
    tables: tuple[RowGroups, RowGroups]
    largest: int

    def find(self, keys: KeyRange) -> Found | None:
        """The pairs of a range; None if its tables are not in order, or their row groups are large."""
        both = list(zip(self.tables, keys.rows, strict=True))
        if any(table.largest(*rows) > self.largest for table, rows in both):
            return None
        source, replica = (within(table.rows(*rows), keys.lower, keys.upper) for table, rows in both)
        if source is None or replica is None:
            return None
        older: Rows = []
        if not self.by_version:
            older = _only(source, False)
            source, replica = _only(source, True), _only(replica, True)
        source, replica = ([piece.drop_columns("is_latest") for piece in side] for side in (source, replica))
        if not (ascend(source, self.by_version) and ascend(replica, self.by_version)):
            return None
        windows = beside(source, replica, self.by_version)
        return None if windows is None else Found(windows, older)


def _only(rows: Rows, is_latest: bool) -> Rows:
    """The rows of current versions, or of others."""
    found = []
    for piece in rows:
        which = pc.equal(piece.column("is_latest"), is_latest)
        count = pc.sum(which).as_py()
        if count:
            found.append(piece if count == piece.num_rows else piece.filter(which))
    return found
