"""Whether an object may have been written since somebody else began to read it.

Reports of others do not say which object they read, beyond its name. So a listing that is newer than the
reading may list another one, though its ETag is the same. Who lists before reading needs no such rule.
"""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa

from fixity import compute as pc

_SHOWN_IN = timedelta(seconds=1)
"""Listings give whole seconds: a write up to a second later shows the same time."""

WRITTEN_SINCE_SQL = f"""
    CREATE OR REPLACE TEMP MACRO written_since(last_modified, began) AS coalesce(
        last_modified + INTERVAL {_SHOWN_IN.total_seconds():.0f} SECOND > began, true
    )
"""
"""Defines `written_since` for DuckDB; see the function of that name."""


def written_since(last_modified: pa.Array | pa.ChunkedArray, began: pa.Scalar) -> pa.Array | pa.ChunkedArray:
    """Whether objects may have been written after `began` (UTC), by the times that a listing has of them.

    An object without a time may have been. Not to be asked of a version that is known by its id: its bytes
    never change, except for the version 'null', which an overwrite replaces.
    """
    return pc.fill_null(pc.greater(pc.add(last_modified, pa.scalar(_SHOWN_IN)), began), True)
