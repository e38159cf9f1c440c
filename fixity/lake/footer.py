"""Reads a table's footer from its last bytes, so that a lake on S3 sends only these.

Reading rows does not belong here.
"""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.lake import Lake
from fixity.tables import Provenance, TableUnreadable

_ENOUGH = 128 * 1024  # the footer of a table of ten million rows
_MAGIC = b"PAR1"


class Footer(NamedTuple):
    """A table's number of rows, and where they come from."""

    rows: int
    provenance: Provenance


def read_footer(lake: Lake, name: str) -> Footer:
    """Read the footer of a table. Raises FileNotFoundError, TableUnreadable, LakeError."""
    end = lake.tail(name, _ENOUGH)
    length = int.from_bytes(end[-8:-4], "little") + 8
    if len(end) == _ENOUGH < length:
        end = lake.tail(name, length)
    try:
        metadata = pq.read_metadata(pa.BufferReader(_MAGIC + end))
    except (pa.ArrowException, OSError) as error:
        raise TableUnreadable(lake.location(name), error) from error
    return Footer(int(metadata.num_rows), Provenance.from_metadata(metadata.metadata, lake.location(name)))
