"""`--json` and `--quiet`: one document, whatever happens, and nothing where nothing is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fixity_cli.main import app
from fixity_cli.output import FIELDS
from tests.fixity_cli.test_status import damage

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command over a catalog of a pair of two local buckets with two objects."""
    for side in ("a", "b"):
        (tmp_path / side).mkdir()
        for key in ("right", "wrong"):
            (tmp_path / side / key).write_text(key)
    (tmp_path / "b" / "only").write_text("only")
    (tmp_path / "fixity.yaml").write_text(
        "lake: ./lake\nbuckets: {a: {path: a, fixity_every: 90d}, b: {path: b}}\n"
        "pairs: {a: {replica: b, replication_lag: 0s}}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    return lambda *words: CliRunner().invoke(app, words)


def document(done: Result) -> dict[str, Any]:
    """The document that a verb printed: all fields are there, and the status is that of the process."""
    said: dict[str, Any] = json.loads(done.stdout)
    assert list(said) == list(FIELDS) and said["status"] == done.exit_code
    return said


def test_a_document_says_what_the_text_says(run: Run, tmp_path: Path) -> None:
    first = run("verify", "a")
    assert first.exit_code == 1 and "Rows:               3 (1 only in the replica)\n" in first.stdout
    assert "Looked at again:    1, of which 0 turned out right\nmissing_source: only" in first.stdout
    damage(tmp_path / "a" / "wrong")
    said = document(run("verify", "a", "--json"))
    (result,) = said["results"]
    assert (said["verb"], result["of"], result["mismatches"], result["rows"]) == ("verify", "a", 1, 3)
    assert Path(result["csv"]).is_file()
    assert [(row["key"], row["status"], row["diagnosis"]) for row in said["rows"]][1:] == [
        ("wrong", "mismatch", "source_damaged")
    ]
    assert any(red.startswith("no_damage of checksums[a]: 1 damaged") for red in said["red"])
    (damaged,) = said["damaged"]
    assert (damaged["bucket"], damaged["key"]) == ("a", "wrong")
    assert [run["job"] for run in said["runs"]] == ["check_bucket", "check_bucket", "report_pair"]
    query = "select bucket, count(*) as n from checksums group by all order by all"
    asked = document(run("sql", query, "--json"))
    assert asked["rows"] == [{"bucket": "a", "n": 2}, {"bucket": "b", "n": 3}]
    (explained,) = document(run("explain", "mismatch", "--json"))["rows"]
    assert explained["word"] == "mismatch" and explained["to_do"]
    covered, other = document(run("coverage", "--json"))["results"]
    assert (covered["of"], covered["objects"], covered["damaged"]) == ("a", 2, 1)
    assert (other["of"], other["term"], other["objects"]) == ("b", "none (any check counts as within it)", 3)


def test_an_error_is_a_document_as_well(run: Run) -> None:
    unknown = document(run("report", "nothing", "--json"))
    assert (unknown["status"], unknown["verb"]) == (2, "report")
    assert unknown["errors"] == ["the catalog has no pair 'nothing'. It has: a"]
    assert document(run("inventory", "--json"))["errors"] == ["Missing argument 'BUCKET'."]
    for words in (("verify", "--json", "--nonsense"), ("verify", "--nonsense", "--json")):
        wrong = document(run(*words))
        assert wrong["verb"] == "verify" and wrong["errors"] == ["No such option: --nonsense"]
    too_early = document(run("report", "a", "--json"))
    assert too_early["status"] == 3 and "no checksums" in too_early["errors"][0]


def test_what_json_does_not_know_is_a_text_and_no_column_is_lost(run: Run) -> None:
    query = "select 'nan'::float as a, [1, '-inf'::double] as a, map {date '2026-01-02': 3} as b"
    (row,) = document(run("sql", query, "--json"))["rows"]
    assert row == {"a": "nan", "a_2": [1, "-inf"], "b": {"2026-01-02": 3}}


def test_quiet_prints_only_what_is_wrong(run: Run, tmp_path: Path) -> None:
    right = run("checksums", "a", "--quiet")
    assert (right.exit_code, right.output) == (0, "")
    damage(tmp_path / "a" / "wrong")
    wrong = run("checksums", "a", "-q")
    assert wrong.exit_code == 1
    lines = wrong.output.splitlines()
    assert lines[0] == "red: no_damage of checksums[a]: 1 damaged"
    assert all(line.startswith(("red: ", "damaged: wrong of a: ")) for line in lines)
