"""What the pages say: the answer first, nothing green over what is lost; made again only if they change."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import lxml.html
import pytest

from fixity.catalog import load_catalog
from fixity.clock import utc_now
from fixity.incidents.events import OPENED, Event, append
from fixity.lake import Lake, LocalLake
from fixity.lake.base import Seen
from fixity.lake.paths import report_file, stats_file, status_file
from fixity.lake.s3 import S3Lake
from fixity.pages import INDEX, make_pages
from fixity.status import Check
from tests.fixity.pages.archive import compare, keep_checked
from tests.fixity.repair.places import Places

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PAIR, BUCKET = "pages/pair-p.html", "pages/bucket-b.html"


def page(places: Places, name: str) -> lxml.html.HtmlElement:
    return lxml.html.fromstring(places.lake.read_bytes(name))


def answer(places: Places, name: str) -> tuple[str, str]:
    """The state of a page, and what it says first."""
    (said,) = page(places, name).find_class("answer")
    return said.get("class").removeprefix("answer "), said.findtext("h1")


def text(places: Places, name: str) -> str:
    (shown,) = page(places, name).xpath("//body")
    return " ".join(shown.text_content().split())


def test_the_first_page_says_that_everything_is_verified(places: Places) -> None:
    assert answer(places, INDEX) == ("verified", "Everything is verified")
    assert answer(places, PAIR) == ("verified", "The copy is the same as its source")
    assert "What needs you" not in text(places, INDEX)
    assert "6 objects in 2 buckets, 1 pair." in text(places, INDEX)


def test_what_no_bucket_or_pair_shows_is_told_on_the_first_page(places: Places) -> None:
    append(places.lake, [Event("inc-1", OPENED, utc_now(), run_id="r", bucket="old", key="k")])
    make_pages(places.lake, places.catalog)
    assert answer(places, INDEX) == ("warning", "Nothing wrong was found, with 1 warning")
    assert "1 open incident is of no bucket that the catalog has now (inc-1)" in text(places, INDEX)


def test_a_bucket_that_was_never_checked_is_unknown(unchecked: Places) -> None:
    make_pages(unchecked.lake, unchecked.catalog)
    assert answer(unchecked, INDEX) == ("unknown", "3 things are not known")
    assert answer(unchecked, BUCKET) == ("unknown", "It is not known whether this bucket is right")
    assert "it was never checkedWhat to do: fixity checksums b" in text(unchecked, BUCKET)


def test_two_empty_buckets_are_called_empty_not_the_same(unchecked: Places) -> None:
    for bucket in "ab":
        unchecked.check(bucket)
        keep_checked(unchecked, bucket)
    compare(unchecked)
    make_pages(unchecked.lake, unchecked.catalog)
    assert answer(unchecked, PAIR) == ("verified", "Both buckets are empty")
    assert answer(unchecked, BUCKET) == ("verified", "This bucket is empty")


def test_damage_is_told_with_the_object_the_copy_and_what_to_do(places: Places) -> None:
    places.corrupt("b", "two.txt")
    places.check("b")
    keep_checked(places, "b", Check("no_damage", passed=False, severity="ERROR", description="1 object"))
    compare(places)
    make_pages(places.lake, places.catalog)
    assert answer(places, INDEX) == ("problem", "2 things need you")
    said = text(places, PAIR)
    assert "which copy is bad 1 object. The whole report (CSV)" in said and "two.txt" in said
    assert "What to do: See what repairs it: fixity repair p" in said
    (incident,) = places.open_incidents
    assert answer(places, f"pages/incident-{incident.id}.html") == ("problem", "This is open: it needs you")
    assert "two.txtThe copy in b, open." in text(places, f"pages/incident-{incident.id}.html")
    links = page(places, INDEX).xpath("//a/@href")
    assert f"incident-{incident.id}.html" in links
    assert all((places.folder / "lake/pages" / link).exists() for link in links)


def _flip(file: Path) -> None:
    body = file.read_text()
    file.write_text(body.replace(",ok,", ",mismatch,", 1))


def _spoil(file: Path) -> None:
    file.write_bytes(b"\xff" + file.read_bytes()[1:])


@pytest.mark.parametrize("how", [Path.unlink, _flip, _spoil, lambda file: file.write_text("")])
def test_a_report_that_is_lost_or_rotten_makes_nothing_green(
    places: Places, how: Callable[[Path], None]
) -> None:
    how(places.folder / "lake" / report_file("p", None))
    make_pages(places.lake, places.catalog)
    assert answer(places, PAIR)[0] == "unknown"
    assert answer(places, INDEX) == ("unknown", "1 thing is not known")
    assert report_file("p", None) in text(places, INDEX)


@pytest.mark.parametrize("how", [Path.unlink, _spoil, lambda file: file.write_text("{}")])
def test_counts_that_are_lost_or_rotten_make_nothing_green(
    places: Places, how: Callable[[Path], None]
) -> None:
    how(places.folder / "lake" / stats_file("p", None))
    make_pages(places.lake, places.catalog)
    assert answer(places, PAIR)[0] == answer(places, INDEX)[0] == "unknown"


@pytest.mark.parametrize("how", [Path.unlink, _spoil])
def test_a_kept_result_that_is_lost_or_rotten_makes_nothing_green(
    places: Places, how: Callable[[Path], None]
) -> None:
    how(places.folder / "lake" / status_file("checksums", "b"))
    make_pages(places.lake, places.catalog)
    assert answer(places, BUCKET)[0] == answer(places, INDEX)[0] == "unknown"


def test_a_report_with_wrong_rows_is_not_green_whatever_was_kept(places: Places) -> None:
    lake = places.folder / "lake"
    _flip(lake / report_file("p", None))
    stats = lake / stats_file("p", None)
    stats.write_text(
        stats.read_text()
        .replace('"matches": 3', '"matches": 2')
        .replace('"mismatches": 0', '"mismatches": 1')
    )
    make_pages(places.lake, places.catalog)
    assert answer(places, PAIR)[0] == answer(places, INDEX)[0] == "unknown"


def test_a_rotten_snapshot_is_folded_again_and_counts(places: Places) -> None:
    (table,) = (places.folder / "lake/standing/b").glob("*/00000/objects.parquet")
    table.write_bytes(table.read_bytes()[:-9])
    make_pages(places.lake, places.catalog)
    assert answer(places, BUCKET)[0] == "verified"
    assert "100 %" in text(places, BUCKET)


def test_a_lost_ledger_makes_nothing_green(places: Places) -> None:
    places.lake.remove("standing/b/")  # which still has what was folded
    for file in (places.folder / "lake/checksums/b").glob("*.parquet"):
        _spoil(file)
    make_pages(places.lake, places.catalog)
    assert answer(places, BUCKET)[0] == answer(places, INDEX)[0] == "unknown"


def test_only_what_changed_is_made_again(places: Places) -> None:
    assert make_pages(places.lake, places.catalog) == [INDEX]
    keep_checked(places, "b")
    assert sorted(make_pages(places.lake, places.catalog)) == [BUCKET, INDEX]
    assert sorted(make_pages(places.lake, places.catalog, ["p"])) == [INDEX, PAIR]


def test_a_page_that_was_damaged_is_made_again(places: Places) -> None:
    (places.folder / "lake" / PAIR).write_text("cut")
    assert PAIR in make_pages(places.lake, places.catalog)
    assert answer(places, PAIR)[0] == "verified"


def test_the_page_of_what_is_gone_from_the_catalog_says_so(places: Places) -> None:
    smaller = places.catalog.model_copy(update={"pairs": {}})
    assert PAIR in make_pages(places.lake, smaller)
    assert answer(places, PAIR) == ("unknown", "pair p is not known any more")
    assert PAIR not in make_pages(places.lake, smaller)
    assert PAIR in make_pages(places.lake, places.catalog)
    assert answer(places, PAIR)[0] == "verified"


def test_all_pages_are_made_again_where_nobody_knows_from_what_they_were_made(places: Places) -> None:
    _spoil(places.folder / "lake/pages/made.json")
    assert len(make_pages(places.lake, places.catalog)) == 4
    assert answer(places, INDEX)[0] == "verified"


class _AnotherRun(LocalLake):
    """A lake where another run puts pages just before this one says what it has made."""

    tries = 0

    def put_if(self, name: str, text: str, seen: Seen | None) -> bool:
        self.tries += 1
        return super().put_if(name, text, seen) if self.tries > 1 else False


def test_the_last_of_two_runs_at_once_has_seen_what_both_know(places: Places) -> None:
    lake = _AnotherRun(places.folder / "lake")
    make_pages(lake, places.catalog)
    assert lake.tries == 2


def test_the_commands_on_a_page_verify_what_it_was_made_from(places: Places) -> None:
    for name in (INDEX, PAIR, BUCKET):
        (commands,) = page(places, name).xpath("//footer//pre")
        typed = commands.text_content()
        subprocess.run(["bash", "-ec", typed], check=True, capture_output=True)
    digest = hashlib.sha256((places.folder / "lake" / report_file("p", None)).read_bytes()).hexdigest()
    assert digest in text(places, PAIR)
    _flip(places.folder / "lake" / report_file("p", None))
    (commands,) = page(places, PAIR).xpath("//footer//pre")
    assert subprocess.run(["bash", "-ec", commands.text_content()], capture_output=True).returncode == 1


def test_an_incident_whose_events_are_rotten_stays_open_and_names_the_file(places: Places) -> None:
    places.opened("two.txt")
    (file,) = (places.folder / "lake/incidents").glob("*/*.parquet")
    _spoil(file)
    make_pages(places.lake, places.catalog)
    assert answer(places, INDEX) == ("problem", "3 things need you")
    (name,) = [each.name for each in places.lake.list("pages/") if "/incident-" in each.name]
    assert answer(places, name)[0] == "problem"
    assert f"lost or damaged: incidents/{file.parent.name}/{file.name}" in text(places, name)


def test_pages_are_made_in_any_lake_and_s3_serves_them_as_html(
    lake: Lake, tmp_path: Path, s3: S3Client, lake_bucket: str
) -> None:
    file = tmp_path / "fixity.yaml"
    file.write_text("lake: ./lake\nbuckets: {a: {path: ./a}}\n")
    make_pages(lake, load_catalog(file))
    assert b"1 thing is not known" in lake.read_bytes(INDEX)
    assert re.fullmatch(r"([0-9a-f]{64}  (bucket-a|index)\.html\n){2}", lake.read_text("pages/SHA256SUMS"))
    if isinstance(lake, S3Lake):
        head = s3.head_object(Bucket=lake_bucket, Key=f"{tmp_path.name}/{INDEX}")
        assert head["ContentType"] == "text/html; charset=utf-8"
