"""The verb `fixity status`: what is not verified first, with what to do; status 1 for red and unknown."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fixity.catalog import load_catalog
from fixity.clock import utc_now
from fixity.lake import open_lake
from fixity.status import Check, keep_result
from fixity.status import Result as Found
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


def test_an_object_that_could_not_be_read_is_not_forgotten_when_another_one_is_checked(catalog: Path) -> None:
    link = catalog.parent / "b" / "link"
    link.symlink_to(catalog.parent / "nowhere")
    assert fixity(catalog, "checksums", "b").exit_code == 1
    checked = fixity(catalog, "check", "b", "letter")
    assert checked.exit_code == 1 and "all_read of checksums[b]: could not be read before" in checked.stderr
    assert fixity(catalog, "status", "b").exit_code == 1
    (catalog.parent / "nowhere").write_text("x")
    link.unlink()
    (catalog.parent / "nowhere").rename(link)
    assert fixity(catalog, "inventory", "b").exit_code == 0
    assert fixity(catalog, "check", "b", "link").exit_code == 0
    assert fixity(catalog, "status", "b").exit_code == 0


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
