"""Joins a report's staged rows with the inventory, one range of keys after the other.

`join.sql` decides between several rows for one object. Judging a row by itself belongs to `stage`.
"""

from __future__ import annotations

import binascii
from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fixity import compute as pc
from fixity.clock import CLOCKS_AGREE
from fixity.engines.s3_batch.job_records import JobRecord
from fixity.engines.s3_batch.staged import Staged
from fixity.in_order import in_order, processors
from fixity.lake.database import open_database
from fixity.lake.ranges import KeyRange
from fixity.lake.writer import rows_of
from fixity.ledger.bucket_run import BucketRun
from fixity.ledger.judge import EXPECTATIONS, dated, judged
from fixity.ledger.written_since import written_since
from fixity.tables import CHECKSUMS, FAILED, SKIPPED, SUCCEEDED

_MEMORY = "500MB"
_SQL = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")

_RESULT = ("etag", "checksum_type", "checksum", "error_code", "error_message")
_NOT_NAMED = (
    "NotInReport",
    "the report of S3 does not name it: deleted since it was listed, or not asked for",
)
_OVERWRITTEN = ("ChangedSinceListed", "the object was overwritten since it was listed")
_WRITTEN_SINCE = (
    "WrittenSinceRead",
    "the object was written after the job began: it is not known whether the job read it",
)

Joined = tuple[pa.Table, pa.ChunkedArray | None]
"""Rows of the ledger with their verdicts, and what is expected of each object."""


class ReadBetween(NamedTuple):
    """The time (UTC) at which a job began, before it read anything, and that of its report.

    ahead: by how much the beginning may be too late by our clock.
    """

    began: datetime
    told: datetime
    ahead: timedelta = CLOCKS_AGREE


@dataclass(frozen=True)
class Sides:
    """The two sides of the join, in the same ranges of keys. inventory: a local file. staged: the report."""

    inventory: Path
    staged: Staged
    ranges: list[KeyRange]


def joined(
    sides: Sides, run: BucketRun, job: JobRecord, times: ReadBetween, workspace: Path
) -> Generator[Joined]:
    """The checks of each range of keys in order, and what is expected; only a few ranges are joined ahead.

    Arguments: `times`, between which the job read the objects.
    """
    footer = pq.read_metadata(sides.inventory)

    by_version = run.bucket.versions == "all"

    def join(number: int) -> Joined:
        listed = _listed(sides.inventory, footer, sides.ranges[number])
        reported = sides.staged.of_range(number)
        by_id = by_version or (_has_ids(listed) and _has_ids(reported))
        listed, found = _met(listed, reported, by_id, workspace / f"join-{number}")
        if job.objects is not None:  # a job over some objects says nothing of others
            listed, found = listed.filter(found["is_named"]), found.filter(found["is_named"])
        return _checks(listed, found, job, times, by_id, run.run_id)

    yield from in_order(join, range(len(sides.ranges)), processors())


def _listed(inventory: Path, footer: pq.FileMetaData, keys: KeyRange) -> pa.Table:
    """The rows of the inventory within a range of keys."""
    ((first, last),) = keys.rows
    with pq.ParquetFile(inventory, metadata=footer) as file:
        rows = rows_of(file, first, last - first + 1)
    within = pc.greater_equal(rows["key"], keys.lower)
    if keys.upper is not None:
        within = pc.and_(within, pc.less(rows["key"], keys.upper))
    return (rows if pc.all(within, min_count=0).as_py() else rows.filter(within)).combine_chunks()


def _has_ids(rows: pa.Table) -> bool:
    """Whether rows name versions. A listing of current versions may do so, as inventories of S3 do."""
    versions = rows["version_id"]
    if versions.null_count == len(versions):
        return False
    return bool(pc.any(pc.invert(pc.is_in(versions, pa.array([None, "", "null"])))).as_py())


def _met(listed: pa.Table, reported: pa.Table, by_id: bool, workspace: Path) -> tuple[pa.Table, pa.Table]:
    """The listed objects, and the report's result for each: NULL if it has none, which `is_named` tells."""
    objects, of_rows = _objects(listed, by_id), _objects(reported, by_id)
    order = pc.sort_indices(of_rows)
    ordered = of_rows.take(order)
    if pc.any(pc.equal(ordered[:-1], ordered[1:]), min_count=0).as_py():
        return _chosen(listed, reported, by_id, workspace)
    if not ordered.equals(objects):
        place = pc.search_sorted(ordered, objects)
        place = pc.if_else(pc.less(place, len(ordered)), place, None)
        is_there = pc.equal(ordered.take(place), objects)
        order = order.take(pc.if_else(is_there, place, None))
    return listed, _results(reported, order)


def _results(reported: pa.Table, rows: pa.Array) -> pa.Table:
    columns = {name: reported[name].combine_chunks().take(rows) for name in _RESULT}
    return pa.table(columns | {"is_named": rows.is_valid()})


