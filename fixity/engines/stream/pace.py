"""How large a shard may be, so that it takes about 20 minutes.

An interrupted one then costs little, and a queue that hands out steps can tell a dead worker from a slow one.
The rate is measured from the checks of the bucket's newest table. Cutting belongs to `shards`.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fixity import compute as pc
from fixity.buckets import DEFAULT_CONCURRENCY
from fixity.catalog import Bucket
from fixity.humanize import bytes_text
from fixity.lake import Lake
from fixity.lake.latest import pointed_table
from fixity.lake.paths import checksums_folder
from fixity.tables import TableUnreadable

SHARD_SECONDS = 20 * 60
SHARD_OBJECTS = 100_000  # where no rate was measured yet
MOST_SHARDS = 1_000  # Dagster becomes slow with more steps
_ENOUGH_SECONDS = 60.0  # a shorter run says little of a rate
_USUAL_BYTES = 50 * 1024**2  # a second, there


@dataclass(frozen=True)
class ShardLimits:
    """What a shard may hold: objects, bytes; and why, for people.

    steps: how many steps may read at once, so that there is a shard for each. most: shards of a plan.
    """

    objects: int
    size: int
    why: str
    steps: int = 1
    most: int = MOST_SHARDS


def usual_limits(steps: int = 1, bandwidth: int | None = None) -> ShardLimits:
    """The limits for a bucket whose rate was never measured. Arguments: as below, and its bytes a second."""
    size = min(_USUAL_BYTES, bandwidth or _USUAL_BYTES) * SHARD_SECONDS // steps
    why = f"at most {SHARD_OBJECTS:,} objects or {bytes_text(size)} each, as no rate was measured yet"
    return ShardLimits(SHARD_OBJECTS, size, why, steps)


def shard_limits(lake: Lake, bucket: Bucket, steps: int, workspace: Path) -> ShardLimits:
    """What one step reads of a bucket in 20 minutes.

    Arguments: `steps` that may read at once, and share the rate and the limits of the bucket: where it allows
    fewer requests than there are steps, there are no more shards than requests. Raises LakeError.
    """
    at_once = bucket.max_concurrency or DEFAULT_CONCURRENCY
    limits = _limits(lake, bucket, min(steps, at_once), workspace)
    return replace(limits, most=at_once) if steps > at_once else limits


def _limits(lake: Lake, bucket: Bucket, steps: int, workspace: Path) -> ShardLimits:
    rate: tuple[float, float] | None = None
    name = pointed_table(lake, checksums_folder(bucket.name))
    with suppress(pa.ArrowException, OSError, KeyError, TableUnreadable):  # others report it
        rate = _measured(lake.fetch(name, workspace)) if name else None
    if rate is None:
        return usual_limits(steps, bucket.max_bandwidth)
    objects, size = (max(1, int(each * SHARD_SECONDS / steps)) for each in rate)
    why = (
        f"at most {objects:,} objects or {bytes_text(size)} each: {SHARD_SECONDS // 60} minutes at the "
        f"measured {rate[0]:,.1f} objects and {bytes_text(rate[1])} a second"
    )
    return ShardLimits(objects, size, why, steps)


def _measured(file: Path) -> tuple[float, float] | None:
    """Objects and bytes a second of all the platform's own reading in a table; None if it was too short.

    The two are of one mix of objects, so each is less than objects of one size would reach: a shard that
    keeps to both limits is rather too short than too long. The time between two runs does not count.
    """
    first: dict[str, datetime] = {}
    last: dict[str, datetime] = {}
    objects = size = 0
    with pq.ParquetFile(file) as table:
        for batch in table.iter_batches(columns=["run_id", "evidence", "checked_at", "bytes_read"]):
            rows = pa.Table.from_batches([batch]).filter(pc.equal(batch.column("evidence"), "streamed"))
            # Few runs have their checks in one table; to group rows takes Arrow 6 ms of imports.
            for run in rows["run_id"].unique().to_pylist():
                of_run = rows.filter(pc.equal(rows["run_id"], run))
                times = pc.min_max(of_run["checked_at"]).as_py()
                if times["min"] is not None:
                    first[run] = min(times["min"], first.get(run, times["min"]))
                    last[run] = max(times["max"], last.get(run, times["max"]))
                    objects += len(of_run) - of_run["checked_at"].null_count
                    size += pc.sum(of_run["bytes_read"]).as_py() or 0
    seconds = sum((last[run] - first[run]).total_seconds() for run in first)
    return (objects / seconds, size / seconds) if seconds >= _ENOUGH_SECONDS else None
