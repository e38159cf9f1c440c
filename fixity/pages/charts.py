"""Small charts as SVG, by pygal. What they show, and where, does not belong here.

A chart is part of the page's HTML and has the page's colours, light or dark. So everything else that pygal
writes into it is taken out: its own styles and scripts, and what only these use.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import pygal
from lxml import etree
from markupsafe import Markup

YEAR = timedelta(days=365)
_LEFT_OUT = ".//defs | .//desc | .//title | .//g[contains(@class, 'tooltip-overlay')] | .//comment()"


def trend(counts: Mapping[date, int], until: date, label: str) -> Markup:
    """The line of a count over the year that ends on a day; '' where fewer than two days are known.

    Arguments: `counts`, by day (UTC); a day without one has that of the day before. `label`, what the picture
    shows, for people who do not see it.
    """
    since = until - YEAR
    days = sorted(day for day in counts if day <= until)
    before = [day for day in days if day <= since][-1:]
    shown = [day for day in days if day > since]
    points = [(since, counts[day]) for day in before]
    last = counts[days[-1]] if days else 0
    for day in shown:
        if points and points[-1][0] < day - timedelta(days=1):
            points.append((day - timedelta(days=1), points[-1][1]))  # a step, no slope
        points.append((day, counts[day]))
    if not points or points[0][0] == until:
        return Markup()
    if points[-1][0] < until:
        points.append((until, last))
    most = max(count for _, count in points)
    chart = pygal.DateLine(
        width=720,
        height=180,
        margin=8,
        show_legend=False,
        show_dots=False,
        fill=True,
        range=(0, max(1, most)),
        xrange=(since, until),
        x_labels=_months(since, until),
        x_value_formatter=lambda day: f"{day:%b}",
        y_labels=sorted({0, most}),
        value_formatter=lambda value: f"{value:,.0f}",
        disable_xml_declaration=True,
        js=[],
    )
    chart.add(label, points)
    return _of_the_page(chart, label)


def _months(since: date, until: date) -> list[date]:
    months = [
        date(since.year + number // 12, number % 12 + 1, 1) for number in range(since.month, since.month + 13)
    ]
    return [month for month in months if since <= month <= until]


def _of_the_page(chart: pygal.DateLine, label: str) -> Markup:
    tree = chart.render_tree()
    for node in tree.xpath(_LEFT_OUT):
        node.getparent().remove(node)
    del tree.attrib["id"]  # a random one
    tree.set("role", "img")
    tree.set("aria-label", label)
    return Markup(etree.tostring(tree, encoding="unicode"))
