"""The tables of the lake: their columns with types and meaning, and the provenance in each file.

Each schema is defined here once. Writers, readers, the UI's column descriptions and the tests use it.
Writing, finding and comparing tables do not belong here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.clock import EPOCH
from fixity.errors import FixityError
from fixity.version import SOFTWARE, VERSION

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
    _field("etag", pa.string(), "ETag as listed, without quotes; contradictory entries: what they say"),
    _field("last_modified", _UTC, "When the object was written, according to the store (UTC), if known"),
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
"""The columns that inventories and checks have in common."""

CHECKSUMS = pa.schema(
    [
        *_OBJECT,
        *_LISTED,
        _field("algorithm", pa.string(), "Algorithm of the checksum, in S3's spelling", nullable=False),
        _field("checksum_type", pa.string(), "FULL_OBJECT or COMPOSITE"),
        _field("checksum", pa.string(), "Lower-case hex; NULL unless the check succeeded"),
        _field("status", pa.string(), "succeeded, failed or skipped", nullable=False),
        _field(
            "error_code",
            pa.string(),
            "Why the check failed or was skipped, as one word; EtagConflict: only the ETag contradicts; "
            "UnstableRead: two reads gave different bytes",
        ),
        _field("error_message", pa.string(), "The same for people"),
        _field("bytes_read", pa.int64(), "Bytes that were read and hashed", nullable=False),
        _field("evidence", pa.string(), "Who read the bytes: streamed, s3_batch, step_functions"),
        _field(
            "checked_at",
            _UTC,
            "When the check ended, or others began to read (UTC); NULL if there was none",
        ),
        _field("run_id", pa.string(), "The run that made the check", nullable=False),
        _IS_LATEST,
        _field("expected", pa.string(), "The checksum that the bytes were compared with, lower-case hex"),
        _field("expected_algorithm", pa.string(), "Algorithm of the expected checksum"),
        _field("expected_from", pa.string(), "Where it came from: api, manifest, …, or first_seen"),
        _field("verdict", pa.string(), "matched, differs, registered (first checksum) or not_compared"),
        _field("reads", pa.int32(), "How often the bytes were read for this check; NULL: once, by others"),
        _field(
            "other_checksums",
            pa.map_(pa.string(), pa.string()),
            "Checksums of the same read by other algorithms, lower-case hex",
        ),
    ]
)

BASELINES = pa.schema(
    [
        *_OBJECT,
        _field("listed", pa.bool_(), "Whether the bucket has such an object", nullable=False),
        _field("algorithm", pa.string(), "Algorithm of the recorded checksum, in S3's spelling"),
        _field("checksum", pa.string(), "The recorded checksum, lower-case hex; NULL if it is unusable"),
        _field(
            "recorded_as",
            pa.string(),
            "The kind of record: api, manifest, …; NULL: to be checked, but not in the bucket",
        ),
        _field(
            "recorded_in", pa.string(), "Where the record is: the file, the tag, the header", nullable=False
        ),
        _field("rank", pa.int32(), "The strength of the record; the lowest number wins", nullable=False),
        _field("recorded_at", _UTC, "When it was recorded (UTC); of equal ranks the newest wins"),
        _field("problem", pa.string(), "Why the record, or the place to look for it, could not be used"),
        _field("note", pa.string(), "What else is known of the object or of how the record names it"),
        _field("usable_until", _UTC, "The last look at which a record that is no longer usable was (UTC)"),
        _field(
            "is_lost",
            pa.bool_(),
            "Whether it is lost: usable before, or perhaps in what of a manifest cannot be read",
        ),
    ]
)

INGEST = pa.schema(
    [
        *_OBJECT,
        *(field.with_nullable(True) for field in _LISTED),
        _field("result", pa.string(), "MATCHED, NOTMATCHED or SKIPPED (not compared)", nullable=False),
        _field("compared_with", pa.string(), "The kind of record, or none", nullable=False),
        _field("algorithm", pa.string(), "Algorithm of both checksums"),
        _field("checksum", pa.string(), "As computed from the bytes; NULL if they could not be read"),
        _field("expected", pa.string(), "As recorded"),
        _field("recorded_in", pa.string(), "Where the expected checksum is recorded"),
        _field(
            "conflicts",
            pa.int32(),
            "How many other records, of any algorithm, contradict the bytes",
            nullable=False,
        ),
        _field("unusable_records", pa.int32(), "Records that could not be read or understood"),
        _field("status", pa.string(), "Of the read: succeeded, failed, skipped or missing", nullable=False),
        _field("error_code", pa.string(), "Why it could not be read, as one word"),
        _field("detail", pa.string(), "Further details, for people"),
        _field("tags_written", pa.string(), "yes, no, or why not; NULL if no tags were asked for"),
        _field("checked_at", _UTC, "When the read ended, or the object was found missing (UTC)"),
        _field("run_id", pa.string(), "The run that checked it", nullable=False),
        _field(
            "lost_records",
            pa.int32(),
            "How many places had a usable record at an earlier look, or may have one that cannot be read",
        ),
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
        _field("archive", pa.string(), "Its archive: a storage class, or a tier of Intelligent-Tiering"),
        _field("state", pa.string(), "waiting, requested, restored, checked or failed", nullable=False),
        _field("tier", pa.string(), "The requested restore tier"),
        _field("attempts", pa.int64(), "How many times a restore was requested", nullable=False),
        _field("unanswered", pa.int64(), "How many times in a row the store did not answer"),
        _field("requested_at", _UTC, "When the last restore was requested (UTC)"),
        _field("look_again_at", _UTC, "When to look at the restore again (UTC)"),
        _field("restored_until", _UTC, "When the restored copy expires (UTC)"),
        _field("error_code", pa.string(), "Why it failed, as one word"),
        _field("detail", pa.string(), "Further details, for people"),
    ]
)

FINDINGS = pa.schema(
    [
        *_OBJECT,
        _field("looked", pa.bool_(), "Whether nothing is left to look at a second time", nullable=False),
        _field("note", pa.string(), "Why it was not looked at twice, for the row's detail"),
        _field("diagnosis", pa.string(), "Which copy is bad, as one word"),
        _field("diagnosis_rests_on", pa.string(), "The evidence for it, for people"),
        _field("last_agreed_at", _UTC, "When both sides were last known to be the same (UTC)"),
        _field("damaged", pa.list_(pa.string()), "The buckets whose copy is bad, as far as is known"),
    ]
)
"""What was found out about a row of a pair's report that is not right, by the key and version of that row."""

