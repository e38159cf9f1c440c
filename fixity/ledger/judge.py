"""The verdict on checks: the checksum of the bytes, compared with what is expected.

The checks of all engines are judged here. Which checksums are expected is in `expected`; how several checks
of one object are combined is in `fold`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import pyarrow as pa

from fixity import compute as pc
from fixity.clock import CLOCKS_AGREE, utc_now
from fixity.tables import (
    CHECKSUMS,
    DIFFERS,
    FAILED,
    FIRST_SEEN,
    MATCHED,
    NOT_COMPARED,
    NOT_TWICE,
    OTHER_COPY,
    REGISTERED,
    SUCCEEDED,
)

OF_THE_BYTES = ("streamed", "s3_batch", "step_functions")
"""Evidence that rests on the bytes as they are now."""

EXPECTATION = pa.struct(
    [
        ("algorithm", pa.string()),
        ("checksum", pa.string()),
        ("source", pa.string()),
        ("known_to_differ", pa.bool_()),
    ]
)
"""A checksum that is expected of an object: by which algorithm, in hex, where it comes from, and whether
the object is known to differ from it."""

EXPECTATIONS = pa.field("expectations", pa.list_(EXPECTATION))
"""The column with all that is expected of an object, the strongest first; NULL where nothing is."""

ETAG = "object-etag"
"""The source of an expected checksum that is an object's ETag."""

ETAG_CONFLICT = "EtagConflict"
"""The error code of a check that succeeded: the ETag contradicts all else that is known of the object."""

FULL_OBJECT, COMPOSITE = "FULL_OBJECT", "COMPOSITE"
"""The types of checksums: of all bytes, or of the checksums of an object's parts."""

COMPOSITE_CHECKSUM = "CompositeChecksum"
"""The error code of a check that succeeded, whose checksum is COMPOSITE: compared with nothing."""

COMPOSITE_CHANGED = "CompositeChanged"
"""The error code of a check that failed: the COMPOSITE checksum has changed, though nobody wrote."""

UNSTABLE_READ = "UnstableRead"
"""The error code of a check whose two reads gave different bytes: it failed, unless the second is right."""

BEYOND_LIMITS = f"{NOT_TWICE}: `second_look` or `monthly_egress` allows no more in this run"
"""That message, where the object could be read."""

MANIFEST = "manifest"
"""The source of records in manifests. One object may be in several, which may contradict each other."""

# The weakest first. A checksum that can be forged never counts more than one that cannot.
SOURCES = (FIRST_SEEN, OTHER_COPY, ETAG, "s3-checksum", "object-metadata", "object-tagging", MANIFEST, "api")
"""Where expected checksums come from, by `strength`."""
CRYPTOGRAPHIC = ("MD5", "SHA1", "SHA256", "SHA512")
"""The algorithms whose checksums count more than those of all others."""

STRENGTH_SQL = f"""
    CREATE OR REPLACE TEMP MACRO strength(source, algorithm) AS CASE
        WHEN source = '{FIRST_SEEN}' THEN 0
        ELSE list_position({list(SOURCES)}, source) - 1
            + CASE WHEN algorithm IN {CRYPTOGRAPHIC} THEN 10 ELSE 0 END
    END
"""
"""Defines `strength(source, algorithm)` for DuckDB; see the function of that name."""


@cache
def strength(source: str, algorithm: str) -> int:
    """How much an expected checksum counts: the strongest that can be compared decides.

    A record stands before the first checksum computed, a cryptographic record before a CRC or an XXHASH,
    and among those the kinds of records in their order: given by hand, manifest, tag, metadata, S3's stored
    checksum, ETag.
    """
    if source == FIRST_SEEN:
        return 0
    return SOURCES.index(source) + (10 if algorithm in CRYPTOGRAPHIC else 0)


LookAgain = Callable[[pa.Table, pa.ChunkedArray | None], pa.Table]
"""A second look: takes checks that were judged, and what is expected as for `judged`; gives the checks that
count, once the objects that differ were read again."""


