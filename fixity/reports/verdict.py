"""The verdict on a report: one check for each thing that may be wrong, as values.

Running the checks and raising alarms do not belong here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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

    @property
    def is_red(self) -> bool:
        """Whether it says that something is wrong, not only a warning."""
        return not self.passed and self.severity == "ERROR"


_MEANINGS = {
    "something_compared": "Objects were compared, unless both sides are empty. Only a warning where they "
    "are, and nobody has confirmed it (fixity due BUCKET --confirm-empty)",
    "no_damage": "No object of either side is known to be damaged",
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


def verdict(
    counts: Counts,
    left_out: Sequence[str] = (),
    damaged: Mapping[str, int] | None = None,
    reasons: str = "",
    one_finding: str | None = None,
    is_empty_right: bool = True,
) -> list[Verdict]:
    """The checks of a report.

    Arguments: `left_out`, files of the ledgers that could not be read; `damaged`, how many objects of each
    bucket are known to be damaged; `reasons`, why objects could not be read; `one_finding`, what so many rows
    that are not right say together: it is told with the check that has most of them; `is_empty_right`,
    whether two sides without objects are as they should be.
    A file that was left out may have a newer check of any object, so no report without it is verified.
    Pending objects fail no check if others were compared: the next report after the lag compares them.
    `all_checked` mentions them, because they were not compared.
    """
    failures = counts.failed_source + counts.failed_replication
    pending = (
        f"; {_objects(counts.pending)} pending, not expected on both sides yet" if counts.pending else ""
    )
    of_objects = [
        _check("no_mismatches", "ERROR", counts.mismatches, "different in source and replica"),
        _check("no_missing_source", "ERROR", counts.missing_source, "missing in the source"),
        _check("no_missing_replica", "ERROR", counts.missing_replica, "missing in the replica"),
        _check(
            "no_failures",
            "ERROR",
            failures,
            f"not readable: {counts.failed_source} in the source, {counts.failed_replication} in the replica"
            + (f" ({reasons})" if reasons else ""),
        ),
    ]
    if one_finding:
        most = max(of_objects, key=lambda each: each.rows)
        told = replace(most, description=f"{most.description}. {one_finding}")
        of_objects = [told if each is most else each for each in of_objects]
    return [
        _something_compared(counts, is_empty_right),
        _no_damage(damaged or {}),
        *of_objects,
        _check("all_checked", "WARN", counts.not_checked, "skipped on a side", pending),
        _check("all_comparable", "WARN", counts.incomparable, "with checksums that cannot be compared"),
        _ledger_readable(left_out),
    ]


def verdict_of_copies(
    verdicts: Mapping[str, Sequence[Verdict]], left_out: Sequence[str], damaged: Mapping[str, int]
) -> list[Verdict]:
    """The checks of all copies together: each passed if it passed for every copy, and says for which not.

    Its rows are the sum: an object that is wrong in two copies counts twice.
    Arguments: `verdicts`, the checks of each copy's report, by its bucket; `left_out` and `damaged`, of all
    buckets, as in `verdict`.
    """
    together = [
        _together(dict(zip(verdicts, checks, strict=True))) for checks in zip(*verdicts.values(), strict=True)
    ]
    of_buckets = {each.name: each for each in (_no_damage(damaged), _ledger_readable(left_out))}
    return [of_buckets.get(each.name, each) for each in together]


def _together(checks: Mapping[str, Verdict]) -> Verdict:
    """One check of all copies."""
    first = next(iter(checks.values()))
    told = {
        copy: each.description for copy, each in checks.items() if each.description != _MEANINGS[each.name]
    }
    return replace(
        first,
        passed=all(each.passed for each in checks.values()),
        severity=next((each.severity for each in checks.values() if each.is_red), first.severity),
        description="; ".join(f"{copy}: {text}" for copy, text in told.items()) or _MEANINGS[first.name],
        rows=sum(each.rows for each in checks.values()),
    )


def _something_compared(counts: Counts, is_empty_right: bool) -> Verdict:
    """Red where either side has objects and not one was compared: such a report proves nothing."""
    name = "something_compared"
    if not counts.rows and not is_empty_right:
        text = (
            "nothing is there: neither side has an object. Look at `bucket` (or `path`) and `prefix` of both"
        )
        return Verdict(name, passed=False, severity="WARN", description=text, rows=0)
    passed = not counts.rows or bool(counts.matches + counts.mismatches)
    others = ", ".join(f"{count:,} {status}" for status, count in counts.by_status().items() if count)
    text = _MEANINGS[name] if passed else f"not one object was compared: {others}"
    return Verdict(name, passed, "ERROR", text, rows=0 if passed else counts.rows)


def _no_damage(damaged: Mapping[str, int]) -> Verdict:
    rows = sum(damaged.values())
    where = ", ".join(f"{count:,} of {bucket}" for bucket, count in damaged.items() if count)
    return _check("no_damage", "ERROR", rows, f"known to be damaged: {where}")


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
