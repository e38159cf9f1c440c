"""The pages in a browser: light and dark, on a phone, for people who do not see them, whatever keys hold."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from devstack.browser import CHROMIUM, chromium
from fixity.clock import utc_now
from fixity.pages import make_pages
from fixity.status import Check
from tests.fixity.pages.archive import compare, keep_checked
from tests.fixity.repair.places import Places

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</p></li></ul><script>document.body.remove()</script>",
    "ansi/\x1b[31mred\x1b[0m\x07",
    "rtl/\u202egnp.exe",
    "עברית/שלום.txt",
    "\"quotes\" and 'more' & &amp; {{ 7 * 7 }}",
    " blanks at both ends ",
    "z" + "\u0301" * 60,
    "/".join(["long" * 50] * 5),
    "x" * 255,
]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None, reason="Debian's chromium is not installed (apt-get install chromium)"
    ),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def damaged(unchecked: Places) -> Path:
    """The folder of pages of a pair with damaged objects whose keys are odd."""
    places = unchecked
    places.both("fine.txt", *HOSTILE)
    for key in HOSTILE:
        places.corrupt("b", key)
    places.check("b")
    keep_checked(places, "a")
    keep_checked(places, "b", Check("no_damage", passed=False, severity="ERROR", description=HOSTILE[0]))
    for day in (200, 100):
        compare(places, utc_now().replace(microsecond=0) - timedelta(days=day))
    compare(places)
    make_pages(places.lake, places.catalog)
    return places.folder / "lake" / "pages"


def test_pages_are_accessible_fit_a_phone_fetch_nothing_and_show_every_key(
    browser: Browser, damaged: Path
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    files = sorted(damaged.glob("*.html"))
    assert len(files) == 5
    looks: list[tuple[Literal["light", "dark"], int]] = [("light", 1280), ("dark", 390)]
    for scheme, width in looks:
        context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 844})
        page = context.new_page()
        fetched: list[str] = []
        complaints: list[str] = []
        _note(page, fetched, complaints)
        for file in files:
            page.goto(file.as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") == width, file.name
            assert page.locator("footer").is_visible() and page.locator("img, script").count() == 0
            if file.name.startswith(("pair", "bucket-b", "incident")):
                keys = page.locator("h3 .key").all_inner_texts()
                assert sorted(keys) == sorted(map(_as_shown, HOSTILE)), file.name
            assert complaints == []
            found = Axe().run(page)  # its script goes round the page's policy
            assert found.violations_count == 0, (file.name, scheme, found.generate_report())
        assert fetched == [file.as_uri() for file in files]
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == {"light": "rgb(251, 250, 248)", "dark": "rgb(21, 23, 26)"}[scheme]
        context.close()


def _note(page: Page, fetched: list[str], complaints: list[str]) -> None:
    """Note what a page fetches, and what the browser says against it."""
    page.on("request", lambda request: fetched.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))


def _as_shown(key: str) -> str:
    shown = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in key)
    inner = shown.strip(" ")
    return "␣" * (len(shown) - len(shown.lstrip(" "))) + inner + "␣" * (len(shown) - len(shown.rstrip(" ")))
