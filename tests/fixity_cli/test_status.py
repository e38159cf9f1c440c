"""What the command says: a status for every red check, names of damaged objects, and nothing that harms."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from dagster_postgres.utils import DagsterPostgresException
from sqlalchemy.exc import OperationalError

from fixity_cli.failures import _words
from fixity_cli.runs import Ended
from fixity_cli.shared import say_red
from tests.fixity_cli.test_rolling_verbs import fixity


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A folder with a catalog of a pair of local buckets with the same two objects."""
    for side in ("a", "b"):
        (tmp_path / side).mkdir()
        for key in ("right", "wrong"):
            (tmp_path / side / key).write_text(key)
    (tmp_path / "fixity.yaml").write_text(
        "lake: ./lake\nbuckets: {a: {path: a, fixity_every: 90d}, b: {path: b}}\n"
        "pairs: {a: {replica: b, replication_lag: 0s}}\n"
    )
    return tmp_path


def damage(file: Path) -> None:
    """Change a file's bytes as a rotting disk does: its size and times stay."""
    times = file.stat()
    file.write_bytes(file.read_bytes().upper())
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_damage_that_both_sides_share_is_status_1_and_named_by_all_commands(pair: Path) -> None:
    assert fixity(pair, "verify", "a").returncode == 0
    for side in ("a", "b"):
        damage(pair / side / "wrong")
    verified = fixity(pair, "verify", "a")
    assert verified.returncode == 1 and "Matches:            2" in verified.stdout
    (csv,) = [line.removeprefix("CSV: ") for line in verified.stdout.splitlines() if line.startswith("CSV: ")]
    assert (
        Path(csv).read_text().count("the same bytes on both sides, but the source's check expects SHA256")
        == 1
    )
    reported = fixity(pair, "report", "a")
    covered = fixity(pair, "coverage")
    for done, buckets in ((verified, "ab"), (reported, "ab"), (covered, "ab")):
        assert done.returncode == 1
        damaged = [line for line in done.stderr.splitlines() if line.startswith("damaged: ")]
        assert [line.partition(": last right 20")[0] for line in damaged] == [
            f"damaged: wrong of {bucket}" for bucket in buckets
        ]
    assert "red: no_damage of checksums[b]: 1 damaged\n" in verified.stderr
    red = "red: no_damage of fixity_report[a]: 2 objects known to be damaged: 1 of a, 1 of b\n"
    assert red in verified.stderr and red in reported.stderr
    for bucket in "ab":  # an incident each, which the report's run tells of too
        red = f"red: no_open_incidents of incidents[{bucket}]: 1 open: "
        for done in (verified, reported):
            (line,) = [line for line in done.stderr.splitlines() if line.startswith(red)]
            assert f": 1 object of {bucket}, opened 20" in line


def test_a_report_that_fails_says_what_is_kept_and_not_that_it_has_read_anything(pair: Path) -> None:
    failed = fixity(pair, "report", "a")  # its buckets were never checked
    said = "failed; the checks of both buckets are as they were; to compare them, type fixity report a"
    assert failed.returncode == 3 and said in failed.stderr


def test_of_a_check_that_is_red_in_two_runs_the_later_one_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    def ended(*red: str) -> Ended:
        return Ended("run", True, {}, list(red), [], wrong_usage=False, kept="", damaged=[])

    say_red(ended("x of a[b]: 1 open", "y of a[b]: 3"), ended("x of a[b]: 2 open: k"))
    assert capsys.readouterr().err == "red: x of a[b]: 2 open: k\nred: y of a[b]: 3\n"


def test_a_comparison_of_nothing_is_status_1_with_its_reason(pair: Path) -> None:
    catalog = pair / "fixity.yaml"
    catalog.write_text(catalog.read_text().replace("0s", "1h"))
    for key in ("right", "wrong"):
        (pair / "b" / key).unlink()
    done = fixity(pair, "verify", "a")
    assert done.returncode == 1 and "Pending:            2" in done.stdout
    assert (
        "red: something_compared of fixity_report[a]: not one object was compared: 2 pending" in done.stderr
    )


