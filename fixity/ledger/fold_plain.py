"""The plain case of folding: objects whose checks are all right and as before, or with no new check.

Their rows are columns of the tables that come in, row by row, so they are copied and not computed. `fold.sql`
says what a row is; this is a special case of it, and gives the same rows. All other objects are left to it.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from fixity import compute as pc
from fixity.clock import CLOCKS_DIFFER
from fixity.lake.database import own_table
from fixity.ledger.align import CONTENT, align, alone, equal, every, is_same, marked
from fixity.ledger.by_key import sorted_by_key
from fixity.ledger.fold import Settings, folded
from fixity.ledger.judge import CRYPTOGRAPHIC, ETAG, OF_THE_BYTES, SOURCES
from fixity.ledger.snapshot import SNAPSHOT
from fixity.tables import ARCHIVES, CHECKSUMS, FIRST_SEEN, MATCHED, REGISTERED, SUCCEEDED

if TYPE_CHECKING:
    import duckdb

NEW_CHECKS = CHECKSUMS.append(pa.field("only_verdict", pa.bool_()))
"""The columns of new checks; `only_verdict` as in `fixity.ledger.fold`."""
_UTC = SNAPSHOT.field("due_at").type
_LISTED = ("key", "version_id", "size", "etag", "last_modified", "storage_class", "is_latest")
_OF_CHECK = tuple(name for name in CHECKSUMS.names if name not in _LISTED)


class Tables(NamedTuple):
    """What is folded, of one range of keys, each sorted by key: the views of these names in fold.sql."""

    listing: pa.Table
    prior: pa.Table
    news: pa.Table


def plain_rows(
    settings: Settings, listed_at: datetime, now: datetime, tables: Tables
) -> tuple[pa.Table, Tables]:
    """The rows of the snapshot of plain objects, sorted by key, and the rows of all other keys."""
    listing = tables.listing
    if settings.due_by or not listing.num_rows:
        return SNAPSHOT.empty_table(), tables
    keys = listing.column("key")
    horizon = pa.scalar(now + CLOCKS_DIFFER, _UTC)
    before = align(keys, marked(tables.prior))
    check = align(keys, _one_a_key(tables.news, settings, horizon))
    harmless = _is_harmless(listing, before, settings, horizon)
    as_before = pc.or_(_is_bare(listing, before), pc.and_(harmless, _is_found_again(before, check)))
    is_plain = pc.and_(
        alone(keys),
        pc.if_else(pc.is_valid(check.column("key")), pc.and_(is_same(listing, check), as_before), harmless),
    )
    rows = _rows(listing, before, check, settings, listed_at)
    if pc.all(is_plain).as_py():
        chosen = keys
    else:
        rows, chosen = rows.filter(is_plain), keys.filter(is_plain)
    return rows, Tables(*(_without(table, chosen) for table in tables))


def with_others(
    plain: pa.Table,
    others: Tables,
    database: duckdb.DuckDBPyConnection,
    settings: Settings,
    listed_at: datetime,
    now: datetime,
) -> pa.Table:
    """The rows of all objects, by key: of plain ones, and of the others as the statement folds them.

    Arguments: `plain` and `others`, as from `plain_rows`, whose other arguments are the same.
    """
    if not any(table.num_rows for table in others):
        return plain
    for name, table in zip(Tables._fields, others, strict=True):
        own_table(database, name, table)
    rows = pa.Table.from_batches(list(folded(database, settings, listed_at, now, "", None)), SNAPSHOT)
    return sorted_by_key(pa.concat_tables([plain, rows]).combine_chunks())


def _without(table: pa.Table, keys: pa.ChunkedArray) -> pa.Table:
    of_table = table.column("key")
    if not len(of_table) or of_table.equals(keys):
        return table.slice(0, 0)
    return table.filter(pc.invert(pc.is_in(of_table, value_set=keys)))


def _one_a_key(news: pa.Table, settings: Settings, horizon: pa.Scalar) -> pa.Table:
    """The newest check of each key, and when and by which run the first of them was made.

    Its column `plain` says whether it is right, and all others of the key in the same way: then the baseline
    is of the first of them, and all else of the newest.
    """
    is_single = alone(news.column("key"))
    source = pc.if_else(
        pc.equal(news.column("verdict"), REGISTERED), FIRST_SEEN, news.column("expected_from")
    )
    news = news.append_column("base_from", source).append_column("plain", _is_right(news, settings, horizon))
    if pc.all(is_single, min_count=0).as_py():
        return _with_first(news, news)
    single, several = news.filter(is_single), news.filter(pc.invert(is_single))
    several = several.sort_by([("key", "ascending"), ("checked_at", "ascending")]).combine_chunks()
    keys = several.column("key")
    other = pc.not_equal(keys[1:], keys[:-1]).combine_chunks()
    end = pa.array([True])
    is_first, is_last = pa.concat_arrays([end, other]), pa.concat_arrays([other, end])
    differ = keys.filter(
        pc.invert(pc.and_(_is_one_of_several(several), pc.or_(is_first, _as_before(several))))
    )
    newest = several.filter(is_last)
    agree = pc.invert(pc.is_in(newest.column("key"), value_set=differ))
    newest = newest.set_column(newest.num_columns - 1, "plain", agree)
    rows = [_with_first(single, single), _with_first(newest, several.filter(is_first))]
    return sorted_by_key(pa.concat_tables(rows).combine_chunks())


def _with_first(newest: pa.Table, first: pa.Table) -> pa.Table:
    newest = newest.append_column("first_at", first.column("checked_at"))
    return newest.append_column("first_run", first.column("run_id"))


def _is_one_of_several(checks: pa.Table) -> pa.ChunkedArray:
    """Whether checks are right, from a known source, and contradict none that is held against the same."""
    checksum, algorithm = checks.column("checksum"), checks.column("algorithm")
    by_own = pc.or_(
        pc.fill_null(pc.equal(checks.column("verdict"), REGISTERED), False),
        pc.fill_null(pc.equal(checks.column("expected_algorithm"), algorithm), False),
    )
    return every(
        checks.column("plain"),
        pc.invert(checks.column("only_verdict")),
        pc.is_in(checks.column("base_from"), value_set=pa.array(SOURCES)),
        pc.or_(pc.invert(by_own), pc.equal(pc.coalesce(checks.column("expected"), checksum), checksum)),
    )


def _as_before(checks: pa.Table) -> pa.Array:
    """Whether each check found what the one before did, in the same content, and was made later."""
    earlier, later = checks.slice(0, checks.num_rows - 1), checks.slice(1)
    same = every(
        pc.less(earlier.column("checked_at"), later.column("checked_at")),
        *(equal(earlier.column(name), later.column(name)) for name in (*CONTENT, "checksum", "base_from")),
    )
    return pa.concat_arrays([pa.array([False]), same.combine_chunks()])


def _is_right(check: pa.Table, settings: Settings, horizon: pa.Scalar) -> pa.ChunkedArray:
    """Whether checks read the bytes and found them right, and proved all that they were held against.

    A record that is weaker than the checksum would not prove it, and be kept beside it.
    """
    verdict, source = check.column("verdict"), check.column("expected_from")
    of_records = every(
        pc.equal(verdict, MATCHED),
        pc.is_in(check.column("expected_algorithm"), value_set=pa.array(CRYPTOGRAPHIC)),
        pc.is_valid(source) if settings.etag_is_md5 else pc.not_equal(source, ETAG),
    )
    return every(
        pc.or_(pc.fill_null(pc.equal(verdict, REGISTERED), False), of_records),
        pc.equal(check.column("status"), SUCCEEDED),
        pc.is_valid(check.column("checksum")),
        pc.equal(check.column("checksum_type"), "FULL_OBJECT"),
        pc.is_in(check.column("evidence"), value_set=pa.array(OF_THE_BYTES)),
        pc.equal(check.column("algorithm"), settings.algorithm),
        pc.less_equal(check.column("checked_at"), horizon),
    )


def _is_bare(listing: pa.Table, before: pa.Table) -> pa.ChunkedArray:
    """Whether the snapshot has nothing of an object, or only that it was listed."""
    names = ("checked_at", "verified_at", "good_at", "baseline", "record", "damaged_at")
    listed_only = every(
        is_same(listing, before),
        *(pc.is_null(before.column(name)) for name in names),
        pc.equal(pc.fill_null(before.column("failures"), 0), 0),
    )
    return pc.or_(pc.is_null(before.column("key")), listed_only)


def _is_harmless(
    listing: pa.Table, before: pa.Table, settings: Settings, horizon: pa.Scalar
) -> pa.ChunkedArray:
    """Whether the snapshot has nothing of an object that time alone changes."""
    algorithm = before.column("baseline_algorithm")
    as_it_is = every(
        is_same(listing, before),
        pc.equal(pc.fill_null(algorithm, settings.algorithm), settings.algorithm),
        pc.equal(pc.is_null(algorithm), pc.is_null(before.column("baseline"))),
        pc.is_null(before.column("damaged_at")),
        pc.equal(pc.fill_null(before.column("failures"), 0), 0),
        *(
            pc.less_equal(pc.fill_null(before.column(name), horizon), horizon)
            for name in ("checked_at", "verified_at", "good_at")
        ),
    )
    return pc.or_(pc.is_null(before.column("key")), as_it_is)


def _is_found_again(before: pa.Table, check: pa.Table) -> pa.ChunkedArray:
    """Whether later checks found the very baseline that the snapshot has, by the same source."""
    checked_at = check.column("checked_at")
    return every(
        pc.is_null(before.column("record")),
        pc.equal(check.column("checksum"), before.column("baseline")),
        pc.equal(check.column("base_from"), before.column("baseline_from")),
        *(
            pc.less_equal(pc.coalesce(before.column(name), checked_at), checked_at)
            for name in ("checked_at", "verified_at", "good_at")
        ),
    )


def _rows(
    listing: pa.Table, before: pa.Table, check: pa.Table, settings: Settings, listed_at: datetime
) -> pa.Table:
    """The rows of the snapshot, right for plain objects."""
    count = listing.num_rows
    was_checked = pc.is_valid(check.column("key"))
    checked = pc.sum(was_checked).as_py()

    def either(of_check: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
        if checked in (0, count):
            return of_check if checked else before.column(name)
        return pc.if_else(was_checked, of_check, before.column(name))

    had_baseline = pc.is_valid(before.column("baseline"))

    def registered(of_check: str, name: str) -> pa.ChunkedArray:
        return pc.if_else(had_baseline, before.column(name), either(check.column(of_check), name))

    verified_at = either(check.column("checked_at"), "verified_at")
    at = pa.scalar(listed_at, _UTC)
    archived = pc.is_in(listing.column("storage_class"), value_set=pa.array(ARCHIVES))
    columns = {
        **{each.name: pa.nulls(count, each.type) for each in SNAPSHOT},
        **{name: listing.column(name) for name in _LISTED},
        **{name: either(check.column(name), name) for name in _OF_CHECK},
        "listed": pa.repeat(True, count),
        "listed_since": pc.fill_null(before.column("listed_since"), at),
        "last_listed_at": pa.repeat(at, count),
        "left_out": pc.if_else(archived, "archived", pa.scalar(None, pa.string())),
        "baseline": either(check.column("checksum"), "baseline"),
        "baseline_algorithm": either(check.column("algorithm"), "baseline_algorithm"),
        "baseline_from": either(check.column("base_from"), "baseline_from"),
        "baseline_at": registered("first_at", "baseline_at"),
        "baseline_run": registered("first_run", "baseline_run"),
        "record": before.column("record"),
        "record_algorithm": before.column("record_algorithm"),
        "record_from": before.column("record_from"),
        "verified_at": verified_at,
        "good_at": either(check.column("checked_at"), "good_at"),
        "failures": pa.repeat(pa.scalar(0, pa.int32()), count),
        "due_at": pc.add(verified_at, pa.scalar(settings.every, pa.duration("us"))),
    }
    return pa.table([columns[name] for name in SNAPSHOT.names], schema=SNAPSHOT)
