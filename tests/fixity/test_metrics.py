"""The metrics are those of the status, and can be read by Prometheus."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from fixity.catalog import load_catalog
from fixity.clock import utc_now
from fixity.lake import open_lake
from fixity.metrics import metrics_text
from fixity.status import Check, Result, Status, keep_result, status_of
from fixity_cli.main import app

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
OF_A = (("kind", "bucket"), ("name", "a"))


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    file = tmp_path / "fixity.yaml"
    file.write_text("lake: ./lake\nbuckets: {a: {path: a, fixity_every: 90d}, b: {path: b}}\n")
    return file


def status_at(file: Path, at: datetime) -> Status:
    catalog = load_catalog(file)
    return status_of(open_lake(catalog), catalog, at)


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (each.name, tuple(sorted(each.labels.items()))): each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
    }


def test_what_is_kept_becomes_numbers_and_what_is_not_known_has_none(catalog: Path) -> None:
    lake, place = open_lake(load_catalog(catalog)), load_catalog(catalog)
    where = place.place_of(place.buckets["a"])
    keep_result(lake, Result("inventory", "a", "1", AT, counts={"rows": 4, "bytes": 4096}))
    damage = (Check("no_damage", False, "ERROR", "1 damaged"),)
    checked = Result("checksums", "a", "2", AT, damage, {"bytes_read": 1024}, where, oldest=AT)
    keep_result(lake, checked)
    counts = {"objects": 4, "within_term": 1, "due": 2, "never": 1, "overdue": 2}
    keep_result(lake, Result("coverage", "a", "3", AT, (), counts, oldest=AT - timedelta(days=100)))
    found = samples(metrics_text(status_at(catalog, AT + timedelta(hours=1))))
    assert found["fixity_state", (*OF_A, ("state", "problem"))] == 1
    assert found["fixity_state", (*OF_A, ("state", "verified"))] == 0
    assert found["fixity_objects", OF_A] == 4 and found["fixity_bytes", OF_A] == 4096
    assert found["fixity_read_bytes", OF_A] == 1024 and found["fixity_coverage_ratio", OF_A] == 0.25
    assert found["fixity_red_checks", OF_A] == 1
    assert found["fixity_waiting_objects", (*OF_A, ("reason", "overdue"))] == 2
    oldest = found["fixity_oldest_evidence_timestamp_seconds", OF_A]
    assert oldest == (AT - timedelta(days=100)).timestamp()
    assert found["fixity_made_timestamp_seconds", ()] == (AT + timedelta(hours=1)).timestamp()
    of_b = (("kind", "bucket"), ("name", "b"))
    assert found["fixity_state", (*of_b, ("state", "unknown"))] == 1
    assert ("fixity_coverage_ratio", of_b) not in found and ("fixity_bytes", of_b) not in found


def test_the_file_for_the_textfile_collector_is_replaced_as_a_whole(catalog: Path, tmp_path: Path) -> None:
    out = tmp_path / "fixity.prom"
    out.write_text("of before")
    keep_result(open_lake(load_catalog(catalog)), Result("inventory", "a", "1", AT, counts={"rows": 4}))

    def ask(*words: str) -> int:
        return CliRunner().invoke(app, ["metrics", *words, "--catalog", str(catalog)]).exit_code

    assert ask("--out", str(out)) == 0 and ask("--out", str(tmp_path / "fixity.txt")) == 2
    found = samples(out.read_text())
    assert abs(found["fixity_made_timestamp_seconds", ()] - utc_now().timestamp()) < 60
    assert sorted(each.name for each in tmp_path.iterdir()) == ["fixity.prom", "fixity.yaml", "lake"]
    (tmp_path / "lake").rename(tmp_path / "lake-before")
    (tmp_path / "lake").write_text("no folder")  # what cannot be read leaves the old file as it is
    before = out.read_text()
    assert ask("--out", str(out)) == 3 and out.read_text() == before


@pytest.mark.parametrize("left", [None, "lake", "lake/status"])
def test_a_lake_whose_disk_is_away_makes_no_zeros(catalog: Path, tmp_path: Path, left: str | None) -> None:
    out = tmp_path / "fixity.prom"
    out.write_text("fixity_open_incidents 1\n")
    if left:
        (tmp_path / left).mkdir(parents=True)
    if left == "lake/status":  # where the disk was to be, the daemon goes on
        (tmp_path / left / "daemon.json").write_text("{}")
    asked = CliRunner().invoke(app, ["metrics", "--out", str(out), "--catalog", str(catalog)])
    assert asked.exit_code == 3 and "keeps no result of any run: mount its disk" in asked.output
    assert out.read_text() == "fixity_open_incidents 1\n"


def test_the_runs_of_dagster_are_counted_where_that_is_asked_for(catalog: Path) -> None:
    found = samples(metrics_text(status_at(catalog, AT), {"queued": 3, "started": 1}))
    assert found["fixity_runs", (("status", "queued"),)] == 3
