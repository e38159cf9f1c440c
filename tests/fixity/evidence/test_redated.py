"""Evidence and PREMIS events of tables that a wrong clock dated ahead, after a person has said so."""

from __future__ import annotations

import csv
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from lxml import etree

from fixity.catalog import load_catalog
from fixity.clock import utc_now
from fixity.ledger.clocks import redate
from fixity.log.keys import make_key
from fixity.reports.premis import Subject, export_events
from tests.fixity.evidence.conftest import Archive, Auditor
from tests.fixity.reports.premis.support import texts, valid
from tests.fixity.rolling.support import BUCKET, Rolling

DAY = timedelta(days=1)
SINCE = f"{utc_now() - 3 * DAY:%Y-%m-%d}"


@pytest.fixture
def redated(tmp_path: Path) -> Archive:
    """A new object was listed, and the damage of an old one found, by a clock that was 400 days ahead."""
    bucket = Rolling(tmp_path)
    file = tmp_path / "fixity.yaml"
    (tmp_path / BUCKET).mkdir()
    buckets = {BUCKET: {"path": BUCKET, "fixity_every": "90d"}}
    file.write_text(yaml.safe_dump({"lake": str(bucket.folder), "buckets": buckets}))
    bucket.time = utc_now() - 2 * DAY
    bucket.put("old")
    bucket.take_inventory()
    bucket.roll()
    bucket.store.damage("old")
    bucket.put("new")
    bucket.time += 400 * DAY
    bucket.take_inventory()
    bucket.roll(keys=["new", "old"])
    subject = Subject.of(load_catalog(file), BUCKET)
    assert export_events(bucket.lake, subject, "wrong", now=bucket.now).events == 3
    bucket.time = utc_now()
    assert len(list(redate(bucket.lake, BUCKET, bucket.time))) == 2
    bucket.time += timedelta(seconds=1)
    make_key(tmp_path / "key.pem")
    return Archive(bucket, file, tmp_path / "key.pem.pub", bucket.lake)


def test_a_package_has_what_a_wrong_clock_dated_ahead_at_the_times_that_count_and_an_auditor_finds_the_same(
    redated: Archive, tmp_path: Path, auditor: Auditor
) -> None:
    out = tmp_path / "evidence"
    package = redated.package(out, SINCE)
    assert package.problems == []
    (coverage,) = package.last_coverage
    wanted = {"objects": 2, "read_within_term": 2, "never_read": 0, "differs": 1}
    assert {name: coverage[name] for name in wanted} == wanted
    assert sum(row["checks"] for row in package.figures["checks_by_month"]) == 3
    assert {row["file"] for row in _rows(out / "data/redated.csv")} == {
        "lake/checksums/b/r00004.parquet",
        "lake/inventory/b/i00003.parquet",
    }
    assert (out / "data/lake/checksums/b/TIMES.json").is_file()
    for code, said in auditor.follow(out, redated.key):
        assert code == 0 and "DIFFERENT" not in said


def test_premis_that_was_exported_by_the_wrong_clock_stays_and_is_written_at_the_times_that_count(
    redated: Archive, tmp_path: Path
) -> None:
    exported = redated.bucket.folder / "premis/b/wrong.parquet"
    assert max(pq.read_table(exported)["event_datetime"].to_pylist()) > redated.bucket.time + 300 * DAY
    before = exported.read_bytes()
    out = tmp_path / "evidence"
    redated.package(out, SINCE)
    document = valid(etree.parse(str(out / "data/premis/b/000001.xml")).getroot())
    assert sorted(texts(document, "eventOutcome")) == ["fail", "success", "success"]
    times = [datetime.fromisoformat(each) for each in texts(document, "eventDateTime")]
    assert len(times) == 3 and max(times) < redated.bucket.time
    assert exported.read_bytes() == before


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))
