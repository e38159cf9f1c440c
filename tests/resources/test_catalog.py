"""A process reads the catalog once, and again when its file has changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fixity.catalog import CatalogError
from resources import CatalogResource


def test_a_catalog_is_read_again_when_its_file_has_changed_also_within_its_time(tmp_path: Path) -> None:
    file = tmp_path / "fixity.yaml"
    resource = CatalogResource(file=str(file))
    with pytest.raises(CatalogError, match="there is no such file"):
        _ = resource.catalog
    file.write_text("lake: lake\nbuckets: {a: {path: a}}\n")
    time = file.stat().st_mtime_ns
    first = resource.catalog
    assert resource.catalog is first
    file.write_text("lake: lake\nbuckets: {another: {path: a}}\n")
    os.utime(file, ns=(time, time))
    assert list(resource.catalog.buckets) == ["another"]
    other = tmp_path / "other.yaml"
    other.write_text(file.read_text().replace("another", "instead"))  # as many bytes
    os.utime(other, ns=(time, time))
    other.rename(file)
    assert list(resource.catalog.buckets) == ["instead"]


def test_what_runs_are_copied_from_has_read_the_catalog_has_done_a_run_and_has_no_threads(
    tmp_path: Path,
) -> None:
    file = tmp_path / "fixity.yaml"
    file.write_text("lake: lake\nbuckets: {a: {path: a}}\n")
    program = (
        "import sys, threading, fixity_assets.loaded\n"
        "from resources import CatalogResource, catalog\n"
        "assert 'dagster._core.executor.in_process' in sys.modules\n"
        "assert threading.active_count() == 1\n"
        "catalog.load_catalog = None\n"
        "assert list(CatalogResource(file=sys.argv[1]).catalog.buckets) == ['a']\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(file)],
        cwd=tmp_path,
        env={**os.environ, "FIXITY_CATALOG": str(file)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
