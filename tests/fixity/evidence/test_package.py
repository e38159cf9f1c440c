"""The package for an auditor: what it says is right, anybody can verify it, and it appears whole or never."""

from __future__ import annotations

import csv
import json
import shutil
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import bagit
import pytest
from lxml import etree, html
from typer.testing import CliRunner

from devstack.seaweedfs import REGION, SeaweedFS
from fixity.catalog import Store, load_catalog
from fixity.errors import WrongUsage
from fixity.evidence.make import Package, make_package
from fixity.evidence.order import Order
from fixity.lake import open_lake
from fixity.lake.proof import proof_file, sealed, unsealed
from fixity.lake.s3 import S3Lake
from fixity.log.keys import make_key
from fixity.log.manifest import seal_text
from fixity_cli.main import app
from tests.fixity.evidence.conftest import ODD, UNREAD, WITHDRAWN, Archive, Auditor
from tests.fixity.reports.premis.support import SCHEMA
from tests.fixity.support import sha256

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Bag = tuple[Path, Package]


def _copied(archive: Archive, tmp_path: Path) -> Archive:
    folder = tmp_path / "archive"
    shutil.copytree(archive.file.parent, folder)
    file = folder / "fixity.yaml"
    file.write_text(file.read_text().replace(str(archive.file.parent), str(folder)))
    return replace(archive, file=file, lake=open_lake(load_catalog(file)))


def _rows(bag: Path, name: str) -> list[dict[str, str]]:
    with (bag / "data" / name).open(newline="", encoding="utf-8") as text:
        return list(csv.DictReader(text))


def test_an_auditor_follows_the_readme_with_sha256sum_openssl_and_duckdb_alone(
    archive: Archive, bag: Bag, auditor: Auditor
) -> None:
    bagit.Bag(str(bag[0])).validate()
    whole, tags, log, figures = auditor.follow(bag[0], archive.key)
    assert (whole, tags) == ((0, ""), (0, ""))
    others, stamped, end = log[1].splitlines()
    assert (log[0], end) == (0, "5 seals: nothing is wrong.")
    assert others == (
        "8 files that seals have are not in this package: of other times or buckets, withdrawn, or gone "
        "(data/problems.csv)"
    )
    assert stamped.startswith("log/seals/00000002.sha256 was there at: ")
    assert figures[0] == 0
    assert [line.split() for line in figures[1].splitlines()] == [
        ["coverage", "4", "same"],
        ["checks_by_month", "2", "same"],
        ["exceptions", "2", "same"],
        ["incidents", "2", "same"],
        ["drills", "1", "same"],
        ["reports", "1", "same"],
        ["software", "1", "same"],
    ]


def test_the_figures_are_right(bag: Bag) -> None:
    last = _rows(bag[0], "figures/coverage.csv")[-2:]
    names = (
        "objects",
        "read_within_term",
        "read_longer_ago",
        "never_read",
        "unreadable",
        "archived",
        "differs",
    )
    assert [[row[name] for name in names] for row in last] == [
        ["5", "0", "3", "0", "1", "1", "0"],  # at the end of March: read on 1 January, every 90 days
        ["5", "2", "0", "1", "1", "1", "1"],
    ]
    months = _rows(bag[0], "figures/checks_by_month.csv")
    of_month = ("month", "checks", "registered", "matched", "differs", "failed")
    assert [[row[name] for name in of_month] for row in months] == [
        ["2026-01", "4", "3", "0", "0", "1"],
        ["2026-04", "4", "0", "2", "1", "1"],
    ]
    exceptions = _rows(bag[0], "figures/exceptions.csv")
    assert [(row["key"], row["differed"], row["failed"]) for row in exceptions] == [
        ("plain", "1", "0"),
        (UNREAD, "0", "2"),
    ]
    closed, still_open = _rows(bag[0], "figures/incidents.csv")
    assert [closed[name] for name in ("incident_id", "state", "ended_by", "reason", "objects")] == [
        "closed-one", "closed", "Ann", "restored, by hand", "1"
    ]  # fmt: skip
    assert [still_open[name] for name in ("incident_id", "state", "objects", "objects_open")] == [
        "open-one", "open", "2", "1"
    ]  # fmt: skip
    (drill,) = _rows(bag[0], "figures/drills.csv")
    assert [drill[name] for name in ("objects", "found", "found_in_time", "slowest_hours")] == [
        "2", "2", "1", "3.0"
    ]  # fmt: skip
    (report,) = _rows(bag[0], "figures/reports.csv")
    assert (report["objects"], report["matches"], report["mismatches"]) == ("3", "2", "1")


