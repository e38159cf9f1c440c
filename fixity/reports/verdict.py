"""The verdict on a report: one check for each thing that may be wrong, as values.

Running the checks and raising alarms do not belong here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fixity.reports.counts import Counts

Severity = Literal["ERROR", "WARN"]


@dataclass(frozen=True)
class Verdict:
    """One check of a report. rows: how many rows (or files) are wrong; the check passed if there are none."""

    name: str
    passed: bool
    severity: Severity
    description: str
    rows: int


_MEANINGS = {
    "no_mismatches": "No object's checksum differs between source and replica",
    "no_missing_source": "No object of the replica is missing in the source, unless too new to be expected",
    "no_missing_replica": "No object of the source is missing in the replica, unless too new to be expected",
    "no_failures": "Every object could be read on both sides",
    "all_checked": "No object was skipped on either side",
    "all_comparable": "All checksums could be compared",
    "ledger_readable": "Every check that was kept of both sides could be read",
}


def check_names() -> dict[str, str]:
    """The checks' names and what each claims, in the order of `verdict`."""
    return dict(_MEANINGS)


def verdict(counts: Counts, left_out: Sequence[str] = ()) -> list[Verdict]:
    """The checks of a report. `left_out`: files of the ledgers that could not be read.

    Such a file may have a newer check of any object, so no report without it is verified.
    Pending objects fail no check: the next report after the lag compares them. `all_checked` mentions them,
    because they were not compared.
    """
    failures = counts.failed_source + counts.failed_replication
    pending = (
        f"; {_objects(counts.pending)} pending, not expected on both sides yet" if counts.pending else ""
    )
    return [
        _check("no_mismatches", "ERROR", counts.mismatches, "differ between source and replica"),
        _check("no_missing_source", "ERROR", counts.missing_source, "missing in the source"),
        _check("no_missing_replica", "ERROR", counts.missing_replica, "missing in the replica"),
        _check(
            "no_failures",
            "ERROR",
            failures,
            f"not readable: {counts.failed_source} in the source, {counts.failed_replication} in the replica",
        ),
        _check("all_checked", "WARN", counts.not_checked, "skipped on a side", pending),
        _check("all_comparable", "WARN", counts.incomparable, "with checksums that cannot be compared"),
        _ledger_readable(left_out),
    ]


def _ledger_readable(left_out: Sequence[str]) -> Verdict:
    name = "ledger_readable"
    text = (
        f"left out, so the report may rest on older results: {'; '.join(left_out)}"
        if left_out
        else _MEANINGS[name]
    )
    return Verdict(name, passed=not left_out, severity="ERROR", description=text, rows=len(left_out))


def _check(name: str, severity: Severity, rows: int, what: str, also: str = "") -> Verdict:
    text = f"{_objects(rows)} {what}" if rows else _MEANINGS[name]
    return Verdict(name, passed=not rows, severity=severity, description=text + also, rows=rows)


def _objects(count: int) -> str:
    return "1 object" if count == 1 else f"{count:,} objects"
