"""The costs in docs/how-to/sizing.md are those of the table of prices."""

from __future__ import annotations

import re
from pathlib import Path

from fixity.catalog import Store
from fixity.catalog.prices import prices_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "sizing.md"
OBJECTS, GB = 40_000_000, 40_000_000 * 1024 * 1024 / 1e9


def test_the_costs_of_the_example_are_reckoned_from_the_table_of_prices() -> None:
    prices = prices_of(Store(name="aws"), {}).model_dump()
    requests = OBJECTS / 1000 * prices["get_1000"] + OBJECTS / 1_000_000 * prices["list_1000"]
    jobs = OBJECTS / 1_000_000 * (prices["batch_million"] + prices["batch_million_listed"])
    expected = [
        (requests, 0.0),
        (requests, GB * prices["egress_gb"]),
        (prices["batch_job"] + jobs, GB * prices["batch_gb"]),
    ]
    row = re.compile(r"^\| [^|]+ \| ([\d,.]+) \$ \| ([\d,.]+) \$ \| ([\d,.]+) \$ \|$", re.MULTILINE)
    said = [tuple(float(each.replace(",", "")) for each in found) for found in row.findall(PAGE.read_text())]
    assert said == [tuple(round(each, 2) for each in (a, b, a + b)) for a, b in expected]
