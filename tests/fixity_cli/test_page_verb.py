"""`fixity page`: makes the pages and says where the first one is, without Dagster."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fixity_cli.main import app

_WITHOUT_DAGSTER = """
import sys
from fixity_cli.main import app
app(sys.argv[1:], standalone_mode=False)
print([name for name in sys.modules if name.partition(".")[0] == "dagster"])
"""


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """A catalog of two directories that nobody has checked."""
    file = tmp_path / "fixity.yaml"
    file.write_text("lake: ./lake\nbuckets: {a: {path: ./a}, b: {path: ./b}}\npairs: {a: {replica: b}}\n")
    return file


def test_it_says_where_the_first_page_is_and_imports_no_dagster(catalog: Path) -> None:
    typed = [sys.executable, "-c", _WITHOUT_DAGSTER, "page", "--catalog", str(catalog)]
    done = subprocess.run(typed, capture_output=True, text=True, check=True)
    first = catalog.parent / "lake/pages/index.html"
    assert done.stdout.splitlines() == [f"First page: {first}", "[]"]
    assert "4 pages were made" in done.stderr
    assert "3 things are not known" in first.read_text()


def test_a_name_that_the_catalog_does_not_have_is_refused(catalog: Path) -> None:
    done = CliRunner().invoke(app, ["page", "c", "--catalog", str(catalog)])
    assert done.exit_code == 2
    assert "the catalog has no bucket or pair 'c'" in done.output
    assert not (catalog.parent / "lake").exists()
