"""`fixity plan` as a process: its figures, its JSON, and its status where a policy cannot be met."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from fixity.catalog import load_catalog
from fixity.clock import utc_now
from fixity.lake import open_lake
from fixity.lake.times import count_as
from tests.command import run_command


def test_a_plan_says_what_is_read_and_paid_and_ends_red_where_the_limits_cannot_do_it(tmp_path: Path) -> None:
    catalog = tmp_path / "fixity.yaml"
    catalog.write_text(
        "lake: ./lake\nbuckets:\n  a: {holds: {objects: 1000, bytes: 1TB}, fixity_every: 73d}\n"
        "  b: {path: b}\n"
    )
    planned = run_command(["plan", "--months", "6"], tmp_path, os.environ)
    assert planned.returncode == 0, planned.stderr
    assert "Plan of a for 6 months:" in planned.stdout and "2,500 times an object" in planned.stdout
    assert "none: it is checked by hand" in planned.stdout and "$" in planned.stderr
    said = json.loads(run_command(["plan", "--json"], tmp_path, os.environ).stdout)
    first, second = said["rows"]
    assert (said["status"], first["bucket"], first["reads"], first["jobs"]) == (0, "a", 5000, 0)
    assert first["dollars"] == pytest.approx(5000 * 0.09 + 5 * 0.0004 + 365 * 0.000005)
    assert (second["bucket"], second["term_days"], second["dollars"]) == ("b", None, None)
    (tmp_path / "b").mkdir()
    for number in range(3):
        (tmp_path / "b" / str(number)).write_text("content")
    assert run_command(["inventory", "b"], tmp_path, os.environ).returncode == 0
    limits = "{path: b, fixity_every: 1d, batch_items: 1, batch_interval: 24h}"
    catalog.write_text(f"lake: ./lake\nbuckets:\n  b: {limits}\n")
    red = run_command(["plan"], tmp_path, os.environ)
    assert red.returncode == 1 and "needs 3 objects a day, but `batch_items`" in red.stderr


def test_the_check_of_a_catalog_says_each_term_and_counts_the_pairs_that_it_lists(tmp_path: Path) -> None:
    (tmp_path / "fixity.yaml").write_text(
        "lake: ./lake\nbuckets: {a: {fixity_every: 12h}, b: {}, c: {}}\npairs: {a: {replicas: [b, c]}}\n"
    )
    said = run_command(["catalog", "check"], tmp_path, os.environ).stdout
    assert "bucket a: " in said and "SHA256, checked every 0.5 days, listed every 1 days" in said
    assert "3 buckets, 3 pairs" in said and said.count("\npair ") == 3


def test_an_inventory_that_cannot_be_read_hides_neither_the_plan_nor_the_coverage_of_other_buckets(
    tmp_path: Path,
) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text(name)
    buckets = "a: {path: a, fixity_every: 30d}, b: {path: b, fixity_every: 30d}"
    (tmp_path / "fixity.yaml").write_text(f"lake: ./lake\nbuckets: {{{buckets}}}\n")
    for name in "ab":
        assert run_command(["inventory", name], tmp_path, os.environ).returncode == 0
    (inventory,) = (tmp_path / "lake/inventory/a").glob("*.parquet")
    os.truncate(inventory, 500)
    planned = run_command(["plan"], tmp_path, os.environ)
    assert planned.returncode == 3 and f"a: {inventory} is not a whole table" in planned.stderr
    assert "its inventory cannot be read" in planned.stdout
    assert "Plan of b for 12 months:" in planned.stdout and "the inventory of" in planned.stdout
    covered = run_command(["coverage"], tmp_path, os.environ)
    assert covered.returncode == 1 and f"{inventory} is not a whole table" in covered.stderr
    assert "Coverage of b:" in covered.stdout
    said = json.loads(run_command(["status", "--json"], tmp_path, os.environ).stdout)
    (row,) = [row for row in said["rows"] if row["name"] == "a"]
    assert row["state"] == "problem" and "not a whole table" in str(row["red"]) and row["coverage"] is None


def test_a_lost_note_of_what_a_wrong_clock_dated_hides_no_coverage_of_other_buckets(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text(name)
    buckets = "a: {path: a, fixity_every: 30d}, b: {path: b, fixity_every: 30d}"
    (tmp_path / "fixity.yaml").write_text(f"lake: ./lake\nbuckets: {{{buckets}}}\n")
    assert run_command(["checksums", "--all"], tmp_path, os.environ).returncode == 0
    lake = open_lake(load_catalog(tmp_path / "fixity.yaml"))
    count_as(lake, "checksums/a/", {"of-before": utc_now()})
    lake.discard("checksums/a/TIMES.json")
    lake.remove("standing/a/")
    covered = run_command(["coverage"], tmp_path, os.environ)
    assert covered.returncode == 1 and "TIMES.json is gone" in covered.stderr
    assert "fixity lake redate a" in covered.stderr and "Coverage of b:" in covered.stdout
    assert run_command(["lake", "redate", "a"], tmp_path, os.environ).returncode == 0
    again = run_command(["coverage"], tmp_path, os.environ)
    assert "Coverage of a:" in again.stdout and "TIMES.json" not in again.stderr
