"""What `fixity verify` and `report` print of many rows that say that something is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from fixity_cli.main import app

pytestmark = pytest.mark.usefixtures("catalog")


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pair `p` of two directories; and the pair `all`, of the same source and two replicas."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    for name in ("source", "replica", "other"):
        (tmp_path / name).mkdir()
    said = {
        "lake": "./lake",
        "buckets": {name: {"path": f"./{name}"} for name in ("source", "replica", "other")},
        "pairs": {
            "p": {"source": "source", "replica": "replica", "replication_lag": "0s"},
            "all": {"source": "source", "replicas": ["replica", "other"], "replication_lag": "0s"},
        },
    }
    (tmp_path / "fixity.yaml").write_text(yaml.safe_dump(said))


def deposit(folder: Path, damaged: int) -> None:
    """Put twenty files into all directories, of which the first ones differ in the replica."""
    for number in range(20):
        for name in ("source", "replica", "other"):
            bad = name == "replica" and number < damaged
            (folder / name / f"{number:02d}").write_text("rotten" if bad else "as deposited")


def printed(folder: Path, *words: str) -> tuple[list[str], str]:
    """The rows that a command printed, and all that it did."""
    ended = CliRunner().invoke(app, [*words, "--catalog", str(folder / "fixity.yaml")])
    assert ended.exit_code == 1, ended.stderr
    rows = [line for line in ended.stdout.splitlines() if line.startswith("mismatch: ")]
    return rows, ended.stdout


@pytest.mark.parametrize("pair", ["p", "all"])
def test_after_ten_rows_it_is_said_how_many_more_there_are_and_where(tmp_path: Path, pair: str) -> None:
    deposit(tmp_path, damaged=13)
    for verb in ("verify", "report"):
        rows, text = printed(tmp_path, verb, pair)
        assert [row[:12] for row in rows] == [f"mismatch: {number:02d}" for number in range(10)]
        said, place = text[text.index("… and") :].splitlines()[:2]
        assert said == "… and 3 more that are not as they should be: the CSV has all"
        (csv,) = [word for word in place.split() if word.endswith(".csv")]
        assert Path(csv).read_text().count("mismatch") >= 13


def test_each_of_the_first_rows_says_which_copy_is_bad_and_since_when(tmp_path: Path) -> None:
    deposit(tmp_path, damaged=0)
    assert CliRunner().invoke(app, ["verify", "p", "--catalog", str(tmp_path / "fixity.yaml")]).exit_code == 0
    for number in range(12):
        file = tmp_path / "replica" / f"{number:02d}"
        before = file.stat()  # nobody writes to it: a bit flips
        file.write_text("not the same")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    rows, text = printed(tmp_path, "verify", "p")
    assert len(rows) == 10 and "… and 2 more" in text
    assert all(": replica_damaged; last agreed 2" in row for row in rows)


def test_of_ten_rows_or_fewer_nothing_is_said_to_be_left_out(tmp_path: Path) -> None:
    deposit(tmp_path, damaged=10)
    rows, text = printed(tmp_path, "verify", "p")
    assert len(rows) == 10 and "…" not in text
