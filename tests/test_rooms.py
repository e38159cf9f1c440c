"""What the import contracts cannot say: no private module of Dagster; boto3 only where it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
INSTALLED = ("fixity", "resources", "jobs", "sensors", "fixity_assets", "fixity_cli")


def _imported(file: Path) -> set[str]:
    """The modules that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("room", INSTALLED)
def test_no_private_module_of_dagster_is_imported(room: str) -> None:
    files = list((ROOT / room).rglob("*.py"))
    private = {
        f"{file.relative_to(ROOT)}: {name}"
        for file in files
        for name in _imported(file)
        if name.startswith("dagster_shared") or (name.startswith("dagster") and "._" in name)
    }
    assert files and private == set()


@pytest.mark.parametrize(
    "program",
    [
        "import fixity_cli.main",
        "from fixity.buckets import open_bucket\n"
        "from fixity.catalog import load_catalog\n"
        "catalog = load_catalog()\n"
        "list(open_bucket(catalog, catalog.buckets['here']).list_objects())",
        "from fixity.lake import open_lake\n"
        "from fixity.catalog import load_catalog\n"
        "open_lake(load_catalog())",
        "import fixity.buckets.s3.address, fixity.catalog.clients",
    ],
    ids=["the command", "a local bucket", "a local lake", "a bucket whose address the catalog gives"],
)
def test_boto3_is_imported_only_where_a_client_is_made(tmp_path: Path, program: str) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "fixity.yaml").write_text("lake: ./lake\nbuckets: {here: {path: ./here}}\n")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{program}\nimport sys; sys.exit('boto3' in sys.modules or 'botocore' in sys.modules)",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
