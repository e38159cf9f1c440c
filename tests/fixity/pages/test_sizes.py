"""How large pages become: a million rows that are not ok, 2,000 buckets, keys of the longest."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path

import yaml

from fixity.catalog import load_catalog
from fixity.lake import LocalLake
from fixity.lake.database import open_database
from fixity.lake.paths import report_file, stats_file
from fixity.pages import INDEX, make_pages
from fixity.reports import COLUMNS, Counts, stats
from fixity.status import Check
from tests.fixity.pages.archive import keep_compared
from tests.fixity.pages.test_pages import answer, page, text
from tests.fixity.repair.places import Places

MOST = 2_000_000  # bytes
_ROWS = 1_000_000
_WORST_KEY = "<\x1b" * 512  # 1,024 bytes, of which every second does not show


def _many(places: Places, key: str, rows: int) -> None:
    """Give the pair a report with so many rows, all of them wrong."""
    lake = places.folder / "lake"
    with open_database(places.folder / "spill") as database:
        texts = {"bucket": "'a'", "key": key, "status": "'mismatch'", "detail": "'different sizes'"}
        columns = ", ".join(f"{texts.get(name, 'NULL')} AS {name}" for name in COLUMNS)
        database.execute(
            f"COPY (SELECT {columns} FROM range({rows})) TO '{lake / report_file('p', None)}' (HEADER)"
        )
    counts = Counts(total_objects=rows, mismatches=rows, rows=rows)
    times = {f"{side}_oldest_check": None for side in ("source", "replica")}
    (lake / stats_file("p", None)).write_text(json.dumps({**stats(counts), **times}))
    red = Check("no_mismatches", passed=False, severity="ERROR", description=f"{rows:,} objects differ")
    keep_compared(places, asdict(counts), (red,))


def test_a_page_of_a_million_rows_shows_the_first_says_so_and_links_the_csv(places: Places) -> None:
    _many(places, "'a/key/of/some/length/' || range || '.tiff'", _ROWS)
    make_pages(places.lake, places.catalog)
    assert answer(places, "pages/pair-p.html")[0] == "problem"
    assert "The first 200 of 1,000,000 objects." in text(places, "pages/pair-p.html")
    shown = page(places, "pages/pair-p.html").xpath("//h3//*[@class='key']")
    assert len(shown) == 200 and shown[0].text_content() == "a/key/of/some/length/0.tiff"
    (link,) = page(places, "pages/pair-p.html").xpath("//a[contains(., 'CSV')]/@href")
    assert (places.folder / "lake/pages" / link).resolve() == places.folder / "lake" / report_file("p", None)
    assert (places.folder / "lake/pages/pair-p.html").stat().st_size < MOST


def test_the_longest_and_oddest_keys_take_no_more(places: Places) -> None:
    _many(places, f"range || $${_WORST_KEY}$$", 1_000)
    make_pages(places.lake, places.catalog)
    assert (places.folder / "lake/pages/pair-p.html").stat().st_size < MOST
    assert "of 1,000 objects." in text(places, "pages/pair-p.html")


def test_the_first_page_of_2000_buckets_is_small_and_made_in_seconds(tmp_path: Path) -> None:
    names = [f"bucket-{number:04d}-{'x' * 178}" for number in range(2_000)]  # the longest that there may be
    catalog = {
        "lake": "./lake",
        "buckets": {name: {"path": f"./{name}"} for name in names},
        "pairs": {name: {"replica": other} for name, other in zip(names[::2], names[1::2], strict=True)},
    }
    file = tmp_path / "fixity.yaml"
    file.write_text(yaml.safe_dump(catalog))
    loaded, lake = load_catalog(file), LocalLake(tmp_path / "lake")
    make_pages(lake, loaded)
    began = time.process_time()
    assert make_pages(lake, loaded) == [INDEX]
    assert time.process_time() - began < 5
    assert (tmp_path / "lake" / INDEX).stat().st_size < MOST
