"""The verbs of rolling fixity as a process: due, roll, check, coverage, premis, sql, shell."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from lxml import etree

from tests.command import run_command


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A folder with a catalog of one local bucket of three objects."""
    (tmp_path / "data").mkdir()
    for key in "abc":
        (tmp_path / "data" / key).write_text(f"content of {key}")
    (tmp_path / "fixity.yaml").write_text(
        "lake: ./lake\nbuckets:\n  letters: {path: data, fixity_every: 90d}\n  other: {path: elsewhere}\n"
    )
    return tmp_path


def fixity(archive: Path, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return run_command(words, archive, {**os.environ, "DAGSTER_HOME": str(archive / "home")}, stdin)


def test_a_bucket_is_rolled_through_by_hand_and_what_came_of_it_can_be_asked_for(archive: Path) -> None:
    assert fixity(archive, "inventory", "letters").returncode == 0
    due = fixity(archive, "due", "letters", "--items", "2")
    assert [line.split()[-1] for line in due.stdout.splitlines()] == ["a", "b"]
    assert due.stdout.startswith("never") and "3 of 3 objects" in due.stderr
    rolled = fixity(archive, "roll", "letters", "--items", "2")
    assert rolled.returncode == 0 and "Succeeded:          2" in rolled.stdout, rolled.stderr
    assert "The batch ended early: batch_items allows 2 objects" in rolled.stdout
    times = (archive / "data/a").stat()
    (archive / "data/a").write_text("CONTENT OF a")
    os.utime(archive / "data/a", ns=(times.st_atime_ns, times.st_mtime_ns))
    checked = fixity(archive, "check", "letters", "a")
    assert checked.returncode == 1 and "Damaged:            1" in checked.stdout, checked.stderr
    covered = fixity(archive, "coverage")
    assert covered.returncode == 1 and "Never checked:      1" in covered.stdout
    events = etree.fromstring(fixity(archive, "premis", "letters", "--key", "a").stdout.encode())
    assert len(events.findall("{http://www.loc.gov/premis/v3}event")) == 2
    asked = fixity(archive, "sql", "select bucket, key from due")
    assert asked.stdout == "bucket,key\nletters,c\n", asked.stderr
    lines = "select count(*) as n\nfrom checks;\nselect nothing;\nselect count(*) from inventory;\n"
    shell = fixity(archive, "shell", stdin=lines)
    assert shell.stdout == "n\n3\ncount_star()\n3\n" and "nothing" in shell.stderr


def test_an_object_that_could_not_be_read_is_red_in_the_coverage_until_it_is_read(archive: Path) -> None:
    assert fixity(archive, "inventory", "letters").returncode == 0
    away = (archive / "data/b").rename(archive / "b")
    (archive / "data/b").symlink_to("nowhere")
    assert fixity(archive, "roll", "letters").returncode == 1
    red = fixity(archive, "coverage")
    assert "Failing:            1" in red.stdout and "letters: 1 objects could not be read" in red.stderr
    assert (red.returncode, fixity(archive, "status", "letters").returncode) == (1, 1)
    (archive / "data/b").unlink()
    away.rename(archive / "data/b")
    assert fixity(archive, "check", "letters", "b").returncode == 0
    green = fixity(archive, "coverage")
    assert green.returncode == 0 and "could not be read" not in green.stderr, green.stderr


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["roll", "other"], 2, "has no term"),
        (["due", "other"], 2, "has no term"),
        (["due", "letter"], 2, "Did you mean 'letters'?"),
        (["premis", "letters", "--since", "yesterday"], 2, "'yesterday' is not a date"),
        (["sql", "selec"], 2, "syntax error"),
        (["due", "letters"], 3, "there is no inventory of 'letters' yet"),
    ],
)
def test_wrong_use_says_what_would_be_right(archive: Path, words: list[str], status: int, said: str) -> None:
    done = fixity(archive, *words)
    assert done.returncode == status and said in done.stderr and "Traceback" not in done.stderr


def test_a_request_that_cannot_be_used_leaves_no_trace_in_the_status(archive: Path) -> None:
    (archive / "elsewhere").mkdir()
    (archive / "elsewhere/d").write_text("content of d")
    assert fixity(archive, "checksums", "other").returncode == 0
    before = fixity(archive, "status", "other")
    refused = fixity(archive, "roll", "other")
    assert refused.returncode == 2 and "is kept" not in refused.stderr
    after = fixity(archive, "status", "other")
    assert (before.returncode, after.returncode) == (0, 0) and "1 verified" in after.stdout
