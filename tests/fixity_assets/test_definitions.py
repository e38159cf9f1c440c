"""What one job needs of a catalog's definitions is the same as among all of them, and imports little."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fixity.catalog import Catalog
from fixity_assets import definitions
from fixity_assets.definitions import build_definitions
from fixity_cli import explain
from jobs import all_jobs


def test_a_job_alone_is_the_job_that_the_ui_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    catalogs: list[Catalog] = []
    monkeypatch.setattr(definitions, "build_definitions", catalogs.append)
    explain.all_definitions()  # of a catalog that has a use for every job
    everything = build_definitions(catalogs[0])
    names = [job.name for job in all_jobs(catalogs[0])]  # those that the command may run
    assert len(names) > 15
    for name in names:
        alone = build_definitions(catalogs[0], job=name).resolve_job_def(name)
        among_all = everything.resolve_job_def(name)
        assert alone.get_job_snapshot_id() == among_all.get_job_snapshot_id(), name
        for key in among_all.asset_layer.selected_asset_keys:
            of_job, of_all = alone.asset_layer.get(key), among_all.asset_layer.get(key)
            assert of_job.parent_keys == of_all.parent_keys
            for parent in of_all.parent_keys:  # from which partitions something was made is kept with it
                assert alone.asset_layer.get(parent).partitions_def == (
                    among_all.asset_layer.get(parent).partitions_def
                )


def test_verifying_a_pair_of_folders_imports_nothing_that_it_has_no_use_for(tmp_path: Path) -> None:
    (tmp_path / "fixity.yaml").write_text(
        "lake: lake\nbuckets: {a: {path: a}, b: {path: b}}\npairs: {a: {replica: b}}\n"
    )
    for side in ("a", "b"):
        (tmp_path / side).mkdir()
        (tmp_path / side / "key").write_bytes(b"1")
    program = (
        "import sys\nfrom fixity_cli.main import app_with\n"
        "app_with('verify')(['verify', 'a'], standalone_mode=False)\n"
        "unused = {'sensors', 'apprise', 'boto3', 'duckdb', 'urllib3', 'cryptography', 'jinja2', 'antlr4', "
        "'fixity.repair', 'fixity.drills', 'fixity.pages', 'fixity.evidence', 'fixity_cli.init'}\n"
        "assert not unused & set(sys.modules), unused & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
