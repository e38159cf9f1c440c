"""Folding sorted tables into a new table of a snapshot, range by range: memory does not grow with them.

Plain objects are folded in `fold_plain`, in threads; all others by the statement in `fold`. Where the tables
come from, and what is made of the new one, is in `fold_all`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from fixity import compute as pc
from fixity.clock import CLOCKS_DIFFER
from fixity.in_order import in_order, processors
from fixity.lake.database import view
from fixity.lake.writer import ROW_GROUP_ROWS, parquet_writer
from fixity.ledger.blocks import BlocksWriter
from fixity.ledger.by_key import ByKey, Keys, ranges_of, sorted_copy, tables_by_key
from fixity.ledger.files import LedgerFile
from fixity.ledger.fold import NEWS, Settings
from fixity.ledger.fold_plain import NEW_CHECKS, Tables, plain_rows, with_others
from fixity.ledger.repeats import PACKED, packed
from fixity.ledger.snapshot import OF_PART, SNAPSHOT
from fixity.tables import CHECKSUMS, FAILED, INGEST

if TYPE_CHECKING:
    import duckdb


class Sources(NamedTuple):
    """What is folded: an inventory, the snapshot before and new checks."""

    listing: ByKey
    prior: ByKey
    news: ByKey


@dataclass
class Folded:
    """What was counted in rows of the new table: see `Snapshot`.

    never: listed rows without any check. unread: listed rows that could not be read when they were last
    checked. may_be_lost: rows that are not listed, or were deleted when they were to be read. read_by_day: of
    the new checks alone.
    """

    rows: int = 0
    listed: int = 0
    never: int = 0
    unread: int = 0
    doubted: int = 0
    damaged: int = 0
    may_be_lost: int = 0
    read_by_day: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: Folded) -> Folded:
        """The figures of both."""
        return Folded(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    def add(self, rows: pa.Table, horizon: pa.Scalar) -> None:
        """Count rows of the snapshot. Arguments: `horizon`, after which a time is in the future."""
        listed = rows.column("listed")
        gone = pc.fill_null(pc.equal(rows.column("error_code"), "DeletedSinceListed"), False)
        late = [
            pc.fill_null(pc.greater(rows.column(name), horizon), False)
            for name in ("checked_at", "verified_at", "good_at")
        ]
        self.rows += rows.num_rows
        self.listed += _count(listed)
        status = rows.column("status")
        self.never += _count(pc.and_(listed, pc.is_null(status)))
        self.unread += _count(pc.and_(listed, pc.fill_null(pc.equal(status, FAILED), False)))
        self.doubted += _count(pc.or_(pc.or_(*late[:2]), late[2]))
        self.damaged += _count(pc.is_valid(rows.column("damaged_at")))
        self.may_be_lost += _count(pc.or_(pc.invert(listed), gone))


def _count(mask: pa.ChunkedArray) -> int:
    return int(pc.sum(mask).as_py() or 0)


class _Range(NamedTuple):
    """A range of keys: the rows of plain objects, what is known of the others, and the bytes read by day."""

    plain: pa.Table
    others: Tables
    read_by_day: dict[str, int]


def fold_ranges(
    database: duckdb.DuckDBPyConnection,
    sources: Sources,
    settings: Settings,
    listed_at: datetime,
    now: datetime,
    keys: Keys,
    folder: Path,
) -> Folded:
    """Fold the rows of all sources with some keys into the files of a part, in a local folder.

    Arguments: `listed_at` (UTC), of the inventory.
    """
    found = Folded()
    horizon = pa.scalar(now + CLOCKS_DIFFER, SNAPSHOT.field("checked_at").type)
    work = partial(_fold_range, sources, settings, listed_at, now)
    objects, rows_in_blocks, index = (folder / name for name in OF_PART)
    with (
        parquet_writer(objects, PACKED) as writer,
        BlocksWriter(rows_in_blocks, index) as blocks,
        closing(in_order(work, ranges_of(sources, keys), processors())) as ranges,
    ):
        for each in ranges:
            rows = with_others(each.plain, each.others, database, settings, listed_at, now)
            as_written = packed(rows)
            blocks.write(as_written)
            writer.write_table(as_written, row_group_size=ROW_GROUP_ROWS)
            found.add(rows, horizon)
            found.read_by_day.update(each.read_by_day)
    return found


def _fold_range(
    sources: Sources, settings: Settings, listed_at: datetime, now: datetime, keys: Keys
) -> _Range:
    listing, prior, news = (source.rows(*keys) for source in sources)
    only_verdict = pc.fill_null(news["only_verdict"], False)
    news = news.set_column(news.num_columns - 1, NEW_CHECKS.field("only_verdict"), only_verdict)
    plain, others = plain_rows(settings, listed_at, now, Tables(listing, prior, news))
    return _Range(plain, others, _read_by_day(news))


def _read_by_day(news: pa.Table) -> dict[str, int]:
    """The bytes that checks read, by day (UTC)."""
    is_check = pc.and_(pc.is_valid(news["checked_at"]), pc.invert(news["only_verdict"]))
    days = pa.table({"day": news["checked_at"].cast(pa.date32()), "bytes": news["bytes_read"]}).filter(
        is_check
    )
    sums = days.group_by("day").aggregate([("bytes", "sum")])
    return {row["day"].isoformat(): row["bytes_sum"] or 0 for row in sums.to_pylist()}


def news_of(
    database: duckdb.DuckDBPyConnection,
    files: Sequence[LedgerFile],
    ingested: Sequence[LedgerFile],
    others: Sequence[ByKey],
    workspace: Path,
) -> ByKey:
    """New checks: of files of the ledger, and of ingest's tables of earlier versions.

    Arguments: `others`, what they are folded with; `workspace`, where files that cannot be read by ranges are
    sorted into one.
    """
    view(database, "ingested", [file.path for file in ingested], INGEST)

    def sort(to_sort: list[Path]) -> Path | None:
        if not to_sort and not ingested:
            return None
        view(database, "checks", to_sort, CHECKSUMS)
        query = f"SELECT {', '.join(NEW_CHECKS.names)} FROM ({NEWS})"
        return sorted_copy(database, query, workspace / "news-sorted.parquet")

    return tables_by_key(files, NEW_CHECKS, others, sort)
