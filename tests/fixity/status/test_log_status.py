"""The status of the log: a broken or silent log is a problem, and the ages of its proofs are counted anew."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fixity.catalog import Catalog, load_catalog
from fixity.lake import Lake, open_lake
from fixity.log.outside import prove
from fixity.status import Check, Failure, Result, Status, keep_failure, keep_result, status_of
from fixity.status.advice import log_facts, summary_line
from fixity_cli.main import app
from tests.fixity.log.outside_support import chain, put

NOW = datetime.now(UTC)
DAY = timedelta(days=1, minutes=9)
SEALED = Result("log", None, "run", NOW, (Check("log_unbroken", True, "ERROR"),), {"seals": 2, "waiting": 3})


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    (tmp_path / "witness").mkdir()
    (tmp_path / "a").mkdir()
    text = "lake: ./lake\nbuckets: {a: {path: a}}\nlog: {key: key.pem, witness: ./witness}\n"
    (tmp_path / "fixity.yaml").write_text(text)
    return load_catalog(tmp_path / "fixity.yaml")


@pytest.fixture
def lake(catalog: Catalog) -> Lake:
    lake = open_lake(catalog)
    place = catalog.place_of(catalog.buckets["a"])
    keep_result(lake, Result("checksums", "a", "r", NOW, place=place, oldest=NOW))
    return lake


def sealed(lake: Lake, catalog: Catalog, result: Result = SEALED) -> None:
    put(lake, chain(2))
    prove(lake, catalog, chain(2), NOW)
    for copy in (catalog.file.parent / "witness").rglob("*"):
        os.utime(copy, (NOW.timestamp(), NOW.timestamp()))  # the test's clock, not that of the file system
    prove(lake, catalog, chain(2), NOW)
    keep_result(lake, result)


def status(lake: Lake, catalog: Catalog, later: timedelta = timedelta(0)) -> Status:
    return status_of(lake, catalog, NOW + later)


def test_a_log_that_was_never_sealed_is_a_problem_and_no_log_is_none(lake: Lake, catalog: Catalog) -> None:
    now = status(lake, catalog)
    assert now.state == "problem" and now.log and now.log.state == "problem"
    assert now.platform[0].text == "nothing was sealed yet: fixity log init, then fixity log seal"
    assert log_facts(now.log, NOW) == "not sealed"
    assert summary_line(now).endswith("; the log: problem")
    without = status(lake, catalog.model_copy(update={"log": None}))
    assert without.log is None and without.is_verified and "log" not in summary_line(without)


def test_the_line_says_up_to_when_what_waited_and_how_old_the_witness_is(
    lake: Lake, catalog: Catalog
) -> None:
    sealed(lake, catalog)
    now = status(lake, catalog, DAY)
    assert now.is_verified and now.log and now.log.state == "verified" and not now.notes
    assert log_facts(now.log, NOW + DAY) == (
        "sealed 1 d 0 h ago (seal 2), 3 files waited, copy at the witness 1 d 0 h ago"
    )


def test_a_log_that_is_not_sealed_any_more_warns_and_then_is_a_problem(lake: Lake, catalog: Catalog) -> None:
    sealed(lake, catalog)
    warned = status(lake, catalog, 3 * DAY)
    assert warned.state == "warning" and warned.log and warned.log.state == "warning"
    assert len(warned.notes) == 2 and "nothing was sealed since" in warned.notes[0]
    assert "copy at the witness is of seal 2, 3 d 0 h ago" in warned.notes[1]
    red = status(lake, catalog, 8 * DAY)
    assert [each.check for each in red.platform] == ["log_unbroken", "witness_recent"] and not red.is_verified


def test_a_broken_log_a_failed_run_and_a_lost_result_are_problems(lake: Lake, catalog: Catalog) -> None:
    broken = Check("log_unbroken", False, "ERROR", "a.parquet: edited")
    sealed(lake, catalog, replace(SEALED, checks=(broken,)))
    assert [each.text for each in status(lake, catalog).platform] == ["a.parquet: edited"]
    keep_result(lake, replace(SEALED, checks=(broken,), counts={}))  # it refused to seal
    refused = status(lake, catalog).log
    assert refused and log_facts(refused, NOW).startswith("not sealed")
    keep_result(lake, replace(SEALED, at=NOW + timedelta(minutes=1)))
    assert status(lake, catalog).is_verified
    keep_failure(lake, "log", None, Failure("late", NOW + timedelta(hours=1), "no key"))
    assert [each.text for each in status(lake, catalog).platform] == ["no key"]
    Path(lake.location("status/log/_all.json")).unlink()
    assert not status(lake, catalog).is_verified


def test_what_the_kept_check_said_of_the_witness_is_counted_anew(lake: Lake, catalog: Catalog) -> None:
    old = Check("witness_recent", False, "ERROR", "there is no copy at the witness yet")
    sealed(lake, catalog, replace(SEALED, checks=(old,)))
    assert status(lake, catalog).is_verified


def test_a_result_of_the_future_is_no_sealed_log(lake: Lake, catalog: Catalog) -> None:
    sealed(lake, catalog, replace(SEALED, at=NOW + 400 * DAY))
    assert "a clock was wrong" in status(lake, catalog).platform[0].text


def test_the_verb_prints_the_log_and_ends_with_1_where_it_is_broken(lake: Lake, catalog: Catalog) -> None:
    words = ["status", "a", "--json", "--catalog", str(catalog.file)]
    sealed(lake, catalog)
    good = CliRunner().invoke(app, words)
    row = json.loads(good.stdout)["rows"][0]
    assert good.exit_code == 0 and (row["kind"], row["state"], row["colour"]) == ("log", "verified", "green")
    assert (row["seal"], row["waiting"], row["stamped_at"]) == (2, 3, None) and row["copied_at"]
    broken = Check("log_unbroken", False, "ERROR", "seal 2: rewritten")
    keep_result(lake, replace(SEALED, at=NOW + timedelta(minutes=1), checks=(broken,)))
    red = CliRunner().invoke(app, words)
    assert red.exit_code == 1 and json.loads(red.stdout)["red"][0].startswith("log_unbroken of log: seal 2")
