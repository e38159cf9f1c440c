"""The verb `fixity status`: what is not verified first, with what to do; status 1 for red and unknown."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from devstack.stub_s3 import StubS3
from fixity.catalog import load_catalog
from fixity.clock import utc_now
from fixity.lake import open_lake
from fixity.ledger.unread import passed_over
from fixity.status import Check, keep_result
from fixity.status import Result as Found
from fixity.tables import CHECKSUMS
from fixity_cli.main import app


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "letter").write_text("x")
    file = tmp_path / "fixity.yaml"
    file.write_text("lake: ./lake\nbuckets: {a: {path: a}, b: {path: b}}\npairs: {a: {replica: b}}\n")
    return file


def fixity(catalog: Path, *words: str) -> Result:
    return CliRunner().invoke(
        app, [*words, "--catalog", str(catalog)], env={"DAGSTER_HOME": str(catalog.parent / "home")}
    )


def test_nothing_is_verified_before_it_was_checked_and_a_failed_run_is_told_with_what_to_do(
    catalog: Path,
) -> None:
    before = fixity(catalog, "status")
    assert before.exit_code == 1 and before.stdout.startswith("0 problems, 3 unknown, 0 warnings, 0 verified")
    assert "To do: fixity verify a" in before.stdout and "To do: fixity checksums b" in before.stdout
    assert fixity(catalog, "verify", "a").exit_code == 0
    after = fixity(catalog, "status")
    assert after.exit_code == 0 and after.stdout.startswith("0 problems, 0 unknown, 0 warnings, 3 verified")
    assert "1 object, compared " in after.stdout and "fixity explain WORD" not in after.stdout

    (catalog.parent / "b").rename(catalog.parent / "away")
    assert fixity(catalog, "checksums", "b").exit_code == 3
    said = fixity(catalog, "status", "--json")
    rows = json.loads(said.stdout)["rows"]
    assert said.exit_code == 1 and (rows[0]["name"], rows[0]["colour"]) == ("b", "red")
    assert rows[0]["to_do"] == "remove the cause, then fixity checksums b" and rows[0]["failed_run"]
    (catalog.parent / "away").rename(catalog.parent / "b")
    assert fixity(catalog, "checksums", "b").exit_code == 0
    assert fixity(catalog, "status").exit_code == 0


def test_an_object_that_both_sides_lost_is_told_of_the_pair_as_of_its_buckets(catalog: Path) -> None:
    for name in "ab":
        (catalog.parent / name / "more").write_text("x")
    assert fixity(catalog, "verify", "a").exit_code == 0
    for name in "ab":
        (catalog.parent / name / "more").unlink()
    assert fixity(catalog, "verify", "a").exit_code == 0  # people delete objects
    said = fixity(catalog, "status")
    assert said.exit_code == 0 and said.stdout.startswith("0 problems, 0 unknown, 3 warnings, 0 verified")
    assert "nothing_lost of checksums: a: 1 lost; b: 1 lost, since" in said.stdout


@pytest.mark.parametrize("away", ["not mounted", "not there"])
def test_where_a_disk_cannot_be_reached_nothing_says_repair_before_it_can(catalog: Path, away: str) -> None:
    folder = catalog.parent
    for name in "ab":
        os.utime(folder / name / "letter", (1_700_000_000, 1_700_000_000))
    assert fixity(catalog, "verify", "a").exit_code == 0
    (folder / "b").rename(folder / "b-away")
    (folder / "b").mkdir()
    assert fixity(catalog, "verify", "a").exit_code == 1
    if away == "not there":
        (folder / "b").rmdir()
        assert fixity(catalog, "verify", "a").exit_code == 3
    (incident,) = [each.name for each in (folder / "lake/incidents").iterdir()]
    look = (
        "see whether the disk of b is mounted" if away == "not mounted" else "remove the cause, then fixity"
    )
    assert fixity(catalog, "page").exit_code == 0
    pages = [
        (folder / f"lake/pages/{name}.html").read_text()
        for name in ("pair-a", "bucket-b", f"incident-{incident}")
    ]
    for text in (fixity(catalog, "incident", incident).stdout, fixity(catalog, "status").stdout, *pages):
        plain = re.sub("<[^>]+>", "", text)
        assert look in plain and "fixity repair" not in plain


@pytest.mark.parametrize("term", ["", ", fixity_every: 30d"])
def test_an_object_that_could_not_be_read_is_not_forgotten_when_another_one_is_checked(
    catalog: Path, term: str
) -> None:
    catalog.write_text(catalog.read_text().replace("path: b", f"path: b{term}"))
    link = catalog.parent / "b" / "link"
    link.symlink_to(catalog.parent / "nowhere")
    assert fixity(catalog, "checksums", "b").exit_code == 1
    checked = fixity(catalog, "check", "b", "letter")
    assert (
        checked.exit_code == 1 and "all_read of checksums[b]: could not be read before: 1" in checked.stderr
    )
    assert fixity(catalog, "coverage").exit_code == 1
    status = fixity(catalog, "status", "b")
    assert status.exit_code == 1 and "all_read of checksums: could not be read before: 1" in status.stdout
    (catalog.parent / "nowhere").write_text("x")
    link.unlink()
    (catalog.parent / "nowhere").rename(link)
    assert fixity(catalog, "inventory", "b").exit_code == 0
    assert fixity(catalog, "check", "b", "link").exit_code == 0
    assert fixity(catalog, "coverage").exit_code == 0
    assert "all_read" not in fixity(catalog, "status", "b").stdout


@pytest.mark.parametrize("term", ["", ", fixity_every: 30d"])
def test_objects_that_nobody_read_are_a_warning_with_their_count_whatever_is_checked_after(
    tmp_path: Path, stub_s3: StubS3, term: str
) -> None:
    stub_s3.put("src", "a.txt", b"hello")
    for number in range(3):
        stub_s3.put("src", f"deep/{number}", b"never read", storage_class="DEEP_ARCHIVE")
    file = tmp_path / "fixity.yaml"
    file.write_text(
        f"lake: ./lake\nstores: {{s: {{endpoint_url: '{stub_s3.endpoint_url}', region: us-east-1}}}}\n"
        f"buckets: {{b: {{store: s, bucket: src{term}}}}}\n"
    )
    checked = fixity(file, "checksums", "b")
    said = "all_read of checksums[b]: 3 not read: Archived: 3"
    assert checked.exit_code == 0 and f"warning: {said}\n" in checked.stderr
    for words in (("check", "b", "a.txt"), ("roll", "b")[: 2 if term else 0], ("coverage",)):
        assert not words or fixity(file, *words).exit_code == 0
        status = fixity(file, "status")
        assert status.stdout.startswith("0 problems, 0 unknown, 1 warning, 0 verified"), words
        assert "all_read of checksums: 3 not read: Archived: 3" in status.stdout
    if term:
        assert "all_ever_checked of coverage: 3 of 4 objects are archived, and were not" in status.stdout
    assert fixity(file, "page").exit_code == 0
    page = (tmp_path / "lake/pages/index.html").read_text()
    assert "Nothing wrong was found, with 1 warning" in page and "Everything is verified" not in page


def test_an_object_that_is_overwritten_at_each_look_is_a_warning_and_one_that_is_gone_is_none(
    tmp_path: Path,
) -> None:
    check = {name: pa.nulls(3, kind.type) for name, kind in zip(CHECKSUMS.names, CHECKSUMS, strict=True)}
    check |= {"status": pa.array(["skipped", "skipped", "succeeded"])}
    check |= {"error_code": pa.array(["ChangedSinceListed", "DeletedSinceListed", None])}
    pq.write_table(pa.table(check), tmp_path / "checks.parquet")
    assert passed_over(tmp_path / "checks.parquet") == {"ChangedSinceListed": 1}


def test_objects_that_were_listed_since_all_were_checked_are_a_warning_with_their_count(
    catalog: Path,
) -> None:
    assert fixity(catalog, "checksums", "b").exit_code == 0
    for name in ("new", "newer"):
        (catalog.parent / "b" / name).write_text("x")
    assert fixity(catalog, "inventory", "b").exit_code == 0
    said = "all_read of checksums: 2 objects more are listed now than when all were checked"
    assert said in fixity(catalog, "status", "b").stdout
    assert fixity(catalog, "checksums", "b").exit_code == 0
    assert fixity(catalog, "status", "b").stdout.startswith("0 problems, 0 unknown, 0 warnings, 1 verified")


@pytest.mark.parametrize("is_listed", [True, False])
def test_a_bucket_is_verified_only_when_each_listed_object_was_checked_by_whatever_runs(
    catalog: Path, is_listed: bool
) -> None:
    for name in ("more", "rest"):
        (catalog.parent / "b" / name).write_text("x")
    first, then = ("inventory", "ingest")[:: 1 if is_listed else -1]
    record = f"SHA256:{hashlib.sha256(b'x').hexdigest()}"
    some = "only some of its objects were checked"
    for verb in (first, then):
        words = ("b", "letter", "--expected", record) if verb == "ingest" else ("b",)
        assert fixity(catalog, verb, *words).exit_code == 0
        said = fixity(catalog, "status", "b")
        assert said.exit_code == 1 and (some in said.stdout or (is_listed and verb == first))
    for key in ("letter", "more"):  # as many checks as objects, and not of each
        assert fixity(catalog, "check", "b", key).exit_code == 0
    said = fixity(catalog, "status", "b")
    assert said.exit_code == 1 and some in said.stdout
    assert fixity(catalog, "check", "b", "rest").exit_code == 0
    said = fixity(catalog, "status", "b")
    assert said.exit_code == 0 and "0 problems, 0 unknown" in said.stdout and "all_read" not in said.stdout
    (catalog.parent / "b" / "rest").unlink()
    (catalog.parent / "b" / "new").write_text("x")
    assert fixity(catalog, "inventory", "b").exit_code == 0
    assert fixity(catalog, "ingest", "b", "letter", "--expected", record).exit_code == 0
    assert "some objects that are listed now were never checked" in fixity(catalog, "status", "b").stdout
    (catalog.parent / "b" / "newer").write_text("x")
    assert fixity(catalog, "inventory", "b").exit_code == 0
    assert fixity(catalog, "ingest", "b", "letter", "--expected", record).exit_code == 0
    assert "1 objects more are listed now than when" in fixity(catalog, "status", "b").stdout
    assert fixity(catalog, "checksums", "b").exit_code == 0
    assert "all_read" not in fixity(catalog, "status", "b").stdout


@pytest.mark.parametrize("term", ["", ", fixity_every: 30d"])
def test_a_mistyped_prefix_is_a_warning_of_the_buckets_and_the_pair_until_a_person_confirms_it(
    tmp_path: Path, stub_s3: StubS3, term: str
) -> None:
    for name in ("src", "rep"):
        stub_s3.put(name, "data/a.txt", b"hello")
    file = tmp_path / "fixity.yaml"
    bucket = f"store: s, prefix: Data/{term}"
    file.write_text(
        f"lake: ./lake\nstores: {{s: {{endpoint_url: '{stub_s3.endpoint_url}', region: us-east-1}}}}\n"
        f"buckets: {{a: {{bucket: src, {bucket}}}, b: {{bucket: rep, {bucket}}}}}\n"
        "pairs: {a: {replica: b}}\n"
    )
    verified = fixity(file, "verify", "a")
    said = "warning: all_read of checksums[b]: nothing is there: no object is listed in s3://rep/Data/"
    assert verified.exit_code == 0 and said in verified.stderr
    for name in "ab" if term else "":
        assert fixity(file, "roll", name).exit_code == 0
    assert fixity(file, "coverage").exit_code == 0
    status = fixity(file, "status")
    assert status.stdout.startswith("0 problems, 0 unknown, 3 warnings, 0 verified"), status.stdout
    assert (
        "something_compared of fixity_report: nothing is there: neither side has an object" in status.stdout
    )
    for name in "ab":
        assert fixity(file, "due", name, "--confirm-empty").exit_code == 0
    for words in (("verify", "a"), ("coverage",)):
        assert fixity(file, *words).exit_code == 0
    assert fixity(file, "status").stdout.startswith("0 problems, 0 unknown, 0 warnings, 3 verified")


def test_only_what_is_named_counts_and_a_warning_is_status_0(catalog: Path) -> None:
    loaded = load_catalog(catalog)
    for name, severity in (("a", "ERROR"), ("b", "WARN")):
        check = Check("reads_stable", False, severity, "\x1b[2J")  # type: ignore[arg-type]
        place = loaded.place_of(loaded.buckets[name])
        keep_result(open_lake(loaded), Found("checksums", name, "r", utc_now(), (check,), place=place))
    assert fixity(catalog, "status", "a").exit_code == 1
    warned = fixity(catalog, "status", "b")
    assert warned.exit_code == 0 and "To do: fixity explain reads_stable" in warned.stdout
    assert "\x1b" not in warned.stdout
    wrong = fixity(catalog, "status", "c")
    assert wrong.exit_code == 2 and "no bucket or pair 'c'" in wrong.output


def test_the_verb_imports_neither_dagster_nor_what_reads_tables(catalog: Path) -> None:
    program = (
        "import sys\nfrom fixity_cli.main import app\n"
        f"app(['status', '--catalog', {str(catalog)!r}], standalone_mode=False)\n"
        "assert not {'dagster', 'duckdb', 'pyarrow', 'boto3'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr == "" and done.returncode == 0, done.stderr