def judged(checks: pa.Table, expectations: pa.ChunkedArray | None = None) -> pa.Table:
    """Rows of the ledger: checks with their verdicts.

    Arguments: `checks`, the columns of CHECKSUMS without those of the verdict (`other_checksums` and `reads`
    may be missing); `expectations`, as the field EXPECTATIONS, for each row.
    The strongest expectation that the check has a checksum for decides. An ETag that differs does not, if all
    else agrees with the bytes: not every store's ETags are MD5s. Then the row tells it as a conflict
    (ETAG_CONFLICT). Where a check has no checksum for any expectation, a first checksum is registered, unless
    the object is known to be damaged.
    """
    count = checks.num_rows
    given = set(checks.column_names)
    computed = pc.and_(
        pc.and_(pc.equal(checks.column("status"), SUCCEEDED), checks.column("checksum").is_valid()),
        pc.and_(
            pc.fill_null(pc.equal(checks.column("checksum_type"), FULL_OBJECT), False),
            pc.fill_null(pc.is_in(checks.column("evidence"), pa.array(OF_THE_BYTES)), False),
        ),
    )
    verdict: pa.ChunkedArray | pa.Array = pc.if_else(computed, REGISTERED, NOT_COMPARED)
    nothing = pa.nulls(count, pa.string())
    columns: dict[str, pa.ChunkedArray | pa.Array] = {
        "expected": nothing,
        "expected_algorithm": nothing,
        "expected_from": nothing,
        "verdict": verdict,
        "reads": pa.nulls(count, pa.int32()),
        "other_checksums": pa.nulls(count, CHECKSUMS.field("other_checksums").type),
    }
    columns |= {name: checks.column(name) for name in CHECKSUMS.names if name in given}
    if expectations is not None and expectations.null_count < count:
        columns |= _compared(columns, expectations, computed)
    return pa.table([columns[name] for name in CHECKSUMS.names], names=CHECKSUMS.names).cast(CHECKSUMS)


def judged_by_md5(
    checks: pa.Table, expectations: pa.ChunkedArray | None, is_md5: Callable[[str, str | None], bool]
) -> pa.Table:
    """The same, where an ETag that alone says that bytes are wrong is first asked about.

    Arguments: `is_md5`, whether the ETag of an object (key, version) is an MD5, as a listing does not say how
    the object is encrypted. If it is not, it is not expected any more.
    """
    table = judged(checks, expectations)
    if expectations is None:
        return table
    by_etag = pc.and_(pc.equal(table["verdict"], DIFFERS), pc.equal(table["expected_from"], ETAG))
    by_etag = pc.and_(by_etag, pc.equal(table["expected_algorithm"], "MD5"))
    doubted = table.select(["key", "version_id"]).append_column("row", pa.array(range(table.num_rows)))
    no_md5 = {
        each["row"]
        for each in doubted.filter(pc.fill_null(by_etag, False)).to_pylist()
        if not is_md5(each["key"], each["version_id"])
    }
    if not no_md5:
        return table
    left = [
        [each for each in listed or () if not (row in no_md5 and _is_etag(each))] or None
        for row, listed in enumerate(expectations.to_pylist())
    ]
    return judged(checks, pa.chunked_array([pa.array(left, EXPECTATIONS.type)]))


def _compared(
    columns: dict[str, pa.ChunkedArray | pa.Array], expectations: pa.ChunkedArray, computed: pa.ChunkedArray
) -> dict[str, pa.ChunkedArray | pa.Array]:
    """The columns of the verdict, and of a conflict, where something is expected."""
    first = pc.list_element(expectations, 0)
    algorithm = pc.struct_field(first, "algorithm")
    expected = pc.struct_field(first, "checksum")
    source = pc.struct_field(first, "source")
    same = pc.equal(expected, columns["checksum"])
    # Nearly always the first is of the bucket's own algorithm: no row is looked at by itself.
    plain = pc.and_(computed, pc.fill_null(pc.equal(algorithm, columns["algorithm"]), False))
    is_last = pc.fill_null(pc.equal(pc.list_value_length(expectations), 1), False)
    plain = pc.and_(plain, pc.fill_null(pc.or_(same, is_last), False))
    told = {name: columns[name] for name in ("error_code", "error_message")}
    found = {
        "expected": pc.if_else(plain, expected, columns["expected"]),
        "expected_algorithm": pc.if_else(plain, algorithm, columns["expected_algorithm"]),
        "expected_from": pc.if_else(plain, source, columns["expected_from"]),
        "verdict": pc.if_else(plain, pc.if_else(same, MATCHED, DIFFERS), columns["verdict"]),
        **told,
    }
    others = pc.and_(pc.and_(computed, expectations.is_valid()), pc.invert(plain))
    rows = pc.indices_nonzero(others).to_pylist()
    if not rows:
        return found
    taken = {
        name: columns[name].take(pa.array(rows)).to_pylist()
        for name in ("algorithm", "checksum", "other_checksums")
    }
    words = {
        row: _word(list_, dict(more or []) | {algorithm_: checksum})
        for row, list_, algorithm_, checksum, more in zip(
            rows,
            expectations.take(pa.array(rows)).to_pylist(),
            taken["algorithm"],
            taken["checksum"],
            taken["other_checksums"],
            strict=True,
        )
    }
    mask = others.combine_chunks() if isinstance(others, pa.ChunkedArray) else others
    for name, values in zip(found, zip(*(words[row] for row in rows), strict=True), strict=True):
        old = found[name].combine_chunks() if isinstance(found[name], pa.ChunkedArray) else found[name]
        found[name] = pc.replace_with_mask(old, mask, pa.array(values, pa.string()))
    # What the check says of its own read comes first.
    return found | {name: pc.coalesce(said, found[name]) for name, said in told.items()}


