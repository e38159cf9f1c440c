"""`python -m demo.pictures`: takes the pictures of the documentation, docs/*.png, of damaged buckets.

Take them again when the UI or a page has changed, and look at them. Needs Debian's chromium.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from demo.__main__ import CATALOG, REPLICA, SOURCE
from demo.collection import make_collection
from demo.spoiling import fill, spoil
from devstack.browser import CHROMIUM, chromium
from devstack.dagster_dev import DagsterDev, dagster_dev
from devstack.seaweedfs import SeaweedFS
from fixity.catalog import load_catalog
from fixity.incidents.state import incidents_now
from fixity.lake import open_lake
from fixity_cli.main import app

_DOCS = Path(__file__).parents[1] / "docs"


@dataclass(frozen=True)
class Picture:
    """A picture of a page. shows: a text that is there once the page is whole. size: in pixels."""

    name: str
    url: str
    shows: str
    size: tuple[int, int]


def main() -> None:
    """Take all pictures."""
    if CHROMIUM is None:
        sys.exit("Debian's chromium is not installed: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder, SeaweedFS(Path(folder, "server")) as server:
        home = Path(folder)
        file = home / "fixity.yaml"
        os.environ.update(server.environment, DAGSTER_HOME=str(home / "home"))
        file.write_text(CATALOG.format(endpoint=server.endpoint_url))
        make_collection(home / "files")
        spoil(server, fill(server.client(), home / "files", SOURCE, REPLICA), SOURCE, REPLICA)
        for words in (["verify", SOURCE], ["page"]):
            app([*words, "--catalog", str(file)], standalone_mode=False)
        incident = incidents_now(open_lake(load_catalog(file)))[0].id
        pages = (home / "lake/pages").as_uri()
        with dagster_dev(home, file) as dev:
            dev.wait_for(lambda: _materialized(dev), "status")
            report = f"{dev.url}/assets/fixity_report?view=partitions&partition={SOURCE}"
            _take(
                Picture("report", report, "missing_replica", (1700, 1300)),
                Picture("status", f"{dev.url}/assets/fixity_status", "3 problems", (1700, 1600)),
                Picture("page", f"{pages}/index.html", SOURCE, (1050, 1200)),
                Picture("incident", f"{pages}/incident-{incident}.html", incident, (1050, 1050)),
            )


def _materialized(dev: DagsterDev) -> bool:
    """Whether the daemon has made the status."""
    asked = dev.ask(
        "query ($asset: AssetKeyInput!) { assetOrError(assetKey: $asset) "
        "{ ... on Asset { assetMaterializations(limit: 1) { runId } } } }",
        asset={"path": ["fixity_status"]},
    )
    return bool(asked["assetOrError"].get("assetMaterializations"))


def _take(*pictures: Picture) -> None:
    with chromium() as browser:
        for picture in pictures:
            width, height = picture.size
            page = browser.new_page(viewport={"width": width, "height": height})
            page.goto(picture.url)
            page.get_by_text(picture.shows).first.wait_for(timeout=60_000)
            page.wait_for_load_state("networkidle")
            page.screenshot(path=_DOCS / f"{picture.name}.png")
            page.close()


if __name__ == "__main__":
    main()