def test_a_bucket_that_is_empty_now_is_not_verified_until_a_person_confirms_it(pair: Path) -> None:
    assert fixity(pair, "checksums", "b").returncode == 0
    (pair / "b").rename(pair / "elsewhere")
    (pair / "b").mkdir()
    emptied = fixity(pair, "checksums", "b")
    assert emptied.returncode == 1
    assert "red: all_read of checksums[b]: EmptiedSinceListed: 2\n" in emptied.stderr
    confirmed = fixity(pair, "due", "b", "--confirm-empty")  # also where the bucket has no term
    assert confirmed.returncode == 0 and "fixity checksums b" in confirmed.stdout
    assert fixity(pair, "checksums", "b").returncode == 0


def test_coverage_of_buckets_that_were_never_listed_is_no_pass_also_without_a_term(pair: Path) -> None:
    catalog = pair / "fixity.yaml"
    catalog.write_text(catalog.read_text().replace(", fixity_every: 90d", ""))
    done = fixity(pair, "coverage")
    assert done.returncode == 1
    for bucket in "ab":
        assert f"warning: there is no inventory of '{bucket}' yet" in done.stderr


def test_names_with_control_characters_are_printed_escaped_and_new_folders_are_the_owner_s_alone(
    pair: Path,
) -> None:
    (pair / "a" / "\x1b[2Jodd\n").write_text("x")
    assert fixity(pair, "inventory", "a").returncode == 0
    due = fixity(pair, "due", "a")
    assert due.stdout.splitlines()[0].endswith("  \\x1b[2Jodd\\n") and "\x1b" not in due.stdout
    missing = fixity(pair, "check", "a", "\x1b[2J")
    assert missing.returncode and "\\x1b[2J" in missing.stderr and "\x1b" not in missing.stderr
    for folder in ("lake", "home"):
        assert (pair / folder).stat().st_mode & 0o777 == 0o700


def test_records_of_runs_that_cannot_be_kept_are_no_bug(pair: Path) -> None:
    (pair / "home/history").mkdir(parents=True)
    (pair / "home/history/runs.db").write_text("no database " * 1000)
    done = fixity(pair, "inventory", "a")
    assert done.returncode == 3 and f"Dagster cannot keep its runs in {pair / 'home'}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_key_that_is_gone_is_not_verified_and_what_a_bucket_lost_is_named(pair: Path) -> None:
    for verb in ("inventory", "roll"):
        assert fixity(pair, verb, "a").returncode == 0
    (pair / "a" / "right").unlink()
    lost = "lost: right of a: last seen 20"
    done = fixity(pair, "check", "a", "right")
    assert done.returncode == 1 and lost in done.stderr and ", last right 20" in done.stderr
    assert fixity(pair, "inventory", "a").returncode == 0
    done = fixity(pair, "check", "a", "right")
    assert done.returncode == 3 and "'right' is gone from 'a': last seen 20" in done.stderr
    covered = fixity(pair, "coverage")
    assert "Lost:               1" in covered.stdout and lost in covered.stderr


def test_a_database_that_is_full_or_away_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "/srv/home")

    class Full(Exception):
        pgcode = "53100"

    of_postgres = OperationalError("INSERT", {}, Full("could not extend file"))
    of_sqlite = OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full"))
    for full in (of_postgres, of_sqlite):
        words = _words(full) or ""
        assert words.startswith("Dagster cannot keep its runs in /srv/home: ")
        assert words.endswith(": make room on the database's disk, then type the command again")
    away = DagsterPostgresException("too many retries for DB connection")
    away.__cause__ = OperationalError("SELECT", {}, Exception("Connection refused"))
    assert _words(away) == "Dagster cannot keep its runs in /srv/home: Connection refused: see fixity doctor"