def dated(
    checks: pa.Table,
    told_at: pa.Array | pa.ChunkedArray | pa.Scalar,
    ahead: timedelta = CLOCKS_AGREE,
    now: datetime | None = None,
) -> pa.Table:
    """Checks by others, whose reading took a while: right bytes count from its beginning, others to its end.

    Between both, other checks may have read the object. What was right at the beginning takes back no damage
    that was found since, and what was wrong at the end is taken back by nothing that was read before it.
    Both times are of another clock than our own reads have. So the beginning counts as much earlier as that
    clock may be ahead, and no end is later than now.
    Arguments: `checks`, as from `judged`, with the time of the beginning; `told_at`, that of the end, of each
    or of all; `ahead`, by how much the beginning may be too late; `now` in UTC, by default the current time.
    """
    now = now or utc_now()
    failed = pc.equal(checks.column("status"), FAILED)
    late = pc.or_(failed, pc.fill_null(pc.equal(checks.column("verdict"), DIFFERS), False))
    place = checks.schema.get_field_index("checked_at")
    kind = checks.schema.field(place).type
    told_at = told_at.cast(kind)
    # One that is further ahead is refused where the checks are kept.
    is_ahead = pc.and_(
        pc.greater(told_at, pa.scalar(now, kind)), pc.less_equal(told_at, pa.scalar(now + CLOCKS_AGREE, kind))
    )
    told_at = pc.if_else(is_ahead, pa.scalar(now, kind), told_at)
    began_at = pc.subtract(checks.column(place), pa.scalar(ahead, pa.duration("us"))).cast(kind)
    column = pc.if_else(late, told_at, began_at)
    return checks.set_column(place, checks.schema.field(place), column)


def is_differing(expectations: list[dict[str, Any]], checksums: Mapping[Any, str | None]) -> bool:
    """Whether checksums of an object's bytes, by their algorithms, would be judged as not expected."""
    return _word(expectations, checksums)[3] == DIFFERS


def _word(
    expectations: list[dict[str, Any]], got: Mapping[Any, str | None]
) -> tuple[str | None, str | None, str | None, str, str | None, str | None]:
    """The columns of `_compared`, by the strongest expectation for which there is a checksum.

    Of manifests that are equally strong, by one that agrees with the bytes: the others contradict it, but
    they prove no damage.
    """
    comparable = [each for each in expectations if each["algorithm"] in got]
    if not comparable:
        damaged = any(each["known_to_differ"] for each in expectations)
        return None, None, None, NOT_COMPARED if damaged else REGISTERED, None, None

    def agrees(each: dict[str, Any]) -> bool:
        return got[each["algorithm"]] == str(each["checksum"])

    decides, code, message = comparable[0], None, None
    if _is_etag(decides) and not agrees(decides):
        other = next((each for each in comparable if not _is_etag(each)), decides)
        if agrees(other):
            code = ETAG_CONFLICT
            message = (
                f"the ETag {decides['checksum']} is not the MD5 of the bytes, but the checksum from "
                f"{other['source']} is theirs; if the store's ETags are not MD5s, set `etag_is_md5: false`"
            )
            decides = other
    elif decides["source"] == MANIFEST:
        equal = (each for each in comparable if _strength_of(each) == _strength_of(decides))
        decides = next((each for each in equal if agrees(each)), decides)
    expected, by, source = (str(decides[name]) for name in ("checksum", "algorithm", "source"))
    return expected, by, source, MATCHED if agrees(decides) else DIFFERS, code, message


def _is_etag(expectation: dict[str, str | bool]) -> bool:
    """Whether it is an ETag; with another algorithm, it is a checksum that an ETag once proved."""
    return (expectation["source"], expectation["algorithm"]) == (ETAG, "MD5")


def _strength_of(expectation: dict[str, str | bool]) -> int:
    return strength(str(expectation["source"]), str(expectation["algorithm"]))
