"""Several pairs, or several buckets, in one command: each is told of, whatever happens to the others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from fixity_cli.main import app


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pairs `good` and `bad` of one source, and `gone`, whose replica cannot be reached."""
    for name in ("source", "good", "bad"):
        (tmp_path / name).mkdir()
        for number in range(3):
            (tmp_path / name / f"{number}.txt").write_text(f"as deposited {number}")
    (tmp_path / "bad/1.txt").write_text("not any more  1")
    catalog = {
        "lake": "./lake",
        "buckets": {name: {"path": str(tmp_path / name)} for name in ("source", "good", "bad", "gone")},
        "pairs": {
            name: {"source": "source", "replica": name, "replication_lag": "0s"}
            for name in ("good", "bad", "gone")
        },
    }
    (tmp_path / "fixity.yaml").write_text(yaml.safe_dump(catalog))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    return tmp_path


def _fixity(archive: Path, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--catalog", str(archive / "fixity.yaml")])


def test_a_pair_that_fails_stops_no_other_and_a_bucket_in_several_is_hashed_once(archive: Path) -> None:
    ended = _fixity(archive, "verify", "--all", "--json")
    document = json.loads(ended.stdout)
    assert ended.exit_code == document["status"] == 3
    assert {each["of"]: each["matches"] for each in document["results"]} == {"good": 3, "bad": 2}
    assert [run["partition"] for run in document["runs"]].count("source") == 1
    assert any("no_mismatches of fixity_report[bad]" in red for red in document["red"])
    assert any("gone" in error for error in document["errors"])


def test_each_pair_has_a_line_and_details_only_where_it_is_red(archive: Path) -> None:
    ended = _fixity(archive, "verify", "good", "bad")
    assert ended.exit_code == 1
    assert "good: verified, 3 of 3 objects match" in ended.stdout
    assert "bad: NOT verified, 2 of 3 objects match" in ended.stdout
    assert ended.stdout.count("Checksum report complete:") == 1
    assert "red: no_mismatches of fixity_report[bad]" in ended.stderr


def test_all_buckets_are_checked_each_once_and_one_that_fails_stops_no_other(archive: Path) -> None:
    ended = _fixity(archive, "checksums", "--all", "--json")
    document = json.loads(ended.stdout)
    assert ended.exit_code == document["status"] == 3
    assert {each["of"]: each["succeeded"] for each in document["results"]} == dict.fromkeys(
        ("source", "good", "bad"), 3
    )
    assert [run["partition"] for run in document["runs"]] == ["bad", "gone", "good", "source"]
    assert any("gone" in error for error in document["errors"])


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["checksums"], "name one or more buckets, or all of them with --all"),
        (["verify"], "--all"),
        (["verify", "good", "--all"], "--all"),
        (["verify", "good", "bad", "--for-excel", "x.csv"], "one pair"),
        (["verify", "good", "baad"], "Did you mean 'bad'?"),
    ],
)
def test_what_is_not_clear_is_wrong_usage(archive: Path, words: list[str], text: str) -> None:
    ended = _fixity(archive, *words)
    assert ended.exit_code == 2 and text in ended.stderr
    assert not (archive / "lake").exists()


def test_all_copies_of_a_pair_are_checked_and_reported_by_one_verb_with_a_line_each(archive: Path) -> None:
    catalog = yaml.safe_load((archive / "fixity.yaml").read_text())
    catalog["pairs"] = {"all": {"source": "source", "replicas": ["good", "bad"], "replication_lag": "0s"}}
    (archive / "fixity.yaml").write_text(yaml.safe_dump(catalog))
    ended = _fixity(archive, "verify", "--all")
    assert ended.exit_code == 1
    assert "        good:               verified, 3 matches\n" in ended.stdout
    assert "        bad:                NOT verified, 2 matches, 1 mismatches\n" in ended.stdout
    assert "mismatch: 1.txt: bad: bad; " in ended.stdout and "good: ok, bad: mismatch" in ended.stdout
    assert "red: no_mismatches of fixity_report[all]: bad: 1 object different" in ended.stderr
    asked = _fixity(
        archive, "sql", "select key, status, differing, \"bad:status\" from copies where status <> 'ok'"
    )
    assert "1.txt" in asked.stdout and "mismatch" in asked.stdout


def test_a_copy_that_cannot_be_reached_hides_nothing_that_is_wrong_with_the_others(archive: Path) -> None:
    catalog = yaml.safe_load((archive / "fixity.yaml").read_text())
    replicas = ["good", "bad", "gone"]
    catalog["pairs"] = {"all": {"source": "source", "replicas": replicas, "replication_lag": "0s"}}
    (archive / "fixity.yaml").write_text(yaml.safe_dump(catalog))
    ended = _fixity(archive, "verify", "all")
    assert ended.exit_code == 3 and "all: no report, because a bucket could not be checked" in ended.stderr
    assert "all-to-good: verified, 3 of 3 objects match" in ended.stdout
    assert "all-to-bad: NOT verified, 2 of 3 objects match" in ended.stdout
    assert "red: no_mismatches of fixity_report[all-to-bad]" in ended.stderr
