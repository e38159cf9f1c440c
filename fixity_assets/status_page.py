"""For the page of `fixity_status` in the UI: the rows, the worst first, and a chart of how many are in which
state.

The UI shows tables and charts only after a click, but the columns of an asset at once: so the rows that are
not verified are shown as columns, too. What the status says does not belong here.
"""

from __future__ import annotations

import base64
import re

import dagster as dg
import pygal
from pygal.style import Style

from fixity.catalog import Catalog
from fixity.humanize import printable
from fixity.status import STATES, Status, StatusRow
from fixity.status.advice import facts, finding_text, summary_line, to_do, wrong_with
from fixity_assets.describe import rows_table

_HEX = {"problem": "#c0392b", "unknown": "#7f8c8d", "warning": "#d4a017", "verified": "#2e9e5b"}
_COLUMNS = ("state", "kind", "name", "wrong", "to_do", "checked", "oldest_evidence", "open_incidents")
_SHOWN = 1000
_LONGEST = 500


def status_table(status: Status, catalog: Catalog) -> dg.TableMetadataValue:
    """The first rows as a table of the UI, the worst first."""
    rows = (
        {
            "state": row.state,
            "kind": row.kind,
            "name": row.name,
            "wrong": printable("; ".join(wrong_with(row)), _LONGEST),
            "to_do": to_do(row, catalog),
            "checked": facts(row, status.at),
            "oldest_evidence": row.oldest_evidence,
            "open_incidents": len(row.open_incidents),
        }
        for row in status.rows[:_SHOWN]
    )
    return rows_table(
        rows,
        [dg.TableColumn(name, "int" if name == "open_incidents" else "string") for name in _COLUMNS],
    )


def status_columns(status: Status, catalog: Catalog) -> dg.TableSchema:
    """The first rows as if they were the asset's columns, which the UI shows without a click."""
    platform = [_plain(finding_text(finding)) for finding in status.platform]
    everything = "\n\n".join([state_chart(status).md_str or "", summary_line(status), *platform])
    rows = [
        dg.TableColumn(f"{row.kind} {row.name}", row.state, description=_words(row, status, catalog))
        for row in status.rows[:_SHOWN]
    ]
    return dg.TableSchema(columns=[dg.TableColumn("everything", status.state, description=everything), *rows])


def _words(row: StatusRow, status: Status, catalog: Catalog) -> str:
    next_step = to_do(row, catalog)
    texts = [*wrong_with(row), facts(row, status.at)]
    lines = [_plain(printable(text, _LONGEST)) for text in texts if text]
    return "\n\n".join([*lines, *([f"**To do:** {_plain(next_step)}"] if next_step else [])])


def _plain(text: str) -> str:
    """A text in which nothing means anything in Markdown or HTML: it may have keys in it."""
    return re.sub(r"([^\w\s.,;:/'-])|_", lambda found: f"&#{ord(found[0])};", text)


def state_chart(status: Status) -> dg.MarkdownMetadataValue:
    """How many pairs and buckets are in which state, as stacked bars."""
    kinds = ("bucket", "pair")
    chart = pygal.HorizontalStackedBar(
        style=Style(
            background="white",
            plot_background="white",
            colors=tuple(_HEX[state] for state in STATES),
            font_family="sans-serif",
        ),
        width=400,
        height=160,
        print_values=True,
        legend_at_bottom=True,
        disable_xml_declaration=True,
        explicit_size=True,
        js=[],
        show_x_guides=False,
        show_y_guides=False,
        show_y_labels=False,
        formatter=lambda count: f"{count:,}" if count else "",
    )
    chart.x_labels = [f"{kind}s" for kind in kinds]
    by_state = status.by_state()
    for state in STATES:
        chart.add(state, [sum(row.kind == kind for row in by_state[state]) or None for kind in kinds])
    return svg_image(chart, "status")


def svg_image(chart: pygal.Graph, text: str) -> dg.MarkdownMetadataValue:
    """A chart as an image in Markdown. Arguments: `text`, shown where images are not."""
    image = base64.b64encode(chart.render(is_unicode=True).encode()).decode()
    return dg.MetadataValue.md(f"![{text}](data:image/svg+xml;base64,{image})")