def test_the_lives_of_all_that_were_not_right_are_there_whatever_their_keys(bag: Bag) -> None:
    lives = _rows(bag[0], "exceptions/b/history.csv")
    assert {row["key"] for row in lives} == {"plain", "gone", UNREAD, ODD}
    assert [row["what"] for row in lives if row["key"] == "gone"] == [
        "written",
        "listed",
        "check",
        "check",
        "gone",
    ]
    assert [row["key"] for row in _rows(bag[0], "exceptions/b/lost.csv")] == ["gone"]


def test_the_summary_says_what_is_wrong_and_loads_nothing(bag: Bag) -> None:
    assert bag[1].wrong == [
        "objects with other bytes than expected when they were last read in the period: 1",
        "damaged objects, as of today: 1",
        "lost objects, as of today: 1",
        "unreadable objects: 1",
        "open incidents: 1",
    ]
    page = html.parse(str(bag[0] / "data/summary.html")).getroot()
    assert page.findtext(".//h1") == "Something is wrong"
    assert "restored, by hand" in page.text_content() and "4.4.1.2" in page.text_content()
    assert page.xpath("//script | //img | //link | //*[@src]") == []
    assert bag[1].notes == []


def test_premis_of_the_period_is_valid_and_the_contents_are_named_for_machines(bag: Bag) -> None:
    document = etree.parse(str(bag[0] / "data/premis/b/000001.xml"))
    SCHEMA.assertValid(document)
    crate = json.loads((bag[0] / "data/ro-crate-metadata.json").read_text())
    entities = {each["@id"]: each for each in crate["@graph"]}
    assert entities["ro-crate-metadata.json"]["about"] == {"@id": "./"}
    parts = [each["@id"] for each in entities["./"]["hasPart"]]
    assert all((bag[0] / "data" / name).exists() and name in entities for name in parts)
    there = {f"{file.name}/" if file.is_dir() else file.name for file in (bag[0] / "data").iterdir()}
    assert there == {*parts, "ro-crate-metadata.json"}


def test_what_is_of_other_buckets_or_times_is_not_in_it(bag: Bag) -> None:
    names = {str(file.relative_to(bag[0] / "data/lake")) for file in (bag[0] / "data/lake").rglob("*.*")}
    assert not any("elsewhere" in name or "b_2" in name or "2025-12-31" in name for name in names)
    assert "metadata/2026-04-01/checksums/stats/r1/b_checksum-report.json" in names


def test_what_was_withdrawn_is_no_problem_and_said_with_its_reason(bag: Bag) -> None:
    assert _rows(bag[0], "withdrawn.csv") == [{"file": WITHDRAWN, "reason": "its term is over"}]
    assert bag[1].problems == []
    said = "files that were removed from the lake on purpose (withdrawn.csv says why): 1"
    assert said in (bag[0] / "data/summary.html").read_text()


@pytest.mark.parametrize(
    ("file", "step", "said"),
    [
        ("data/figures/coverage.csv", 3, "coverage 4 DIFFERENT"),
        (
            "data/lake/metadata/2026-04-01/checksums/stats/r1/b_checksum-report.json",
            2,
            "WRONG: log/seals/00000003",
        ),
        ("data/lake/log/seals/00000002.sha256", 2, "WRONG: the signature of log/seals/00000002.sha256"),
        ("data/lake/log/seals/00000002.sha256", 2, "WRONG: log/seals/00000003.sha256"),
    ],
)
def test_what_was_edited_in_the_package_is_found_by_the_steps_of_the_readme(
    archive: Archive, bag: Bag, auditor: Auditor, tmp_path: Path, file: str, step: int, said: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bag[0], copy)
    text = (copy / file).read_text()
    (copy / file).write_text(
        text.replace("2", "7") if "seals" not in file else text.replace("at: 2026", "at: 2027")
    )
    steps = auditor.follow(copy, archive.key)
    assert steps[0][0] == 1 and file in steps[0][1]
    assert said in steps[step][1]
    assert step == 3 or steps[step][0] == 1


def test_a_seal_that_is_missing_or_a_log_of_another_key_is_found(
    archive: Archive, bag: Bag, auditor: Auditor, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bag[0], copy)
    (copy / "data/lake/log/seals/00000001.sha256").unlink()
    stamps = copy / "data/lake/log/stamps"
    (stamps / "00000002.tsr").rename(stamps / "00000003.tsr")
    said = auditor.follow(copy, archive.key)[2][1]
    assert "a seal before log/seals/00000002.sha256 is missing" in said
    assert "the time stamp log/stamps/00000003.tsr is not of log/seals/00000003.sha256" in said
    other = tmp_path / "other.pem"
    auditor.type(f"openssl genpkey -algorithm ed25519 | openssl pkey -pubout > {other}", tmp_path)
    assert f"no seal is signed with {other}" in auditor.follow(bag[0], other)[2][1]


