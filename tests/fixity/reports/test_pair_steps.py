"""A pair that steps compare, part by part, has the report that one process makes of it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from fixity.ledger.fold import settings_of
from fixity.ledger.inventory import TableMissing
from fixity.reports import pair_steps
from fixity.reports.pair import PairReport, make_report, no_first
from fixity.reports.pair_steps import PairSteps
from tests.fixity.incidents.archive import PAIR, Archive, write
from tests.fixity.support import flipped

compare = import_module("fixity.reports.compare")  # the package has the function of this name
SCRATCH = "scratch/r/fixity_report/"


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """A pair of which some objects differ, are missing on a side, or cannot be read."""
    monkeypatch.setattr(pair_steps, "RANGE_BYTES", 200)  # a row or two
    monkeypatch.setattr(pair_steps, "_RANGES_OF_STEP", 3)
    for side in "ab":
        (tmp_path / side).mkdir()
        for number in range(20):
            if (side, number) not in {("a", 7), ("b", 11), ("b", 12)}:
                body = b"other" if (side, number) in {("b", 3), ("a", 18)} else b"same"
                write(tmp_path / side / f"k{number:02}", body)
    archive = Archive.of(tmp_path, {name: {"path": f"./{name}"} for name in "ab"}, {PAIR: {"replica": "b"}})
    archive.check("1")
    return archive


def steps(archive: Archive) -> PairSteps:
    return PairSteps(archive.lake, archive.catalog.pairs[PAIR], SCRATCH, "run")


def report(archive: Archive, with_steps: bool = True) -> PairReport:
    pair = archive.catalog.pairs[PAIR]
    settings = settings_of(archive.catalog.buckets[pair.source])
    first = steps(archive).compared if with_steps else no_first
    return make_report(archive.lake, pair, settings, "run", first=first)


def said(archive: Archive, made: PairReport) -> dict[str, Any]:
    """All that a report says."""
    return {
        "csv": archive.lake.read_text(made.csv),
        "stats": archive.lake.read_text(made.stats),
        "counts": made.outcome.counts,
        "problems": made.outcome.problems,
        "suspects": made.suspects,
        "others": (made.outcome.rows, made.outcome.suspect_rows, made.ages, made.left_out, made.damaged),
    }


def scratch(archive: Archive) -> Path:
    return Path(archive.lake.location(SCRATCH)) / "compare"


def compare_all(archive: Archive) -> int:
    number = steps(archive).plan()
    for each in reversed(range(number)):
        steps(archive).compare(each)
    return number


def test_the_report_is_that_of_one_process(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    right = said(archive, report(archive, with_steps=False))
    assert len(right["problems"]) == 5
    assert compare_all(archive) > 3
    steps(archive).compare(0)  # tried again
    monkeypatch.setattr(compare, "_Comparer", None)  # nothing is compared once more
    assert said(archive, report(archive)) == right


@pytest.mark.parametrize("most", [1, 2, 4])
def test_no_more_problems_and_suspects_are_kept_than_of_one_process(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(compare, "PROBLEMS", most)
    monkeypatch.setattr(compare, "SUSPECTS_KEPT", most)
    right = said(archive, report(archive, with_steps=False))
    compare_all(archive)
    assert said(archive, report(archive)) == right
    assert (len(right["problems"]), right["suspects"].num_rows) == (most, most)


@pytest.mark.parametrize("end", [".json", ".csv", ".parquet"])
@pytest.mark.parametrize("damage", [True, False], ids=["damaged", "gone"])
def test_what_a_step_has_not_kept_whole_is_compared_anew(archive: Archive, end: str, damage: bool) -> None:
    right = said(archive, report(archive, with_steps=False))
    compare_all(archive)
    for file in scratch(archive).glob(f"*/0*{end}"):
        if damage:
            file.write_bytes(flipped(file.read_bytes()))
        else:
            file.unlink()
    assert said(archive, report(archive)) == right


def test_without_its_plan_or_a_table_the_report_is_made_as_if_there_were_no_steps(archive: Archive) -> None:
    right = said(archive, report(archive, with_steps=False))
    for name in ("plan.json", "*/replica.parquet"):
        for is_gone in (False, True):
            compare_all(archive)
            (file,) = scratch(archive).glob(name)
            table = file.read_bytes()
            file.unlink()
            if not is_gone:
                file.write_bytes(flipped(table))
            assert said(archive, report(archive)) == right


def test_a_run_that_is_executed_anew_takes_the_newest_tables(archive: Archive) -> None:
    compare_all(archive)
    (Path(archive.folder) / "b" / "k05").unlink()
    archive.check("2")
    pair = archive.catalog.pairs[PAIR]
    again = PairSteps(archive.lake, pair, SCRATCH, "run again")
    again.compare(0)  # it has no plan
    settings = settings_of(archive.catalog.buckets[pair.source])
    made = make_report(archive.lake, pair, settings, "run again", first=again.compared)
    assert "k05" in {row["key"] for row in made.outcome.problems}
    assert "k05" not in {row["key"] for row in report(archive).outcome.problems}


def test_a_small_pair_needs_no_steps_and_a_bucket_that_was_not_checked_is_told(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair_steps, "_RANGES_OF_STEP", 1000)
    assert steps(archive).plan() == 0
    assert not archive.lake.list(SCRATCH)
    archive.lake.remove("checksums/b/")
    with pytest.raises(TableMissing, match="there are no checksums of 'b' yet"):
        steps(archive).plan()


def test_what_a_step_of_a_plan_before_finds_is_not_of_the_tables_now(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = steps(archive).plan()
    planned = steps(archive)._plan()
    tables = scratch(archive).rename(archive.folder / "kept")
    write(archive.folder / "b" / "k00", b"evil")
    archive.check("2")
    right = said(archive, report(archive, with_steps=False))
    assert right["problems"][0]["key"] == "k00"
    compare_all(archive)
    for folder in tables.glob("*-*"):
        folder.rename(scratch(archive) / folder.name)  # a step may have fetched them
    with monkeypatch.context() as patch:
        patch.setattr(PairSteps, "_plan", lambda self: planned)
        for number in range(before):
            steps(archive).compare(number)
    assert said(archive, report(archive)) == right


def test_a_table_whose_keys_cannot_be_read_is_left_to_who_makes_the_report(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*tables: Path, most: int) -> None:
        tables[1].write_bytes(b"no table")
        raise OSError("Deserializing page header failed")

    monkeypatch.setattr(pair_steps, "key_ranges", unreadable)
    assert steps(archive).plan() == 0
