"""The table of a snapshot, and the note that says which one is in force.

standing/<bucket>/NEWEST.json                       the note, replaced as a whole
standing/<bucket>/<generation>/00000/               the first part, by key; more of a large bucket follow
standing/<bucket>/<generation>/…/objects.parquet    a row an object, sorted by key: see `repeats`
standing/<bucket>/<generation>/…/blocks.bin         the same rows, for who wants a few keys: see `blocks`
standing/<bucket>/<generation>/…/blocks.parquet     what is where in it
standing/<bucket>/<generation>/queue.parquet        the first of those to be checked, in that order
standing/<bucket>/<generation>/damaged.parquet      the damaged ones
standing/<bucket>/<generation>/unread.parquet       those that could not be read when they were last checked
standing/<bucket>/<generation>/lost.parquet         those that are gone, or were when they were to be read
standing/<bucket>/<generation>/since/…              rows that rolling runs have changed since
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import pyarrow as pa

from fixity.lake import Lake
from fixity.lake.paths import snapshot_folder
from fixity.lake.proof import sealed, unsealed
from fixity.tables import CHECKSUMS, Provenance

_UTC = pa.timestamp("us", tz="UTC")
_SINCE = "%Y%m%dT%H%M%S%z"


def _field(name: str, kind: pa.DataType, meaning: str) -> pa.Field:
    return pa.field(name, kind, metadata={"description": meaning})


SNAPSHOT = pa.schema(
    [
        *(column.with_nullable(True) for column in CHECKSUMS),
        _field("listed", pa.bool_(), "Whether the newest inventory has it"),
        _field("listed_since", _UTC, "The first listing that had it, as far as is known"),
        _field("last_listed_at", _UTC, "The last listing that had it, as far as is known"),
        _field("left_out", pa.string(), "Why it is never chosen: archived"),
        _field("baseline", pa.string(), "The checksum to go by, of the bucket's own algorithm"),
        _field("baseline_algorithm", pa.string(), "Its algorithm"),
        _field("baseline_from", pa.string(), "first_seen, or the kind of record that proved it"),
        _field("baseline_at", _UTC, "When it was registered"),
        _field("baseline_run", pa.string(), "By which run"),
        _field("record", pa.string(), "A checksum of another algorithm that has yet to prove the baseline"),
        _field("record_algorithm", pa.string(), "Its algorithm"),
        _field("record_from", pa.string(), "Where it comes from: first_seen, or a kind of record"),
        _field("verified_at", _UTC, "When its bytes were last read, right or wrong"),
        _field("good_at", _UTC, "When they were last seen to be right"),
        _field("damaged_at", _UTC, "When they were first seen to be wrong since; NULL where they are right"),
        _field("found_at", _UTC, "When they were last seen to be wrong"),
        _field("found", pa.string(), "The checksum that differs"),
        _field("found_algorithm", pa.string(), "Its algorithm"),
        _field("found_against", pa.string(), "The checksum that it differs from"),
        _field("found_from", pa.string(), "Where that one comes from"),
        _field("failures", pa.int32(), "Checks without a result since the last with one"),
        _field("due_at", _UTC, "When it is to be checked next; NULL for at once, since it never was"),
    ]
)
"""A row an object version, as last written; the first columns are its newest check's."""


FORMAT = 7
"""Raised when SNAPSHOT changes, or how it is written: a snapshot of another format is rebuilt."""


OBJECTS = "objects"
"""The table of all rows."""
BLOCKS, INDEX = "blocks.bin", "blocks.parquet"
"""The files of a part with its rows in blocks, and of what is where in them."""
OF_PART = (f"{OBJECTS}.parquet", BLOCKS, INDEX)
"""The files of a part."""
CHOSEN = ("queue", "damaged", "unread", "lost")
"""The tables with some of the rows of all parts."""


class Since(NamedTuple):
    """A file of rows that a run changed after the snapshot: its name has the time (UTC) and the run."""

    name: str
    number: int
    at: datetime
    rows: int
    run_id: str

    @classmethod
    def read(cls, name: str) -> Since:
        """Read the name of such a file."""
        number, at, rows, run_id = PurePosixPath(name).stem.split("_", 3)
        return cls(name, int(number), datetime.strptime(at, _SINCE), int(rows), run_id)

    @classmethod
    def called(cls, snapshot: Snapshot, number: int, at: datetime, rows: int, run_id: str) -> str:
        """The name of such a file in the lake."""
        return f"{snapshot.folder}since/{number:06d}_{at.strftime(_SINCE)}_{rows}_{run_id}.parquet"


