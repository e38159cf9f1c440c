"""A report's figures as text for a terminal, and as the JSON that is kept beside the CSV."""

from __future__ import annotations

from dataclasses import asdict

from fixity.reports.counts import Counts


def summary_text(counts: Counts) -> str:
    """The summary as DuraCloud prints it, then our own lines, if they are not 0.

    The last one says how many rows the report has, if these are not the objects of the source.
    There is no line end after the last line.
    """
    always = {
        "Total objects": counts.total_objects,
        "Matches": counts.matches,
        "Mismatches": counts.mismatches,
        "Missing replica": counts.missing_replica,
        "Missing source": counts.missing_source,
        "Failed source": counts.failed_source,
        "Failed replication": counts.failed_replication,
    }
    not_zero = {
        "Not comparable": counts.incomparable,
        "Not checked": counts.not_checked,
        "Pending": counts.pending,
    }
    shown: dict[str, object] = {**always, **{name: count for name, count in not_zero.items() if count}}
    only_in_replica = counts.rows - counts.total_objects
    if only_in_replica > 0:
        shown["Rows"] = f"{counts.rows} ({only_in_replica} only in the replica)"
    return "\n".join(
        ["Checksum report complete:", *(f"        {name + ':':<20}{count}" for name, count in shown.items())]
    )


def stats(counts: Counts) -> dict[str, int]:
    """The figures of the stats JSON: DuraCloud's seven, then ours."""
    return {name: count for name, count in asdict(counts).items() if name != "rows"}
