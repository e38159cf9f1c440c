"""A table's number of rows and its provenance, without reading the table: a lake on S3 sends little.

They come from its proof, or from the last bytes of a file of an earlier version. Reading rows does not belong
here.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.lake import Lake
from fixity.lake.proof import NoProof, lost
from fixity.lake.row_groups import column_of_group
from fixity.tables import PROVENANCE, RECORDED, Provenance, TableUnreadable

_ENOUGH = 128 * 1024  # the footer of a table of ten million rows
_MAGIC = b"PAR1"


class Footer(NamedTuple):
    """A table's number of rows, and where they come from."""

    rows: int
    provenance: Provenance


def read_footer(lake: Lake, name: str) -> Footer:
    """Read what the footer of a table says. Raises FileNotFoundError, TableUnreadable, LakeError."""
    location = lake.location(name)
    try:
        proof = lake.proof(name)
        if proof is None:
            metadata = _metadata(lake, name)
            if RECORDED in (metadata.metadata or {}):
                raise lost(name)
        elif proof.replaces:  # either file may be there
            with lake.workspace() as workspace:
                metadata = pq.read_metadata(lake.fetch(name, workspace))
        else:
            said = {PROVENANCE: (proof.provenance or "").encode()}
            return Footer(proof.rows or 0, Provenance.from_metadata(said, location))
    except (pa.ArrowException, NoProof) as error:
        raise TableUnreadable(location, error) from error
    return Footer(int(metadata.num_rows), Provenance.from_metadata(metadata.metadata, location))


def _metadata(lake: Lake, name: str) -> pq.FileMetaData:
    end = lake.tail(name, _ENOUGH)
    length = int.from_bytes(end[-8:-4], "little") + 8
    if len(end) == _ENOUGH < length:
        end = lake.tail(name, length)
    try:
        return pq.read_metadata(pa.BufferReader(_MAGIC + end))
    except (OSError, pa.ArrowException) as error:
        raise TableUnreadable(lake.location(name), error) from error


def newest_time(lake: Lake, name: str) -> datetime:
    """The newest time in a table (UTC): of its listing, or of its checks. Raises as `read_footer`."""
    metadata = _metadata(lake, name)
    return newest_in(metadata, Provenance.from_metadata(metadata.metadata, lake.location(name)).listed_at)


def oldest_in(metadata: pq.FileMetaData) -> datetime | None:
    """The oldest time of a table's checks (UTC); None where its footer does not tell it of all rows."""
    times = _times(metadata)
    is_whole = len(times) == metadata.num_row_groups and not any(each.null_count for each in times)
    return min((each.min for each in times), default=None) if is_whole else None


def newest_in(metadata: pq.FileMetaData, listed_at: datetime) -> datetime:
    """The newest time of a table's checks (UTC); of a table without any, when it was listed."""
    return max((each.max for each in _times(metadata)), default=listed_at)


def _times(metadata: pq.FileMetaData) -> list[pq.Statistics]:
    """The times (UTC) of the checks of each row group of which the footer tells them."""
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    times = [column_of_group(group, "checked_at") for group in groups]
    found = [each.statistics for each in times if each is not None and each.is_stats_set]
    return [each for each in found if each.has_min_max]