def test_a_seal_that_somebody_adds_with_a_key_of_his_own_is_found(
    archive: Archive, bag: Bag, auditor: Auditor, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bag[0], copy)
    log = copy / "data/lake/log"
    last = sha256((log / "seals/00000005.sha256").read_bytes())
    for reason in ("", "of a reason"):
        key = make_key(tmp_path / f"{len(reason)}.pem")
        notes = [("key lost", reason)] if reason else []
        (log / f"keys/{key.public.fingerprint}.pem").write_text(key.public.pem)
        (log / "seals/00000006.sha256").write_bytes(
            seal_text(6, "2026-05-01", key, last, {"a": "0" * 64}, notes)
        )
        status, said = auditor.follow(copy, archive.key)[2]
        assert status == 1
        assert ("is signed with another key" in said) != ("because: of a reason\nWRONG: no seal" in said)
        assert reason in said


def test_a_zip_has_the_same_and_a_period_has_only_its_own(archive: Archive, tmp_path: Path) -> None:
    archive.package(tmp_path / "e.zip", until="2026-02-28")
    with zipfile.ZipFile(tmp_path / "e.zip") as packed:
        packed.extractall(tmp_path)
    bagit.Bag(str(tmp_path / "e")).validate()
    assert [row["month"] for row in _rows(tmp_path / "e", "figures/checks_by_month.csv")] == ["2026-01"]
    assert [row["at_time"][:10] for row in _rows(tmp_path / "e", "figures/coverage.csv")] == [
        "2026-02-01", "2026-03-01"
    ]  # fmt: skip
    assert [row["key"] for row in _rows(tmp_path / "e", "figures/exceptions.csv")] == [UNREAD]
    assert _rows(tmp_path / "e", "figures/incidents.csv") == []


def test_a_lake_on_s3_gives_the_same_package(
    archive: Archive, bag: Bag, lake_bucket: str, seaweedfs: SeaweedFS, s3: S3Client, tmp_path: Path
) -> None:
    for file in archive.bucket.folder.rglob("*.*"):
        s3.upload_file(str(file), lake_bucket, f"evidence/{file.relative_to(archive.bucket.folder)}")
    store = Store(name="loopback", endpoint_url=seaweedfs.endpoint_url, region=REGION)
    moved = archive.of_lake(S3Lake(lake_bucket, "evidence/", store))
    assert moved.package(tmp_path / "e").figures == bag[1].figures
    names = [
        sorted(str(file.relative_to(each)) for file in each.rglob("*")) for each in (tmp_path / "e", bag[0])
    ]
    assert names[0] == names[1]


def test_a_package_appears_whole_or_not_at_all(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as failing:
        failing.setattr("fixity.evidence.make.write_crate", full)
        with pytest.raises(OSError, match="No space"):
            archive.package(tmp_path / "e")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "e").mkdir()
    with pytest.raises(WrongUsage, match="is there already"):
        archive.package(tmp_path / "e")
    with pytest.raises(WrongUsage, match="there is no folder"):
        archive.package(tmp_path / "nowhere" / "e")
    assert list(tmp_path.iterdir()) == [tmp_path / "e"]


