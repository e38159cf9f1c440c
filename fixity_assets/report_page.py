"""What a report's page in the UI shows: the first rows that are not ok, and a small chart."""

from __future__ import annotations

import base64

import dagster as dg
import pygal
from pygal.style import Style

from fixity.reports import COLUMNS, STATUSES, Counts, Outcome

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


def report_schema() -> dg.TableSchema:
    """The report's columns, with their meanings."""
    return dg.TableSchema(
        columns=[dg.TableColumn(name, kind, description=text) for name, (kind, text) in COLUMNS.items()]
    )


def problems_table(outcome: Outcome) -> dg.TableMetadataValue:
    """The first rows that are not ok, in key order, as a table of the UI."""
    return dg.MetadataValue.table(
        records=[
            dg.TableRecord({name: "" if row[name] is None else row[name] for name in COLUMNS})
            for row in outcome.problems
        ],
        schema=report_schema(),
    )


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
        logarithmic=max(by_status.values(), default=0) > 1000,
        disable_xml_declaration=True,
        no_data_text="no objects",
        js=[],
    )
    for status in shown:
        chart.add(status, [{"value": by_status[status], "label": status}])
    image = base64.b64encode(chart.render(is_unicode=True).encode()).decode()
    return dg.MetadataValue.md(f"![{pair}](data:image/svg+xml;base64,{image})")
