"""The tables that the lake keeps: their columns, types and meaning, and what a file says of itself.

A table's schema stands here once; writers, readers, the UI's column descriptions and the tests
take it from here. How tables are written, found and compared does not belong here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.errors import FixityError

# Arrow's own allocator holds on to what was freed: hashing a million objects peaked at 225 MB with it,
# and peaks at 157 MB with the system's.
pa.set_memory_pool(pa.system_memory_pool())

_UTC = pa.timestamp("us", tz="UTC")


def _field(name: str, kind: pa.DataType, meaning: str, nullable: bool = True) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"description": meaning})


_OBJECT = [
    _field("key", pa.string(), "The object's key, below the bucket's prefix", nullable=False),
    _field("version_id", pa.string(), "The version; NULL where the bucket is unversioned"),
]
_IS_LATEST = _field("is_latest", pa.bool_(), "Whether this is the key's current version", nullable=False)
_LISTED = [
    _field("size", pa.int64(), "Size in bytes, as listed", nullable=False),
    _field("etag", pa.string(), "ETag as listed, without quotes"),
    _field("last_modified", _UTC, "When the store says that the object was written (UTC)"),
    _field("storage_class", pa.string(), "Storage class as listed"),
]

INVENTORY = pa.schema(
    [
        *_OBJECT,
        _IS_LATEST,
        *_LISTED,
        _field("checksum_algorithm", pa.string(), "Algorithms of stored checksums, as listed"),
    ]
)

LISTED_COLUMNS = tuple(field.name for field in (*_OBJECT, _IS_LATEST, *_LISTED))
"""The columns in which an inventory and a check say the same of an object."""

CHECKSUMS = pa.schema(
    [
        *_OBJECT,
        *_LISTED,
        _field("algorithm", pa.string(), "Algorithm of the checksum, in S3's spelling", nullable=False),
        _field("checksum_type", pa.string(), "FULL_OBJECT or COMPOSITE"),
        _field("checksum", pa.string(), "Lower-case hex; NULL unless the check succeeded"),
        _field("status", pa.string(), "succeeded, failed or skipped", nullable=False),
        _field("error_code", pa.string(), "Why the check failed or was skipped, as one word"),
        _field("error_message", pa.string(), "Why the check failed or was skipped, for people"),
        _field("bytes_read", pa.int64(), "Bytes that were read and hashed", nullable=False),
        _field("evidence", pa.string(), "What the checksum rests on: streamed, s3_batch, step_functions"),
        _field("checked_at", _UTC, "When the check ended (UTC); NULL where there was none"),
        _field("run_id", pa.string(), "The run that made the check", nullable=False),
        _IS_LATEST,
        _field("expected", pa.string(), "The checksum that the bytes were held against, lower-case hex"),
        _field("expected_algorithm", pa.string(), "Algorithm of the expected checksum"),
        _field("expected_from", pa.string(), "Where it came from: api, manifest, …, or first_seen"),
        _field("verdict", pa.string(), "matched, differs, registered (first checksum) or not_compared"),
        _field("reads", pa.int32(), "How often the platform read the bytes for this check"),
        _field(
            "other_checksums",
            pa.map_(pa.string(), pa.string()),
            "Checksums of the same reading by other algorithms, lower-case hex",
        ),
    ]
)

BASELINES = pa.schema(
    [
        *_OBJECT,
        _field("listed", pa.bool_(), "Whether the bucket has such an object", nullable=False),
        _field("algorithm", pa.string(), "Algorithm of the recorded checksum, in S3's spelling"),
        _field("checksum", pa.string(), "The recorded checksum, lower-case hex; NULL where it is unusable"),
        _field(
            "recorded_as",
            pa.string(),
            "api, manifest, object-tagging, …; NULL: named to be checked, not there",
        ),
        _field("recorded_in", pa.string(), "Where it stands: the file, the tag, the header", nullable=False),
        _field("rank", pa.int32(), "The order in which records are taken; the lowest first", nullable=False),
        _field("recorded_at", _UTC, "When it was given (UTC): of those of one rank the newest is taken"),
        _field("problem", pa.string(), "Why the record, or where it should be, could not be used"),
    ]
)

INGEST = pa.schema(
    [
        *_OBJECT,
        *(field.with_nullable(True) for field in _LISTED),
        _field("result", pa.string(), "MATCHED, NOTMATCHED or SKIPPED (not compared)", nullable=False),
        _field("compared_with", pa.string(), "Which kind of record, or none", nullable=False),
        _field("algorithm", pa.string(), "Algorithm of both checksums"),
        _field("checksum", pa.string(), "As computed from the bytes; NULL unless they could be read"),
        _field("expected", pa.string(), "As recorded"),
        _field("recorded_in", pa.string(), "Where the expected checksum stands"),
        _field("conflicts", pa.int32(), "Other records that contradict, of any algorithm", nullable=False),
        _field("unusable_records", pa.int32(), "Records that could not be read or understood"),
        _field(
            "status", pa.string(), "Of the reading: succeeded, failed or skipped; missing", nullable=False
        ),
        _field("error_code", pa.string(), "Why it could not be read, as one word"),
        _field("detail", pa.string(), "What else there is to say, for people"),
        _field("tags_written", pa.string(), "yes, no, or why not; NULL where none were to be written"),
        _field("checked_at", _UTC, "When the reading ended, or it was found missing (UTC)"),
        _field("run_id", pa.string(), "The run that checked it", nullable=False),
    ]
)

TAGS = pa.schema(
    [
        *_OBJECT,
        _field("tags_written", pa.string(), "yes, or why not", nullable=False),
    ]
)

RESTORED = pa.schema(
    [
        *_OBJECT,
        _field("size", pa.int64(), "Size in bytes, as listed", nullable=False),
        _field("etag", pa.string(), "ETag as listed, without quotes"),
        _field("storage_class", pa.string(), "Storage class as listed", nullable=False),
        _field("archive", pa.string(), "Where it lies: a storage class, or a tier of Intelligent-Tiering"),
        _field("state", pa.string(), "waiting, requested, restored, checked or failed", nullable=False),
        _field("tier", pa.string(), "The tier that was asked for"),
        _field("attempts", pa.int64(), "How many times a restore was asked for", nullable=False),
        _field("unanswered", pa.int64(), "Looks, one after the other, that the store did not answer"),
        _field("requested_at", _UTC, "When it was asked for last (UTC)"),
        _field("look_again_at", _UTC, "When to look what became of it (UTC)"),
        _field("restored_until", _UTC, "Until when the restored copy is there (UTC)"),
        _field("error_code", pa.string(), "Why it failed, as one word"),
        _field("detail", pa.string(), "What else there is to say, for people"),
    ]
)

SOFTWARE = "fixity-platform"


def this_software() -> str:
    """This software and its version, as the tables that it writes name it."""
    try:
        return f"{SOFTWARE} {version(SOFTWARE)}"
    except PackageNotFoundError:  # a copy of the sources that was never installed
        return f"{SOFTWARE}, not installed"


SUCCEEDED, FAILED, SKIPPED = "succeeded", "failed", "skipped"
"""The three ends of a check."""

MATCHED, DIFFERS, REGISTERED, NOT_COMPARED = "matched", "differs", "registered", "not_compared"
"""The verdicts on a check: as expected, not as expected, the first of its object, held against nothing."""

FIRST_SEEN = "first_seen"
"""Where an expected checksum comes from that is no record: the first one computed from the bytes."""


class TableUnreadable(FixityError):
    """A file of the lake is no whole table. The message names it and says what to do."""

    def __init__(self, file: Path | str, why: object) -> None:
        reason = " ".join(str(why).split())
        super().__init__(
            f"{file} is not a whole table written by this platform ({reason}): restore it from a copy of the "
            "lake, or move it away and materialize the bucket anew"
        )


@contextmanager
def naming_the_unreadable(*files: Path) -> Iterator[None]:
    """Reading tables by Arrow or DuckDB, whose errors often do not say which file was at fault.

    Only after an error the files are read through. Raises TableUnreadable for the first that cannot be,
    else the error as it was.
    """
    try:
        yield
    except Exception:
        for file in files:
            try:
                with pq.ParquetFile(file) as table:
                    for _ in table.iter_batches():
                        pass
            except (pa.ArrowException, OSError) as why:
                raise TableUnreadable(file, why) from why
        raise


@dataclass(frozen=True)
class Provenance:
    """What a table's file says of itself, kept in the Parquet footer.

    bucket: the catalog's name. run_id: the run that wrote the file. inventory_run_id: the run whose
    inventory the rows come from (an inventory names itself; checks of a map, its manifest).
    listed_at: when the listing of that inventory began (UTC): what changed later could not be seen.
    place: where the bucket was then, as the catalog said (`Catalog.place_of`); None in files that do
    not say it. partial: whether it was made of some of the listed objects, whichever were due.
    rests_on: what the ledger said when a run over the whole bucket began (`fixity.ledger.known`), else None.
    software: what made the rows, with its version, of checks what made these; several are joined by
    " or "; None in files that do not say it.
    """

    bucket: str
    run_id: str
    inventory_run_id: str
    listed_at: datetime
    place: str | None = None
    partial: bool = False
    rests_on: str | None = None
    software: str | None = field(default_factory=lambda: this_software())

    _KEY = b"fixity"

    def attach(self, schema: pa.Schema) -> pa.Schema:
        """The schema with this provenance in its metadata."""
        text = json.dumps(
            {
                "bucket": self.bucket,
                "run_id": self.run_id,
                "inventory_run_id": self.inventory_run_id,
                "listed_at": self.listed_at.astimezone(UTC).isoformat(),
                "place": self.place,
                "partial": self.partial,
                "rests_on": self.rests_on,
                "software": self.software,
            }
        )
        return schema.with_metadata({self._KEY: text.encode()})

    @classmethod
    def read(cls, file: Path) -> Provenance:
        """The provenance of a table's file.

        Raises TableUnreadable when it is no table of this platform.
        """
        try:
            metadata = pq.read_schema(file).metadata
        except (pa.ArrowException, OSError, ValueError) as error:
            raise TableUnreadable(file, repr(error)) from error
        return cls.told_by(metadata, file)

    @classmethod
    def told_by(cls, metadata: Mapping[bytes, bytes] | None, file: Path | str) -> Provenance:
        """The provenance in the metadata of a table, `file` for people.

        Raises TableUnreadable when it is no table of this platform.
        """
        try:
            said = json.loads((metadata or {})[cls._KEY])
            return cls(
                bucket=said["bucket"],
                run_id=said["run_id"],
                inventory_run_id=said["inventory_run_id"],
                listed_at=datetime.fromisoformat(said["listed_at"]),
                place=said.get("place"),
                partial=said.get("partial", False),
                rests_on=said.get("rests_on"),
                software=said.get("software"),
            )
        except (KeyError, ValueError) as error:
            raise TableUnreadable(file, repr(error)) from error