RECORDED = b"fixity-recorded"
"""A key in a table's metadata: a record that proves the table was put before it (`fixity.lake.proof`)."""

INCIDENT_EVENTS = pa.schema(
    [
        _field("incident_id", pa.string(), "The incident", nullable=False),
        _field(
            "event",
            pa.string(),
            "opened, confirmed, diagnosed, repair_asked, repaired, verified, closed or dismissed",
            nullable=False,
        ),
        _field("happened_at", _UTC, "When it happened (UTC)", nullable=False),
        _field("run_id", pa.string(), "The run that says so; NULL for a person"),
        _field("person", pa.string(), "The person who says so; NULL for a run"),
        _field("pair", pa.string(), "The pair whose report found it; NULL for a check of a bucket"),
        _field("bucket", pa.string(), "The bucket whose copy is bad; NULL if unknown"),
        _field("key", pa.string(), "The object's key; NULL for the whole incident"),
        _field("version_id", pa.string(), "The version; NULL where the bucket is unversioned"),
        _field("diagnosis", pa.string(), "Which copy is bad: replica_damaged, source_damaged, …"),
        _field("found", pa.string(), "What the bytes had, as ALGORITHM:hex; NULL if the object is missing"),
        _field("expected", pa.string(), "What the bytes should have, as ALGORITHM:hex, if known"),
        _field("detail", pa.string(), "Further details, for people"),
        _field("reason", pa.string(), "Why it was closed or dismissed, as the person wrote it"),
    ],
    metadata={RECORDED: b"true"},
)

DRILLS = pa.schema(
    [
        _field("drill_id", pa.string(), "The drill", nullable=False),
        _field("seed", pa.int64(), "The number that its plan was drawn from", nullable=False),
        _field("person", pa.string(), "Who began it", nullable=False),
        _field("run_id", pa.string(), "The run that damaged the object", nullable=False),
        _field("key", pa.string(), "The object's key, below the bucket's prefix", nullable=False),
        _field(
            "damage", pa.string(), "one_bit, truncated, swapped, deleted or older_version", nullable=False
        ),
        _field("expected", pa.string(), "The right checksum, as ALGORITHM:hex", nullable=False),
        _field("damaged_at", _UTC, "When the damage began (UTC)", nullable=False),
        _field("due_by", _UTC, "When it must be found, at the latest (UTC)", nullable=False),
        _field("size", pa.int64(), "Size in bytes as listed after the damage; NULL if it is deleted"),
        _field("etag", pa.string(), "ETag as listed after the damage, without quotes"),
        _field("last_modified", _UTC, "When it was written, as listed after the damage (UTC)"),
        _field("found_as", pa.string(), "differs or lost; NULL if it was not found"),
        _field("found_at", _UTC, "When the first check or listing found it (UTC)"),
    ],
    metadata={RECORDED: b"true"},
)

PROVENANCE = b"fixity"
"""The key of a table's provenance in its metadata."""


def this_software() -> str:
    """This software and its version, as written into its tables."""
    return f"{SOFTWARE} {VERSION}"


