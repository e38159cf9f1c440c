"""The site of the documentation: `make docs` builds it with Sphinx from the repository's Markdown files.

The site has the paths of the repository, so that links are the same here and there. docs/README.md is the
only list of pages: its headings and links become the navigation. What a page says does not belong here.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from sphinx.application import Sphinx

REPOSITORY = Path(__file__).parents[1]

project = "fixity"
extensions = ["myst_parser"]
root_doc = "README"
include_patterns = ["*.md", "docs/**.md", "bench/*.md"]
exclude_patterns = [".*", "**/.*", "lake"]
highlight_language = "none"
myst_heading_anchors = 3  # named as forges name them
html_theme = "furo"
html_title = "fixity"
html_copy_source = False
html_show_copyright = False


def _navigation(_app: Sphinx, page: str, source: list[str]) -> None:
    """Give the first page the tables of contents from which the site's navigation is made."""
    if page != root_doc:
        return
    contents = (REPOSITORY / "docs/README.md").read_text(encoding="utf-8")
    source[0] += "\n```{toctree}\n:hidden:\n\ndocs/README\n```\n"
    for section in re.split(r"^## ", contents, flags=re.MULTILINE)[1:]:
        title = section.partition("\n")[0]
        pages = [(Path("docs") / link).as_posix() for link in re.findall(r"\]\(([^)#]+\.md)\)", section)]
        listed = "\n".join(each.removeprefix("docs/../").removesuffix(".md") for each in pages)
        source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n{listed}\n```\n"


def _first_page(app: Sphinx, error: Exception | None) -> None:
    """Servers show index.html first."""
    if error is None:
        shutil.copyfile(app.outdir / f"{root_doc}.html", app.outdir / "index.html")


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _navigation)
    app.connect("build-finished", _first_page)
