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
from fixity.lake.proof import sealed
from fixity.ledger.clocks import redate
from fixity.log.keys import make_key, signing_key
from fixity.log.redated import REDATED
from fixity.log.seals import Sealer
from fixity.log.verify import verify
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


@pytest.mark.parametrize("copy", ["there", "lost too"])
def test_a_lost_note_of_what_was_dated_ahead_stops_no_package_which_says_what_it_lacks(
    redated: Archive, tmp_path: Path, auditor: Auditor, copy: str
) -> None:
    lake, out = redated.bucket.folder, tmp_path / "evidence"
    note = "checksums/b/TIMES.json"
    (lake / note).unlink()
    if copy != "there":
        (lake / "log/records" / note).write_text("torn")
    package = redated.package(out, SINCE)
    problems = {row["file"]: row["problem"] for row in _rows(out / "data/problems.csv")}
    rests = "rest on what its copy" if copy == "there" else "rest on the times that these have"
    assert "TIMES.json is gone" in problems[note] and rests in problems[note]
    assert {
        "PREMIS events of b",
        "the lives of objects in b, and which are damaged or lost today",
    } < problems.keys()
    assert any(text.startswith("files of the lake that could not be used") for text in package.wrong)
    (coverage,) = package.last_coverage
    if copy == "there":
        assert (coverage["read_within_term"], coverage["differs"]) == (2, 1)
        assert {"lake/checksums/b/r00004.parquet"} < {row["file"] for row in _rows(out / "data/redated.csv")}
    assert all(code == 0 and "DIFFERENT" not in said for code, said in auditor.follow(out, redated.key))


@pytest.mark.parametrize("harm", ["lost", "edited"])
def test_what_a_seal_has_of_a_note_is_missed_where_the_note_and_its_copy_do_not_say_it_any_more(
    redated: Archive, tmp_path: Path, auditor: Auditor, harm: str
) -> None:
    lake, note = redated.bucket.folder, "checksums/b/TIMES.json"
    sealer = Sealer(redated.lake, signing_key(str(tmp_path / "key.pem")), lambda kept: {}, redated.bucket.now)
    sealer.begin()
    assert sealer.seal().seal.notes.get(REDATED) is None  # once is enough
    before = (lake / note).read_text()
    assert verify(redated.lake, sealer.key.public).unbroken
    for name in (note, f"log/records/{note}"):
        if harm == "lost":
            (lake / name).unlink()
        else:
            (lake / name).write_text(sealed({"r00004": (redated.bucket.time + DAY).isoformat()}))
    (found,) = verify(redated.lake, sealer.key.public).findings
    assert (found.name, found.what) == (note, "deleted" if harm == "lost" else "edited")
    assert "checksums/b/r00004.parquet" in found.text and found.when == "between seal 1 and now"
    package = redated.package(tmp_path / "evidence", SINCE)
    problems = dict(package.problems)
    assert "does not say any more what a seal has of it" in problems[note]
    (coverage,) = package.last_coverage
    assert (coverage["read_within_term"], coverage["differs"]) == (2, 1)  # by what the seal has
    for name in (note, f"log/records/{note}"):
        (lake / name).write_text(before)
    assert verify(redated.lake, sealer.key.public).unbroken
    assert redated.package(tmp_path / "again", SINCE).problems == []
    assert [code for code, _ in auditor.follow(tmp_path / "again", redated.key) if code] == []


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))
