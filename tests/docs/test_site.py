"""The documentation builds as a site: every link leads somewhere, and nothing is fetched from elsewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def _build(repository: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """As `make docs` does."""
    options = ["--fail-on-warning", "--keep-going", "--quiet", "-c", "docs"]
    return subprocess.run(
        [sys.executable, "-m", "sphinx", *options, "-d", str(site.with_suffix(".cache")), ".", str(site)],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_link_of_the_documentation_leads_somewhere_and_nothing_is_fetched(tmp_path: Path) -> None:
    built = _build(REPOSITORY, tmp_path / "site")
    assert (built.returncode, built.stderr) == (0, "")
    pages = {
        page.relative_to(tmp_path / "site").as_posix(): page.read_text() for page in tmp_path.rglob("*.html")
    }
    assert {"index.html", "docs/tutorial/first-bucket.html", "docs/reference/catalog.html"} < pages.keys()
    for name, page in pages.items():
        fetched = re.findall(r"<(?:script|img|iframe|link)\b[^>]*(?:src|href)=\"(\w+:)?//", page)
        assert fetched == [], name


def test_a_link_to_nothing_a_lost_anchor_and_a_page_that_is_not_listed_fail_the_build(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    shutil.copy(REPOSITORY / "docs/conf.py", tmp_path / "docs")
    (tmp_path / "README.md").write_text(
        "# A\n[b](docs/nothing.md) [c](docs/README.md#nothing) ![d](no.png)\n"
    )
    (tmp_path / "docs/README.md").write_text("# All\n## Some\n[e](listed.md)\n")
    for name in ("listed", "forgotten"):
        (tmp_path / f"docs/{name}.md").write_text("# One\n")
    built = _build(tmp_path, tmp_path / "site")
    assert built.returncode == 1
    for problem in (
        "docs/nothing.md",
        "'nothing'",
        "no.png",
        "forgotten.md: WARNING: document isn't included",
    ):
        assert problem in built.stderr
    assert built.stderr.count("WARNING") == 4


def test_the_readme_is_short() -> None:
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()) < 120