def _objects(rows: pa.Table, by_id: bool) -> pa.Array:
    """What rows of both sides have in common if they are of the same object."""
    keys = rows["key"].combine_chunks()
    if not by_id:
        return keys
    version = pc.fill_null(rows["version_id"].combine_chunks(), "")
    version = pc.if_else(pc.equal(version, "null"), "", version)  # 'null' dates from before versioning
    return pc.binary_join_element_wise(keys, version, "\0")


def _chosen(listed: pa.Table, reported: pa.Table, by_id: bool, workspace: Path) -> tuple[pa.Table, pa.Table]:
    """The same for a range in which the report has several rows for an object."""
    with open_database(workspace, _MEMORY, threads=1) as database:
        rows = listed.select(["key", "version_id", "etag"])
        database.register("listed_rows", _numbered(rows, "listed_row"))
        database.register("reported_rows", _numbered(reported, "reported_row"))
        chosen = database.execute(_SQL, {"by_version": by_id}).to_arrow_table()
    found = _results(reported, chosen["reported_row"].combine_chunks())
    for name in ("error_code", "error_message"):
        found = found.set_column(found.schema.get_field_index(name), name, chosen[name])
    return listed.take(chosen["listed_row"]), found


def _numbered(rows: pa.Table, name: str) -> pa.Table:
    return rows.append_column(name, pa.arange(0, rows.num_rows))


def _checks(
    listed: pa.Table, found: pa.Table, job: JobRecord, times: ReadBetween, by_id: bool, run_id: str
) -> Joined:
    """The checks of listed objects, from the report's row for each."""
    when = pa.scalar(times.began, CHECKSUMS.field("checked_at").type)
    is_named = found["is_named"]
    is_same = pc.fill_null(pc.equal(found["etag"], listed["etag"]), False)
    is_same = pc.and_(is_named, pc.or_(is_same, listed["etag"].is_null()))
    is_late = None
    if job.token is None:  # a job of others: what we submit, we list before
        is_late = pc.and_(is_same, _written_since(listed, when, by_id))
        is_same = pc.and_(is_same, pc.invert(is_late))
    status = pc.if_else(is_same, SUCCEEDED, SKIPPED)
    status = pc.if_else(found["error_code"].is_valid(), FAILED, status)
    columns = {name: listed[name] for name in CHECKSUMS.names if name in listed.column_names}
    same = {"algorithm": job.algorithm, "evidence": "s3_batch", "run_id": run_id, "checked_at": when}
    columns |= {name: pa.repeat(value, found.num_rows) for name, value in same.items()}
    columns |= {
        "checksum_type": found["checksum_type"],
        "checksum": _hex(found["checksum"]),
        "status": status,
        "error_code": found["error_code"],
        "error_message": found["error_message"],
        "bytes_read": listed["size"],
    }
    succeeded = pc.equal(status, SUCCEEDED)
    if not pc.all(succeeded, min_count=0).as_py():
        skipped = pc.equal(status, SKIPPED)
        columns["bytes_read"] = pc.if_else(succeeded, listed["size"], 0)
        columns["checked_at"] = pc.if_else(skipped, pa.scalar(None, when.type), when)
        for name in ("checksum_type", "checksum"):
            columns[name] = pc.if_else(succeeded, columns[name], None)
        for place, name in enumerate(("error_code", "error_message")):
            why = pc.if_else(is_named, _OVERWRITTEN[place], _NOT_NAMED[place])
            if is_late is not None:
                why = pc.if_else(is_late, _WRITTEN_SINCE[place], why)
            columns[name] = pc.if_else(skipped, why, columns[name])
    expected = listed[EXPECTATIONS.name] if EXPECTATIONS.name in listed.column_names else None
    told = pa.scalar(times.told, when.type)
    return dated(judged(pa.table(columns), expected), told, times.ahead), expected


def _written_since(listed: pa.Table, began: pa.Scalar, by_id: bool) -> pa.ChunkedArray:
    late = written_since(listed["last_modified"], began)
    if not by_id:
        return late
    is_fixed = pc.not_equal(pc.fill_null(listed["version_id"], "null"), "null")
    return pc.and_(late, pc.invert(is_fixed))


def _hex(checksums: pa.ChunkedArray) -> pa.Array:
    """Checksums in lower-case hex; any text for NULL."""
    values = checksums.combine_chunks()
    octets, count = values.type.byte_width, len(values)
    content = memoryview(values.buffers()[1])[values.offset * octets :][: count * octets]
    ends = pa.arange(0, 2 * octets * count + 1, 2 * octets).cast(pa.int32()).buffers()[1]
    return pa.Array.from_buffers(pa.string(), count, [None, ends, pa.py_buffer(binascii.hexlify(content))])
