"""For a report's page in the UI: the first rows that are not ok, and a small chart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg
import pygal
from pygal.style import Style

from fixity.reports import COLUMNS, STATUSES, Counts
from fixity.status import Day
from fixity_assets.describe import rows_table
from fixity_assets.status_page import svg_image

_COLOURS = {
    "ok": "#2e9e5b",
    "mismatch": "#c0392b",
    "missing_replica": "#e67e22",
    "missing_source": "#d4a017",
    "failed_source": "#8e44ad",
    "failed_replication": "#6c5ce7",
    "incomparable": "#95a5a6",
    "not_checked": "#7f8c8d",
    "pending": "#3498db",
}
_COUNTED = {"matches": "ok", "mismatches": "mismatch"} | {
    status: status for status in _COLOURS if status not in ("ok", "mismatch")
}
"""The counts of a report, and the statuses whose colours they have."""
_SHOWN = (
    "status",
    "key",
    "version_id",
    "diagnosis",
    "diagnosis_rests_on",
    "last_agreed_at",
    "detail",
    "checksum_source",
    "checksum_replication",
)
_OF_COPIES = ("status", "key", "version_id", "diagnosis", "last_agreed_at", "detail")


def report_schema() -> dg.TableSchema:
    """The report's columns, with their meanings."""
    return dg.TableSchema(columns=[_column(name) for name in COLUMNS])


def problems_table(rows: Iterable[Mapping[str, Any]]) -> dg.TableMetadataValue:
    """Rows that are not ok as a table of the UI; the CSV has all columns."""
    return rows_table(rows, [_column(name) for name in _SHOWN])


def copies_table(rows: Iterable[Mapping[str, Any]], replicas: Sequence[str]) -> dg.TableMetadataValue:
    """Rows of a report of all copies that are not ok, as a table of the UI with the columns of a pair's."""
    return rows_table([_in_short(row, replicas) for row in rows], [_column(name) for name in _OF_COPIES])


def _in_short(row: Mapping[str, Any], replicas: Sequence[str]) -> dict[str, Any]:
    """What a row of a report of all copies says, in the columns of a pair's report."""
    states = ", ".join(f"{each}: {row[f'{each}:status'] or 'not there'}" for each in replicas)
    agreed = [row[f"{each}:last_agreed_at"] for each in replicas if row[f"{each}:last_agreed_at"]]
    words = dict.fromkeys(filter(None, (row[f"{each}:diagnosis"] for each in replicas)))
    return {
        **{name: row[name] for name in ("status", "key", "version_id")},
        "diagnosis": f"bad: {row['bad_copies']}" if row["bad_copies"] else ", ".join(words),
        "last_agreed_at": min(agreed, default=None),
        "detail": "; ".join(filter(None, (states, row["detail"]))),
    }


def _column(name: str) -> dg.TableColumn:
    kind, text = COLUMNS[name]
    return dg.TableColumn(name, kind, description=text)


def summary_chart(pair: str, counts: Counts) -> dg.MarkdownMetadataValue:
    """How many rows have each status, as a bar chart; statuses without rows are left out."""
    by_status = counts.by_status()
    shown = [status for status in STATUSES if by_status[status]]
    chart = pygal.HorizontalBar(
        style=Style(
            background="white",
            plot_background="white",
            colors=tuple(_COLOURS[status] for status in shown) or ("#2e9e5b",),
            font_family="sans-serif",
        ),
        width=640,
        height=90 + 34 * max(1, len(shown)),
        print_values=True,
        show_x_labels=False,
        # So that one damaged object among a million is visible.
        logarithmic=True,
        zero=0.5,
        range=(0.5, max(1, *by_status.values())),
        disable_xml_declaration=True,
        explicit_size=True,
        no_data_text="no objects",
        js=[],
    )
    for status in shown:
        chart.add(status, [{"value": by_status[status], "label": status}])
    return svg_image(chart, pair)


def trend_chart(pair: str, days: Sequence[Day]) -> dg.MarkdownMetadataValue:
    """The counts of one pair's reports over time, a line a count; counts that were always 0 are left out.

    The UI's own plots mix all pairs.
    """
    chart = pygal.DateTimeLine(
        style=Style(
            background="white",
            plot_background="white",
            colors=tuple(_COLOURS[status] for status in _COUNTED.values()),
            font_family="sans-serif",
        ),
        width=640,
        height=300,
        legend_at_bottom=True,
        legend_at_bottom_columns=3,
        logarithmic=True,  # so that one damaged object among a million is visible
        x_value_formatter=lambda time: f"{time:%Y-%m-%d}",
        x_label_rotation=30,
        disable_xml_declaration=True,
        explicit_size=True,
        no_data_text="no objects",
        js=[],
    )
    for count in _COUNTED:
        points = [(day.at, day.counts.get(count) or None) for day in days]
        chart.add(count, points if any(value for _, value in points) else [])
    return svg_image(chart, f"{pair} over time")