ARCHIVES = ("GLACIER", "DEEP_ARCHIVE")
"""The storage classes whose objects cannot be read before they are restored. fold.sql names them, too."""

SUCCEEDED, FAILED, SKIPPED = "succeeded", "failed", "skipped"
"""The possible statuses of a check."""

MATCHED, DIFFERS, REGISTERED, NOT_COMPARED = "matched", "differs", "registered", "not_compared"
"""The verdicts on a check: as expected, not as expected, first checksum of its object, not compared."""

FIRST_SEEN = "first_seen"
"""The source of an expected checksum without a record: the first one computed from the bytes."""

OTHER_COPY = "other-copy"
"""The source of one that a pair's other copy confirmed, after the first read had given other bytes."""

NOT_TWICE = "suspect, not looked at twice"
"""The beginning of the message of a check that differs, whose object was not read a second time."""


class TableUnreadable(FixityError):
    """A file of the lake is not a complete table. The message names it and says what to do."""

    def __init__(self, file: Path | str, why: object) -> None:
        reason = " ".join(str(why).split())
        self.fault = f"{file} is not a whole table written by this platform ({reason})"
        """The message without what to do."""
        super().__init__(
            f"{self.fault}: restore it from a copy of the lake, or move it away and materialize the bucket "
            "again"
        )


def columns_of(rows: pa.RecordBatch | pa.Table) -> Iterator[list[Any]]:
    """The columns as lists of Python objects.

    Arrow's `to_pylist` takes six times as long for times, as long as for all other columns.
    """
    for column in rows.columns:
        if pa.types.is_timestamp(column.type):
            since = column.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_pylist()
            yield [None if each is None else EPOCH + timedelta(microseconds=each) for each in since]
        else:
            yield column.to_pylist()


@contextmanager
def naming_the_unreadable(*files: Path) -> Iterator[None]:
    """Reads tables with Arrow or DuckDB, whose errors often do not name the file.

    After an error, the files are read one by one. Raises TableUnreadable for the first unreadable file,
    else the original error.
    """
    try:
        yield
    except Exception:
        for file in files:
            read_through(file)
        raise


def read_through(file: Path) -> None:
    """Read all of a table. Raises TableUnreadable if that is not possible."""
    try:
        with pq.ParquetFile(file) as table:
            for _ in table.iter_batches():
                pass
    except (pa.ArrowException, OSError) as why:
        raise TableUnreadable(file, why) from why


@dataclass(frozen=True)
class Provenance:
    """Where a table comes from, kept in the Parquet footer.

    bucket: the catalog's name. run_id: the run that wrote the file. inventory_run_id: the run whose
    inventory the rows come from (an inventory names its own run; checks of a map name its manifest).
    listed_at: when the listing of that inventory began (UTC); later changes are not in it.
    place: where the bucket was then (`Catalog.place_of`); None in files without it. partial: whether the
    table has only some of the listed objects, for example those that were due. rests_on: the state of the
    ledger when a run over the whole bucket began (`fixity.ledger.carried`), else None. software: the software
    that made the rows, with its version; several are joined by " or "; None in files without it.
    """

    bucket: str
    run_id: str
    inventory_run_id: str
    listed_at: datetime
    place: str | None = None
    partial: bool = False
    rests_on: str | None = None
    software: str | None = field(default_factory=lambda: this_software())

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
        return schema.with_metadata({PROVENANCE: text.encode(), RECORDED: b"true"})

    @classmethod
    def read(cls, file: Path) -> Provenance:
        """The provenance of a table's file.

        Raises TableUnreadable if it is not a table of this platform.
        """
        try:
            metadata = pq.read_schema(file).metadata
        except (pa.ArrowException, OSError, ValueError) as error:
            raise TableUnreadable(file, repr(error)) from error
        return cls.from_metadata(metadata, file)

    @classmethod
    def from_metadata(cls, metadata: Mapping[bytes, bytes] | None, file: Path | str) -> Provenance:
        """The provenance in the metadata of a table.

        Arguments: `file`, its name for error messages.
        Raises TableUnreadable if it is not a table of this platform.
        """
        try:
            fields = json.loads((metadata or {})[PROVENANCE])
            listed_at = datetime.fromisoformat(fields["listed_at"])
            if listed_at.tzinfo is None:
                raise ValueError("a time without its offset")
            return cls(
                bucket=fields["bucket"],
                run_id=fields["run_id"],
                inventory_run_id=fields["inventory_run_id"],
                listed_at=listed_at,
                place=fields.get("place"),
                partial=fields.get("partial", False),
                rests_on=fields.get("rests_on"),
                software=fields.get("software"),
            )
        except (KeyError, ValueError, TypeError, RecursionError) as error:
            raise TableUnreadable(file, repr(error)) from error