@dataclass(frozen=True)
class Snapshot:
    """A snapshot in force: which inventory and which files of the ledger it was folded from.

    format: which columns its tables have (FORMAT). generation: its folder's name. folded_at: when (UTC).
    every: the term in seconds, by which `due_at` was reckoned. objects: rows that are listed. never: those of
    them without any check when it was folded. rows: all rows.
    queued: rows of the queue. folded: the ledger's files in it, by name without folder and ending,
    with their sizes in bytes. ingested: the same of ingest's tables. left_out: the files that could not
    be read, by name, with size and why. read_by_day: bytes read a day (UTC). place: where the bucket was
    when it was listed. doubted: rows with timestamps in the future; treated as 1970. etag_is_md5: whether
    checks that were compared with an ETag count as that.
    due_by: what besides the term says when an object is due (`Settings.due_by`).
    not_proved: those of the folded files that had no proof, because an earlier version wrote them.
    cuts: the first key of each part but the first.
    """

    format: int
    bucket: str
    generation: str
    inventory_run_id: str
    listed_at: str
    folded_at: str
    every: float
    algorithm: str
    objects: int
    never: int
    rows: int
    queued: int
    folded: dict[str, int]
    ingested: dict[str, int]
    left_out: dict[str, tuple[int, str]] = field(default_factory=dict)
    read_by_day: dict[str, int] = field(default_factory=dict)
    place: str | None = None
    doubted: int = 0
    etag_is_md5: bool = True
    not_proved: list[str] = field(default_factory=list)
    due_by: str = ""
    cuts: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, values: dict[str, Any]) -> Snapshot:
        """The snapshot of the values of a JSON text. Raises TypeError, ValueError, KeyError."""
        left_out = {name: (size, why) for name, (size, why) in values["left_out"].items()}
        return cls(**values | {"left_out": left_out})

    @property
    def folder(self) -> str:
        """Its folder in the lake."""
        return f"{snapshot_folder(self.bucket)}{self.generation}/"

    @property
    def provenance(self) -> Provenance:
        """What tables made from it say of themselves."""
        listed_at = datetime.fromisoformat(self.listed_at)
        return Provenance(self.bucket, self.generation, self.inventory_run_id, listed_at, self.place)

    @property
    def parts(self) -> list[str]:
        """The folders in the lake of its parts, by key."""
        return [f"{self.folder}{number:05}/" for number in range(len(self.cuts) + 1)]

    def names(self, table: str) -> list[str]:
        """The names in the lake of the files of one of its tables: objects, or one of CHOSEN."""
        return [f"{folder}{table}.parquet" for folder in (self.parts if table == OBJECTS else [self.folder])]

    def files_of(self, number: int) -> list[str]:
        """The names in the lake of the files of a part."""
        return [f"{self.parts[number]}{name}" for name in OF_PART]

    @property
    def files(self) -> list[str]:
        """The names in the lake of all that were folded."""
        of_parts = [name for number in range(len(self.parts)) for name in self.files_of(number)]
        return of_parts + [name for table in CHOSEN for name in self.names(table)]

    def since(self, lake: Lake) -> list[Since]:
        """The files of rows that have changed since, oldest first. Raises LakeError."""
        return [Since.read(file.name) for file in lake.list(f"{self.folder}since/")]

    def put_in_force(self, lake: Lake) -> None:
        """Put it in force. Raises LakeError."""
        lake.put_text(_note(self.bucket), sealed(asdict(self)), replace=True)

    def remove(self, lake: Lake) -> None:
        """Remove it, which is derived. None is in force then, unless another one is. Raises LakeError."""
        newest = in_force(lake, self.bucket)
        if newest is not None and newest.generation == self.generation:
            lake.discard(_note(self.bucket))
        lake.remove(self.folder)


def in_force(lake: Lake, bucket: str) -> Snapshot | None:
    """A bucket's snapshot, None where there is none or only what another version of this wrote.

    Raises LakeError.
    """
    try:
        snapshot = Snapshot.of(unsealed(lake.read_text(_note(bucket))))
        return snapshot if snapshot.format == FORMAT else None
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def _note(bucket: str) -> str:
    return f"{snapshot_folder(bucket)}NEWEST.json"
