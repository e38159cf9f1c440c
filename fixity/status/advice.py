"""The status in words for people: what is wrong with a row, what to do next, and one line for all.

Which state a row has does not belong here; that is in `now`.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from fixity.catalog import Catalog
from fixity.humanize import seconds_text
from fixity.status.rows import (
    NO_OPEN_INCIDENTS,
    NOT_SINCE,
    PROBLEM,
    RUN,
    UNKNOWN,
    VERIFIED,
    WARNING,
    Finding,
    LogStatus,
    Status,
    StatusRow,
)

if TYPE_CHECKING:
    from fixity.incidents.state import Incident

_EMPTIED = "EmptiedSinceListed"  # as in `fixity.ledger.unread`, which takes time to import


def summary_line(status: Status) -> str:
    """All in one line: `1 problem, 2 unknown, 0 warnings, 7 verified`; and the log, if it is not verified."""
    counts = {state: len(rows) for state, rows in status.by_state().items()}
    words = {
        PROBLEM: ("problem", "problems"),
        UNKNOWN: ("unknown", "unknown"),
        WARNING: ("warning", "warnings"),
        VERIFIED: ("verified", "verified"),
    }
    said = [
        f"{counts[state]:,} {one if counts[state] == 1 else more}" for state, (one, more) in words.items()
    ]
    log = f"; the log: {status.log.state}" if status.log and status.log.state != VERIFIED else ""
    return ", ".join(said) + log


def wrong_with(row: StatusRow) -> list[str]:
    """What is wrong or not known of a row, a text each."""
    return [*map(finding_text, (*row.red, *row.warnings)), *row.unknown]


def finding_text(finding: Finding) -> str:
    """A finding: `no_damage of checksums: 1 damaged, since 2026-03-01 12:00 UTC`."""
    what = f"last run of {finding.asset}" if finding.check == RUN else f"{finding.check} of {finding.asset}"
    is_told = finding.since is None or finding.check == NO_OPEN_INCIDENTS  # its text says when
    since = "" if is_told else f", since {finding.since:%Y-%m-%d %H:%M} UTC"
    return f"{what}{f': {finding.text}' if finding.text else ''}{since}"


def facts(row: StatusRow, now: datetime) -> str:
    """How much was checked, how long ago, and what is waiting, for people."""
    objects = row.counts.get("total_objects", row.counts.get("objects"))
    said = [
        "" if objects is None else "1 object" if objects == 1 else f"{objects:,} objects",
        f"{row.coverage:.1%} within the term" if row.coverage is not None else "",
        f"{'compared' if row.kind == 'pair' else 'checked'} {age(row.checked_at, now)}"
        if row.checked_at
        else "",
        f"oldest evidence {age(row.oldest_evidence, now)}" if row.oldest_evidence else "",
        f"waiting: {', '.join(row.waiting)}" if row.waiting else "",
    ]
    return ", ".join(filter(None, said))


def log_facts(log: LogStatus, now: datetime) -> str:
    """How far the log is sealed, what waited then, and how old the newest proofs from outside are."""
    return ", ".join(
        [
            f"sealed {age(log.sealed_at, now)} (seal {log.seal})" if log.sealed_at else "not sealed",
            *(
                [f"{log.waiting:,} files waited" if log.waiting != 1 else "1 file waited"]
                if log.waiting
                else []
            ),
            *([f"time stamp {age(log.stamped_at, now)}"] if log.stamped_at else []),
            *([f"copy at the witness {age(log.copied_at, now)}"] if log.copied_at else []),
        ]
    )


def age(time: datetime, now: datetime) -> str:
    """How long ago a time (UTC) was, for people."""
    return f"{seconds_text(max(0.0, (now - time).total_seconds()))} ago"


def to_do(row: StatusRow, catalog: Catalog) -> str:
    """What a person does next about a row; '' for nothing."""
    if first := before_repair(row, catalog):
        return first
    if row.open_incidents:
        first = row.open_incidents[0]
        in_pair = row.kind == "pair" or bool(catalog.pairs_of(row.name))
        return f"fixity incident {first}" + (f", then fixity repair {first}" if in_pair else "")
    if row.failed_run:
        return f"remove the cause, then {_check_again(row, catalog)}"
    if row.red:
        return f"fixity explain {row.red[0].check}"
    if row.unknown:
        is_rolling = row.kind == "bucket" and catalog.buckets[row.name].fixity_every is not None
        count = "fixity coverage (the daemon counts by itself: fixity dev), or "
        return (count if is_rolling and row.checked_at else "") + _check_again(row, catalog)
    return f"fixity explain {row.warnings[0].check}" if row.warnings else ""


def before_repair(row: StatusRow, catalog: Catalog) -> str:
    """What a person does about a row before anything of it can be repaired; '' where nothing keeps from it.

    What could not be reached is not repaired, nor copied anew to a disk that is not there.
    """
    is_cut_off = any(each.check == RUN and each.asset != "repairs" for each in row.red)
    if is_cut_off or any(NOT_SINCE in text for text in row.unknown):
        then = f"; then fixity incident {row.open_incidents[0]}" if row.open_incidents else ""
        return f"remove the cause, then {_check_again(row, catalog)}{then}"
    if empty := _with_nothing(row, catalog):
        look = f"see whether the disk of {empty} is mounted, and its place in the catalog is right"
        return f"{look}, then {_check_again(row, catalog)}"
    return ""


def before_repair_of(incident: Incident, status: Status, catalog: Catalog) -> str:
    """The same for an open incident, by what the status says of its buckets and pairs."""
    if incident.is_over:
        return ""
    names = {"bucket": incident.buckets, "pair": incident.pairs}
    found = (before_repair(row, catalog) for row in status.rows if row.name in names[row.kind])
    return next(filter(None, found), "")


def _with_nothing(row: StatusRow, catalog: Catalog) -> str:
    """The bucket in which nothing is any more, though it should hold objects; '' for none."""
    if row.kind == "bucket":
        return row.name if any(each.text.startswith(_EMPTIED) for each in row.red) else ""
    if (pair := catalog.pairs.get(row.name)) is None:
        return ""
    objects = row.counts.get("total_objects", 0)
    if objects and row.counts.get("missing_replica") == objects:
        return pair.replica
    return pair.source if not objects and row.counts.get("missing_source") else ""


def _check_again(row: StatusRow, catalog: Catalog) -> str:
    """The command that checks a row as a whole."""
    if row.kind == "pair":
        engines = {catalog.buckets[name].engine for name in catalog.buckets_of(row.name)}
        return f"fixity {'verify' if engines == {'stream'} else 'report'} {row.name}"
    if any("ingest_report" in text for text in row.unknown):
        return f"fixity ingest {row.name}"
    by_s3 = catalog.buckets[row.name].engine == "s3_batch"
    return f"fixity {'request' if by_s3 else 'checksums'} {row.name}"