def test_files_that_are_damaged_or_gone_are_said_in_the_package_and_the_status_is_1(
    archive: Archive, tmp_path: Path
) -> None:
    file = _copied(archive, tmp_path).file
    first, second = sorted((file.parent / "lake/checksums/b").glob("*.parquet"))
    body = bytearray(first.read_bytes())
    body[len(body) // 2] ^= 1
    first.write_bytes(body)
    second.unlink()
    (first.parent / "x\nred: forged.parquet").write_bytes(b"")
    words = ["evidence", str(tmp_path / "e"), "--since", "2026-01-01", "--catalog", str(file)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 1
    problems = {row["file"]: row["problem"] for row in _rows(tmp_path / "e", "problems.csv")}
    assert "its bytes have changed" in problems[f"checksums/b/{first.name}"]
    assert problems[f"checksums/b/{second.name}"] == "it is gone, and only its record is left"
    for name in (first.name, second.name):
        assert name in (tmp_path / "e/data/summary.html").read_text() and name in done.output
        assert not (tmp_path / "e/data/lake/checksums/b" / name).exists()
    assert "the bucket c was not listed before the end of the period" in done.output
    assert "red: forged" in done.output and "\nred: forged" not in done.output
    assert "Files of the lake that could not be used: 3" in (tmp_path / "e/data/README.txt").read_text()


def test_a_period_is_whole_days_in_utc_and_never_empty(archive: Archive) -> None:
    now = datetime(2026, 4, 8, 12, tzinfo=UTC)

    def order(since: str, until: str | None = None) -> Order:
        return Order.of(load_catalog(archive.file), since, until, ("b",), now)

    assert order("2026-01-01", "2026-01-31").until == datetime(2026, 2, 1, tzinfo=UTC)
    assert order("2026-01-01T01:00+02:00").since == datetime(2025, 12, 31, 23, tzinfo=UTC)
    assert order("2026-01-01", "2027-01-01").until == order("2026-01-01").until == now
    assert (order("2026-01-01").buckets, order("2026-01-01").pairs) == (("b",), ("b",))
    for wrong in (
        ("2026-04-09", None),
        ("2026-02-01", "2026-01-01"),
        ("yesterday", None),
        ("2026-13-01", None),
    ):
        with pytest.raises(WrongUsage):
            order(*wrong)


def test_damage_that_was_deleted_with_its_records_is_missed_because_seals_have_it(
    archive: Archive, tmp_path: Path
) -> None:
    forged = _copied(archive, tmp_path)
    lake = forged.file.parent / "lake"
    ledger = f"checksums/b/{min(file.name for file in (lake / 'checksums/b').glob('*.parquet'))}"
    for folder in ("incidents", "log/records/incidents"):
        shutil.rmtree(lake / folder)
    for name in (ledger, proof_file(ledger)):
        (lake / name).unlink()
    problems = dict(forged.package(tmp_path / "e").problems)
    assert {problems[name] for name in (ledger, proof_file(ledger))} == {
        "it is gone, and only a seal has it: nobody withdrew it"
    }
    assert any(name.startswith("incidents/closed-one/") for name in problems)
    assert WITHDRAWN not in problems


def test_a_file_that_was_edited_with_its_record_is_not_what_its_seal_has(
    archive: Archive, tmp_path: Path
) -> None:
    forged = _copied(archive, tmp_path)
    lake = forged.file.parent / "lake"
    first, second = sorted((lake / "checksums/b").glob("*.parquet"))
    name = f"checksums/b/{first.name}"
    shutil.copyfile(second, first)
    record = lake / proof_file(name)
    values = unsealed(record.read_text()) | {
        "sha256": sha256(first.read_bytes()),
        "size": first.stat().st_size,
    }
    record.write_text(sealed(values))
    assert dict(forged.package(tmp_path / "e").problems) == {
        name: "edited: its SHA-256 is not the one that a seal has"
    }


def test_a_witness_or_a_key_that_cannot_be_asked_is_said_and_nothing_is_green(
    archive: Archive, tmp_path: Path
) -> None:
    forged = _copied(archive, tmp_path)
    with forged.file.open("a") as text:
        text.write(f"log: {{key: {tmp_path / 'none.pem'}, witness: {tmp_path / 'nowhere'}}}\n")
    package = forged.package(tmp_path / "e")
    witness, key = package.notes
    assert str(tmp_path / "nowhere") in witness and str(tmp_path / "none.pem") in key
    assert not package.problems
    for name in ("README.txt", "summary.html"):
        said = " ".join((tmp_path / "e/data" / name).read_text().split())
        assert str(tmp_path / "nowhere") in said and str(tmp_path / "none.pem") in said


def test_a_bucket_that_left_the_catalog_is_said_unless_others_were_asked_for(
    archive: Archive, tmp_path: Path
) -> None:
    left = _copied(archive, tmp_path)
    left.file.write_text(f"lake: {left.file.parent / 'lake'}\nbuckets: {{c: {{path: c}}, d: {{path: d}}}}\n")
    left.file.with_name("c").mkdir()
    for buckets, notes in (("c", "d"), 1), (("c",), 0):
        order = Order.of(left.catalog, "2026-01-01", None, buckets, archive.bucket.time)
        package = make_package(left.lake, left.catalog, order, tmp_path / f"e{notes}", now=archive.bucket.now)
        assert ["the bucket b has checks in the lake" in note for note in package.notes] == [True] * notes


def test_a_log_of_another_key_than_the_catalogs_is_said_in_the_package(
    archive: Archive, tmp_path: Path
) -> None:
    forged = _copied(archive, tmp_path)
    own = make_key(tmp_path / "own.pem").public.fingerprint
    with forged.file.open("a") as text:
        text.write(f"log: {{key: {tmp_path / 'own.pem'}}}\n")
    problems = dict(forged.package(tmp_path / "e").problems)
    assert list(problems) == ["log/seals/00000001.sha256"]
    assert own[:16] in problems["log/seals/00000001.sha256"]
