"""Drills as the lake keeps them: `drills/<bucket>/<id>/damaged.parquet`, and `over.parquet` with the result.

Both are put once and never changed. Damaging and finding do not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.humanize import seconds_text
from fixity.lake import Lake
from fixity.lake.paths import drill_file, drills_folder
from fixity.tables import DRILLS

_DAMAGED, _OVER = "damaged", "over"


@dataclass(frozen=True)
class DrillObject:
    """An object of a drill; the fields are columns of DRILLS. Times are in UTC."""

    key: str
    damage: str
    expected: str
    damaged_at: datetime
    due_by: datetime
    size: int | None = None
    etag: str | None = None
    last_modified: datetime | None = None
    found_as: str | None = None
    found_at: datetime | None = None

    def is_missed(self, now: datetime) -> bool:
        """Whether it was not found by the time that it was due."""
        return (self.found_at or now) > self.due_by

    def text(self, now: datetime) -> str:
        """For people: how it was found, or for how long it was not."""
        took = seconds_text(((self.found_at or now) - self.damaged_at).total_seconds())
        late = f", but it was due by {self.due_by:%Y-%m-%d %H:%M} UTC" if self.is_missed(now) else ""
        if self.found_at is not None:
            return f"found ({self.found_as}) after {took}{late}"
        return f"not found after {took}{late or f'; due by {self.due_by:%Y-%m-%d %H:%M} UTC'}"


@dataclass(frozen=True)
class Drill:
    """A drill: its id, the bucket, the seed of its plan, who began it, the run, and its objects by key.

    is_over: all were found, or the time for it has passed.
    """

    id: str
    bucket: str
    seed: int
    person: str
    run_id: str
    objects: Sequence[DrillObject]
    is_over: bool = False

    @property
    def damaged_at(self) -> datetime:
        """When its damage began (UTC)."""
        return self.objects[0].damaged_at

    def missed(self, now: datetime) -> list[DrillObject]:
        """The objects that were not found in time."""
        return [each for each in self.objects if each.is_missed(now)]

    def keep(self, lake: Lake) -> None:
        """Keep it as it is damaged, or as it is over. Raises LakeError."""
        own = {"drill_id": self.id, "seed": self.seed, "person": self.person, "run_id": self.run_id}
        rows = [own | vars(each) for each in self.objects]
        with lake.workspace() as workspace:
            file = workspace / "drill.parquet"
            pq.write_table(pa.Table.from_pylist(rows, DRILLS), file, compression="zstd")
            lake.put(drill_file(self.bucket, self.id, _OVER if self.is_over else _DAMAGED), file)


def drills_of(lake: Lake, bucket: str) -> list[Drill]:
    """All drills of a bucket, the oldest first. Raises LakeError; TableUnreadable if one cannot be proved."""
    newest = {}  # `over` comes after `damaged`
    for file in lake.list(drills_folder(bucket)):
        newest[PurePosixPath(file.name).parent] = file.name
    drills = [_read(lake, bucket, name) for name in newest.values()]
    return sorted(drills, key=lambda each: (each.damaged_at, each.id))


def that_count(drills: Iterable[Drill]) -> list[Drill]:
    """The newest drill that is over, and the one that goes on: a new one turns nothing green."""
    counting: list[Drill] = []
    for each in drills:
        counting = [each] if each.is_over else [*counting, each]
    return counting


def _read(lake: Lake, bucket: str, name: str) -> Drill:
    with lake.workspace() as workspace:
        rows = pq.read_table(lake.fetch(name, workspace)).to_pylist()
    of_objects = DrillObject.__dataclass_fields__
    objects = [DrillObject(**{column: row[column] for column in of_objects}) for row in rows]
    first, is_over = rows[0], PurePosixPath(name).stem == _OVER
    return Drill(first["drill_id"], bucket, first["seed"], first["person"], first["run_id"], objects, is_over)
