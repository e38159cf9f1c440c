"""The page of arithmetic in `docs/`: what a thousand million objects need, by policy and place.

How often is read and what it costs is reckoned as `fixity plan` does; how long work takes, from the figures
of RESULTS.md. Nothing is measured here. `python -m bench` writes the page anew with its results.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self

import duckdb
import jinja2
import yaml

from bench.results import DOCUMENT

if TYPE_CHECKING:
    from fixity.rolling.plan import BucketPlan

PAGE = Path(__file__).parent.parent / "docs" / "explanation" / "thousand-million.md"
OBJECTS = 1_000_000_000
_TEMPLATE = Path(__file__).with_suffix(".md.jinja")
_AT_A_TIME = 20_000_000
_YEAR = timedelta(days=365)
_LINE = 10e9 / 8  # bytes a second of a machine with 10 Gbit/s

# A file of an archive: some 100 KB in the median, a few of many GB. The exponential of a normal variable that
# two uniform ones give (Box and Muller); both are hashes of the object's number, so each run draws the same.
_SIZES = """
    SELECT count(*), sum(size), count(*) FILTER (size < 1048576)
    FROM (
        SELECT least(exp(11.5 + 2.6 * sqrt(-2 * ln(u)) * cos(2 * pi() * v)), 5e12)::BIGINT AS size
        FROM (
            SELECT (hash(i) % 1000000007 + 1) / 1000000008 AS u,
                (hash(i + 0.5) % 1000000007) / 1000000007 AS v
            FROM range(?, ?) AS numbers (i)
        )
    )
"""

_POLICIES = {
    "each object once a year": {"bytes": "365d"},
    "each object every 90 days": {"bytes": "90d"},
    "every two years, and a sample of 0.1 % a day": {"bytes": "730d", "sample": "0.1%/d"},
    "every 90 days by S3 Batch, a sample of 0.1 % a day by us": {
        "bytes": "90d",
        "sample": "0.1%/d",
        "by": "s3_batch",
    },
}
_PLACES = {
    "AWS, the platform in the bucket's region": ("near", {"egress_gb": 0}),
    "AWS, the platform elsewhere": ("far", {}),
    "Wasabi": ("wasabi", {}),
    "on-premises": ("own", {"egress_gb": 0, "get_1000": 0, "list_1000": 0}),
}
_STORES = {
    "near": {"region": "us-east-1"},
    "far": {"region": "us-east-1"},
    "wasabi": {"endpoint_url": "https://s3.eu-central-1.wasabisys.com"},
    "own": {"endpoint_url": "https://s3.example.org"},
}


@dataclass(frozen=True)
class Sizes:
    """A collection of which only the sizes are known: its objects, their bytes, how many are below 1 MiB."""

    objects: int
    size: int
    small: int

    @classmethod
    def drawn(cls, objects: int) -> Self:
        """The sizes of `objects` made-up files, drawn in pieces of which only the sums are kept."""
        sums = [0, 0, 0]
        with duckdb.connect() as database:
            database.execute("SET enable_progress_bar = false")
            for first in range(0, objects, _AT_A_TIME):
                found = database.execute(_SIZES, [first, min(first + _AT_A_TIME, objects)]).fetchone()
                sums = [before + more for before, more in zip(sums, found or (0, 0, 0), strict=True)]
        return cls(*map(int, sums))

    @classmethod
    def of_page(cls, page: str) -> Self:
        """The sizes that a page rests on."""
        found = re.search(r"([\d,]+) objects of ([\d,]+) bytes, ([\d,]+) of them below 1 MiB", page)
        assert found, "the page does not say what it rests on"
        return cls(*(int(each.replace(",", "")) for each in found.groups()))


def figure(results: str, name: str) -> float:
    """Ours of a row of RESULTS.md, in the row's unit. Raises LookupError if there is no such row."""
    found = re.search(rf"^\| {re.escape(name)} +\| ([\d.]+) ", results, re.MULTILINE)
    if found is None:
        raise LookupError(f"{DOCUMENT.name} has no row {name!r}: measure it")
    return float(found[1])


def page(sizes: Sizes, results: str) -> str:
    """The page, from the sizes and the text of RESULTS.md. Raises LookupError for a missing figure."""
    from fixity.catalog.prices import date_of_prices

    listing = figure(results, "listing of 100,000 into the inventory, CPU") / 1e6
    of_object = figure(results, "SHA-256 of 20,000 of 64 KiB, CPU") / 1e3
    of_gb = figure(results, "SHA-256 of 1 of 4 GiB, CPU")
    reading = sizes.objects * of_object + sizes.size / 1e9 * of_gb
    of_ten_million = {
        "pair's report": figure(results, "report, 10,000,000 rows a side: wall time"),
        "fold of all checks": figure(results, "folding the checks of 10,000,000 objects: wall time"),
        "S3's completion report": figure(
            results, "S3's completion report to checksums, 10,000,000 rows: wall time"
        ),
    }
    templates = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown, of our own numbers and words
    )
    templates.filters["hours"] = lambda seconds: f"{seconds / 3600:,.1f} h"
    return templates.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        sizes=sizes,
        pages=-(-sizes.objects // 1000),
        listing=sizes.objects * listing,
        reading=reading,
        line=sizes.size / _LINE,
        steps={name: seconds * sizes.objects / 10_000_000 for name, seconds in of_ten_million.items()},
        plans=_plans(sizes),
        reading_of=lambda plan: plan.reads * of_object + plan.bytes_read / 1e9 * of_gb,
        year=_YEAR.total_seconds(),
        line_rate=_LINE,
        prices_of=date_of_prices(),
    )


def _plans(sizes: Sizes) -> list[tuple[str, str, BucketPlan]]:
    """What each policy does in each place in a year, where it can be had there."""
    from fixity.catalog import load_catalog
    from fixity.rolling.plan import Holding, plan_bucket

    holding = Holding(sizes.objects, sizes.size, "made up")
    wanted = {
        f"{store}-{number}": (policy, place, store, settings)
        for number, (policy, settings) in enumerate(_POLICIES.items())
        for place, (store, _) in _PLACES.items()
        if settings.get("by") != "s3_batch" or store == "near"
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "fixity.yaml")
        said = {
            "lake": "./lake",
            "stores": _STORES,
            "prices": {store: prices for store, prices in _PLACES.values() if prices},
            "s3_batch": {
                "account_id": "111122223333",
                "report_bucket": "reports",
                "role_arn": "arn:aws:iam::111122223333:role/fixity",
            },
            "buckets": {
                bucket: {"store": store, "policy": settings, "batch_items": 1_000_000, "batch_interval": "1h"}
                for bucket, (_, _, store, settings) in wanted.items()
            },
        }
        file.write_text(yaml.safe_dump(said), encoding="utf-8")
        catalog = load_catalog(file)
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        (policy, place, plan_bucket(catalog, catalog.buckets[bucket], holding, begin, _YEAR))
        for bucket, (policy, place, _, _) in wanted.items()
    ]


def write(sizes: Sizes | None = None) -> None:
    """Write the page from what RESULTS.md says now; by default with the sizes that it rests on already."""
    rests_on = sizes or Sizes.of_page(PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(page(rests_on, DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write(Sizes.drawn(OBJECTS))
