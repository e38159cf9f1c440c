"""What is kept of asset checks: the newest result counts, whoever writes when, and nothing lost is green."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fixity.lake import Lake, LocalLake
from fixity.lake.proof import proof_file
from fixity.status import Check, Failure, Kept, Result, history_of, keep_check, keep_failure, keep_result
from fixity.status.kept import Unreadable, read_all

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
FILE = "status/checksums/a.json"


@pytest.fixture
def lake(tmp_path: Path) -> LocalLake:
    return LocalLake(tmp_path / "lake")


def red(name: str = "no_damage", text: str = "1 damaged") -> Check:
    return Check(name, False, "ERROR", text)


def green(name: str = "no_damage") -> Check:
    return Check(name, True, "ERROR")


def result(run_id: str, at: datetime, *checks: Check, **more: object) -> Result:
    return Result("checksums", "a", run_id, at, checks, {"rows": 3}, **more)  # type: ignore[arg-type]


def kept(lake: Lake) -> Kept:
    found = read_all(lake)["checksums", "a"]
    assert isinstance(found, Kept), found
    return found


def test_the_result_of_an_older_run_that_ends_late_does_not_replace_a_newer_one(lake: LocalLake) -> None:
    keep_result(lake, result("new", NOON, red()))
    keep_result(lake, result("old", NOON - HOUR, green()))
    assert kept(lake).run_id == "new" and kept(lake).checks == (red(),)
    assert [day.run_id for day in history_of(lake, "checksums", "a")] == ["new"]


def test_a_result_from_the_future_of_a_wrong_clock_is_replaced(lake: LocalLake) -> None:
    keep_result(lake, result("wrong", datetime.now(UTC) + 400 * 24 * HOUR, green()))
    keep_result(lake, result("right", NOON, red()))
    assert kept(lake).run_id == "right"


def test_a_check_is_red_since_it_first_was_until_it_is_green(lake: LocalLake) -> None:
    for hour, check in enumerate((red(), red(text="2 damaged"), green(), red())):
        keep_result(lake, result(str(hour), NOON + hour * HOUR, check))
        since = {0: NOON, 1: NOON, 3: NOON + 3 * HOUR}
        assert kept(lake).since == ({"no_damage": since[hour]} if hour in since else {})


def test_a_run_over_a_few_objects_leaves_the_checks_that_it_did_not_make(lake: LocalLake) -> None:
    keep_result(lake, result("all", NOON, red(), green("nothing_lost"), oldest=NOON - HOUR))
    keep_result(lake, result("few", NOON + HOUR, green(), is_whole=False, all_checks=False))
    now = kept(lake)
    assert {check.name: check.passed for check in now.checks} == {"no_damage": True, "nothing_lost": True}
    assert (now.at, now.whole_at, now.oldest) == (NOON + HOUR, NOON, NOON - HOUR)


def test_one_check_that_another_run_made_changes_nothing_else_and_none_that_is_newer(lake: LocalLake) -> None:
    keep_check(lake, "checksums", "a", green(), NOON)  # no run had a result yet
    assert ("checksums", "a") not in read_all(lake)
    keep_result(lake, result("all", NOON, red(), red("all_read")))
    keep_failure(lake, "checksums", "a", Failure("failed", NOON + HOUR, "away"))
    before = kept(lake)
    keep_check(lake, "checksums", "a", green(), NOON - HOUR)
    assert kept(lake) == before
    keep_check(lake, "checksums", "a", green(), NOON + 2 * HOUR)
    since = {"all_read": NOON}
    assert kept(lake) == replace(before, checks=(green(), red("all_read")), since=since)


def test_checks_that_a_whole_run_no_longer_makes_are_gone(lake: LocalLake) -> None:
    keep_result(lake, result("before", NOON, red("of_before")))
    keep_result(lake, result("after", NOON + HOUR, green()))
    assert [check.name for check in kept(lake).checks] == ["no_damage"]


@pytest.mark.parametrize("damage", ["lose", "rot", "empty"])
def test_a_file_that_is_lost_or_rotten_is_no_result_until_a_run_made_all_checks(
    lake: LocalLake, damage: str
) -> None:
    keep_result(lake, result("1", NOON, red("nothing_lost")))
    file = Path(lake.location(FILE))
    if damage == "lose":
        file.unlink()
    else:
        file.write_text(file.read_text().replace("false", "true", 1) if damage == "rot" else "")
    assert isinstance(read_all(lake)["checksums", "a"], Unreadable)
    keep_result(lake, result("few", NOON + HOUR, green(), all_checks=False))
    assert kept(lake).lost
    keep_result(lake, result("all", NOON + 2 * HOUR, green()))
    assert not kept(lake).lost


def test_a_file_without_its_note_still_counts(lake: LocalLake) -> None:
    keep_result(lake, result("1", NOON, red()))
    Path(lake.location(proof_file(FILE))).unlink()
    assert kept(lake).checks == (red(),)


def test_a_failed_run_is_told_until_a_later_run_has_a_result(lake: LocalLake) -> None:
    keep_result(lake, result("1", NOON, green()))
    failure = Failure("2", NOON + 2 * HOUR, "the bucket is unreachable\nnow")
    keep_failure(lake, "checksums", "a", failure)
    keep_result(lake, result("slow", NOON + HOUR, green()))
    failed = kept(lake).failed
    assert failed is not None and failed.text == "the bucket is unreachable; now" and failed.run_id == "2"
    keep_result(lake, result("3", NOON + 3 * HOUR, green()))
    keep_failure(lake, "checksums", "a", failure)  # as the sensor tells it again
    assert kept(lake).failed is None


def test_a_run_that_failed_after_its_checks_were_kept_has_a_result(lake: LocalLake) -> None:
    keep_result(lake, result("1", NOON, red()))
    keep_failure(lake, "checksums", "a", Failure("1", NOON + HOUR, "killed"))
    assert kept(lake).failed is None and kept(lake).checks == (red(),)


def test_of_writers_at_once_the_newest_result_is_kept_and_none_is_mistaken_for_a_loss(
    lake: LocalLake,
) -> None:
    keep_result(lake, result("first", NOON, red("nothing_lost")))

    def keep(number: int) -> None:
        keep_result(lake, result(str(number), NOON + number * HOUR, green(), all_checks=False))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(keep, range(1, 25)))
    now = kept(lake)
    assert now.run_id == "24" and not now.lost
    assert {check.name: check.passed for check in now.checks} == {"nothing_lost": False, "no_damage": True}


def test_the_history_has_the_last_result_of_each_of_the_last_days(
    lake: LocalLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fixity.status.kept.DAYS", 4)
    for day in range(6):
        keep_result(lake, result(f"{day}", NOON + day * 24 * HOUR, red() if day % 2 else green()))
    keep_result(lake, result("late", NOON + 5 * 24 * HOUR + HOUR, red()))
    days = history_of(lake, "checksums", "a")
    assert [day.run_id for day in days] == ["2", "3", "4", "late"]
    assert days[-1].red == ("no_damage",) and days[-1].counts == {"rows": 3} and days[0].red == ()
    Path(lake.location("history/checksums/a.json")).write_text("no json")
    assert history_of(lake, "checksums", "a") == []
