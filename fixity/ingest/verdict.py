"""The verdict on an ingest report: one check for each thing that may be wrong."""

from __future__ import annotations

from dataclasses import replace

from fixity.humanize import printable
from fixity.ingest.report import FIRST, IngestCounts
from fixity.reports.verdict import Severity, Verdict

_CLAIMS: dict[str, tuple[Severity, str]] = {
    "no_notmatched": ("ERROR", "No object differs from its recorded checksum"),
    "no_failures": ("ERROR", "Every object could be read"),
    "no_missing": ("ERROR", "Every object with a recorded checksum is there"),
    "no_conflicts": ("WARN", "No two records of an object contradict each other"),
    "all_compared": ("WARN", "Every object was compared with a recorded checksum"),
    "records_usable": ("WARN", "Every record could be read and used"),
    "all_tags_written": ("WARN", "Every tag was written"),
}


def check_names() -> dict[str, str]:
    """The checks' names and what each claims."""
    return {name: claim for name, (_, claim) in _CLAIMS.items()}


def verdict(counts: IngestCounts) -> list[Verdict]:
    """The checks of a report, in the order of `check_names`."""
    rows = {
        "no_notmatched": counts.not_matched,
        "no_failures": counts.failed,
        "no_missing": counts.missing,
        "no_conflicts": counts.conflicts,
        # A failure or a missing object has a check of its own.
        "all_compared": counts.skipped - counts.failed - counts.missing + counts.unread,
        "records_usable": counts.unusable_records,
        "all_tags_written": counts.tags_not_written,
    }
    firsts = {
        "no_notmatched": counts.first_not_matched,
        "no_failures": counts.first_failed,
        "no_missing": counts.first_missing,
        "records_usable": counts.first_lost or counts.first_unusable,
    }
    named = {name: _named(first) for name, first in firsts.items() if first}
    checks = [
        Verdict(
            name,
            not rows[name],
            severity,
            claim
            if not rows[name]
            else f"Not true for {rows[name]:,}: {claim[0].lower()}{claim[1:]}{named.get(name, '')}",
            rows[name],
        )
        for name, (severity, claim) in _CLAIMS.items()
    ]
    # What makes an error of a warning, and why.
    worse = {
        "records_usable": (
            counts.lost_records,
            "of them are lost: usable at an earlier look, or perhaps in what of a manifest cannot be read",
        ),
        "no_conflicts": (
            counts.etag_conflicts,
            "have an ETag that is not the MD5 of their bytes, and no other record: they may have been "
            "damaged before their first check, or the store needs `etag_is_md5: false`",
        ),
    }
    return [
        replace(check, severity="ERROR", description=f"{check.description}; {count:,} {why}")
        if count
        else check
        for check in checks
        for count, why in [worse.get(check.name, (0, ""))]
    ]


def _named(keys: list[str]) -> str:
    """The first objects, for people."""
    return f" ({', '.join(printable(key, 100) for key in keys)}{', …' if len(keys) == FIRST else ''})"
