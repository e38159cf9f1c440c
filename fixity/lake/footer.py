"""What a table of the lake says of itself, told by its last bytes: a lake on S3 sends no more of it."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.lake import Lake
from fixity.tables import Provenance, TableUnreadable

_ENOUGH = 128 * 1024  # the footer of a table of ten million rows
_MAGIC = b"PAR1"


class Footer(NamedTuple):
    """A table's rows, and where they come from."""

    rows: int
    provenance: Provenance


def read_footer(lake: Lake, name: str) -> Footer:
    """The footer of a table. Raises FileNotFoundError, TableUnreadable, LakeError."""
    end = lake.tail(name, _ENOUGH)
    length = int.from_bytes(end[-8:-4], "little") + 8
    if len(end) == _ENOUGH < length:
        end = lake.tail(name, length)
    try:
        metadata = pq.read_metadata(pa.BufferReader(_MAGIC + end))
    except (pa.ArrowException, OSError) as error:
        raise TableUnreadable(lake.location(name), error) from error
    return Footer(int(metadata.num_rows), Provenance.told_by(metadata.metadata, lake.location(name)))
