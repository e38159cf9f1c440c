"""The second look at what others read: checks of S3's jobs and of maps that differ are read by the platform.

How such checks are made does not belong here, nor where they are kept.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from fixity import compute as pc
from fixity.buckets import CHANGED, DELETED, listed_objects
from fixity.engines.stream.engine import Check
from fixity.engines.stream.second_look import Allowance, SecondReader, Suspect, settled
from fixity.errors import BucketUnreachable
from fixity.humanize import printable
from fixity.ledger.judge import UNSTABLE_READ, judged
from fixity.tables import CHECKSUMS, DIFFERS, NOT_TWICE, SUCCEEDED

_OF_VERDICT = ("expected", "expected_algorithm", "expected_from", "verdict")


def look_at_reported(
    second: SecondReader,
    allowance: Allowance,
    run_checks: pa.Table,
    expectations: pa.ChunkedArray | None,
) -> pa.Table:
    """Rows of the ledger, of which those that differ were read again.

    A row that was read again is the platform's own, with the evidence `streamed`. One that could not be read
    stays as it is, and says why.
    Arguments: `run_checks`, judged; `expectations`, as for `judged`.
    """
    positions = pc.indices_nonzero(pc.equal(run_checks.column("verdict"), DIFFERS))
    if not len(positions) or expectations is None:
        return run_checks
    expected = expectations.take(positions)
    rows = run_checks.take(positions)
    found, why = _read(second, allowance, rows, expected.to_pylist())
    looked = [_row(row, found.get(number), why) for number, row in enumerate(rows.to_pylist())]
    again = _judged(looked, expected)
    order = list(range(run_checks.num_rows))
    for number, position in enumerate(positions.to_pylist(), run_checks.num_rows):
        order[position] = number
    return pa.concat_tables([run_checks, again]).take(pa.array(order, pa.int64()))


def settle_reported(first: pa.Table, run_checks: pa.Table, expectations: pa.ChunkedArray | None) -> pa.Table:
    """Rows of the ledger of a job that read again what another one had found to differ.

    A row without a result is left out, unless the object was deleted or overwritten: it would hide the first.
    Arguments: `first`, the rows that differed; the others as for `look_at_reported`.
    """
    before = {(row["key"], row["version_id"], row["algorithm"]): row for row in first.to_pylist()}
    says_something = pc.or_(
        pc.equal(run_checks.column("status"), SUCCEEDED),
        pc.fill_null(pc.is_in(run_checks.column("error_code"), pa.array([CHANGED, DELETED])), False),
    )
    rows = run_checks.filter(says_something)
    if expectations is None:
        return rows
    expected = expectations.filter(says_something)
    both: list[dict[str, Any]] = []
    for item, row, listed in zip(listed_objects(rows), rows.to_pylist(), expected.to_pylist(), strict=True):
        was = before.get((row["key"], row["version_id"], row["algorithm"]))
        if was is None or not listed or row["status"] != SUCCEEDED:
            both.append(row)
            continue
        check = settled(Suspect(item, _check(0, was), listed), _check(0, row), row["algorithm"])
        both.append(_row(row, check, "") | {"evidence": row["evidence"]})
    return _judged(both, expected)


def _judged(rows: list[dict[str, Any]], expectations: pa.ChunkedArray) -> pa.Table:
    """Rows that were settled; their verdict is no longer that of the rows as they were reported."""
    return judged(pa.Table.from_pylist(rows, CHECKSUMS).drop_columns(list(_OF_VERDICT)), expectations)


def _check(number: int, row: dict[str, Any]) -> Check:
    """A row of the ledger that succeeded, as the first check of an object."""
    others = dict(row["other_checksums"] or ())
    read = row["bytes_read"], row["checked_at"]
    return Check(number, SUCCEEDED, row["checksum"], None, None, *read, others)


def _read(
    second: SecondReader, allowance: Allowance, rows: pa.Table, expectations: list[list[dict[str, Any]]]
) -> tuple[dict[int, Check], str]:
    """The check of each row that counts, by its number; and why there is none of the others."""
    found: dict[int, Check] = {}
    suspects: dict[Any, list[Suspect]] = {}
    for number, (item, row) in enumerate(zip(listed_objects(rows), rows.to_pylist(), strict=True)):
        suspect = Suspect(item, _check(number, row), expectations[number])
        suspects.setdefault(row["algorithm"], []).append(suspect)
    try:
        for algorithm, of_algorithm in suspects.items():
            for check in second.look_again(of_algorithm, algorithm, allowance):
                found[check.position] = check
    except BucketUnreachable as error:
        return found, str(error)
    return found, ""


def _row(row: dict[str, Any], check: Check | None, why: str) -> dict[str, Any]:
    """The row of the ledger, from the row as it was reported and the check that counts."""
    if check is None:
        return {**row, "error_message": printable(f"{NOT_TWICE}: {why}")}
    if check.reads == 1:
        return {**row, "error_message": check.error_message}
    if check.status != SUCCEEDED and check.error_code not in (UNSTABLE_READ, CHANGED, DELETED):
        why = f"{NOT_TWICE}: {check.error_code}: {check.error_message}"
        return {**row, "error_message": printable(why), "bytes_read": check.bytes_read}
    return {
        **row,
        **check._asdict(),
        "checksum_type": "FULL_OBJECT" if check.status == SUCCEEDED else None,
        "other_checksums": list(check.others.items()) or None,
        "evidence": "streamed",
    }
