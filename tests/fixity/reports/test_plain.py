"""Objects that are plainly the same: their rows are those that the statement would have given."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixity.in_order import processors
from fixity.reports import Outcome, Side, TableNotConsistent, compare
from fixity.reports.judge import Judge
from fixity.reports.pairs import Pairs
from fixity.reports.suspects import read_suspects
from fixity.tables import CHECKSUMS, FINDINGS
from tests.fixity.reports.rows import (
    CHECKED,
    LAG,
    LISTED,
    YOUNG,
    Row,
    failed_row,
    in_order,
    read_csv,
    row,
    table,
)

Match = Literal["key", "version"]
_MODULE = sys.modules[compare.__module__]  # `fixity.reports.compare` is the function
_WHOLE = 10_000_000

changes: list[dict[str, Any]] = [
    {},
    {"etag": None},
    {"checked_at": None},
    {"last_modified": YOUNG},
    {"size": 6},
    {"checksum": "bb"},
    {"checksum": None},
    {"algorithm": "MD5"},
    {"checksum_type": None},
    {"evidence": "stored"},
    {"evidence": None},
    {"status": "failed", "checksum": None, "error_code": "AccessDenied"},
    {"status": "skipped", "checksum": None, "error_code": "ChangedSinceListed"},
    {"verdict": "differs", "expected": "cc", "expected_algorithm": "MD5", "expected_from": "manifest"},
    {"verdict": "matched"},
]
rarely = st.integers(0, 5).flatmap(lambda number: st.just({}) if number else st.sampled_from(changes))


@st.composite
def copies(draw: st.DrawFn) -> tuple[list[Row], list[Row]]:
    """A table and a copy of it, from which some rows are changed, missing or there a second time."""
    source, replica = [], []
    times = [1] * 20 + [0, 2 if draw(st.sampled_from([False, False, False, True])) else 0]
    all_names: list[list[str | None]] = [["1", "2", "x"], [None, "", "null", "1", "2"]]
    names = st.sampled_from(draw(st.sampled_from(all_names)))
    for number in range(draw(st.integers(1, 15))):
        versions = draw(st.lists(names, min_size=1, max_size=3, unique=True))
        current = draw(st.integers(0, len(versions)))
        for place, version in enumerate(versions):
            known = row(f"{number:02}", f"{place}", version_id=version, is_latest=place == current)
            known |= draw(rarely)
            other = version if draw(st.integers(0, 9)) else draw(names)
            copied = known | {"version_id": other} | draw(rarely)
            if not draw(st.integers(0, 9)):
                copied["checksum"] = "0"
            source += [known] * draw(st.sampled_from(times))
            replica += [copied] * draw(st.sampled_from(times))
    return in_order(source), in_order(replica)


def _said(outcome: Outcome) -> tuple[Any, ...]:
    suspects = outcome.suspects and read_suspects(outcome.suspects).to_pylist()
    figures = (outcome.counts, outcome.rows, outcome.suspect_rows, outcome.beyond)
    return (outcome.csv.read_bytes(), figures, outcome.problems, suspects)


def _both_ways(make: Callable[[], Outcome]) -> list[Any]:
    """What is said with plain rows, and what the statements alone say."""
    said: list[Any] = []
    for find in (Pairs.find, lambda pairs, keys: None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Pairs, "find", find)
            try:
                said.append(_said(make()))
            except TableNotConsistent as error:
                said.append(str(error))
    return said


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    tables=copies(),
    match=st.sampled_from(get_args(Match)),
    group_rows=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    range_bytes=st.sampled_from([10_000, _WHOLE, _WHOLE]),
    at_once=st.sampled_from([1, 3, 1000]),
    knows_damage=st.booleans(),
    has_findings=st.booleans(),
)
def test_the_statement_alone_says_the_same(
    tables: tuple[list[Row], list[Row]],
    match: Match,
    group_rows: tuple[int, int],
    range_bytes: int,
    at_once: int,
    knows_damage: bool,
    has_findings: bool,
) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        for module in ("beside", "compared", "judge"):
            patch.setattr(f"fixity.reports.{module}.LINES_AT_ONCE", at_once)
        patch.setattr(_MODULE, "PROBLEMS", 3)
        directory = Path(name)
        findings = directory / "findings.parquet"
        known = {**dict.fromkeys(FINDINGS.names), "key": "03", "looked": True, "note": "found"}
        pq.write_table(pa.Table.from_pylist([known], FINDINGS), findings)
        source, replica = (
            Side(side, table(directory / side, rows, count), LISTED)
            for side, rows, count in zip(("deposit", "copy"), tables, group_rows, strict=True)
        )

        def make() -> Outcome:
            return compare(
                source,
                replica,
                match=match,
                lag=LAG,
                csv=directory / "report.csv",
                range_bytes=range_bytes,
                findings=findings if has_findings else None,
                knows_damage=knows_damage,
            )

        plain, by_statement = _both_ways(make)
        assert plain == by_statement


def _report(
    folder: Path, source: list[Row], replica: list[Row], match: Match = "key", **other: Any
) -> Outcome:
    sides = (
        Side(name, table(folder / name, rows), LISTED)
        for name, rows in (("deposit", source), ("copy", replica))
    )
    return compare(*sides, match=match, lag=LAG, csv=folder / "report.csv", **other)


@pytest.fixture
def statement_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(judge: object, *arguments: object) -> None:
        raise AssertionError("the statement was asked")

    monkeypatch.setattr(Judge, "__init__", refuse)


@pytest.mark.usefixtures("statement_refuses")
@pytest.mark.parametrize("match", get_args(Match))
def test_where_all_is_the_same_the_statement_is_not_asked(tmp_path: Path, match: Match) -> None:
    versions = [row("b", "b1", version_id="1", is_latest=False), row("b", "b2", version_id="2")]
    source = [row("a", version_id="1"), *versions, row("c", version_id="1", etag=None)]
    replica = [row("a", version_id="1"), *versions, row("c", version_id="1", checked_at=None)]
    outcome = _report(tmp_path, source, replica, match)
    assert outcome.counts.matches == outcome.rows == (3 if match == "key" else 4)
    assert [line["status"] for line in read_csv(outcome.csv)] == ["ok"] * outcome.rows


@pytest.mark.usefixtures("statement_refuses")
def test_a_version_without_a_name_is_that_of_a_store_without_versions(tmp_path: Path) -> None:
    source, replica = ([row(key, version_id=name) for key in "abc"] for name in (None, "null"))
    assert _report(tmp_path, source, replica, "version").counts.matches == 3


@pytest.mark.usefixtures("statement_refuses")
@pytest.mark.parametrize(
    "change", [{"checksum": "bb"}, {"size": 6}, {"evidence": "stored"}, {"verdict": "differs"}]
)
def test_what_is_not_plain_is_left_to_the_statement(tmp_path: Path, change: dict[str, Any]) -> None:
    rows = [row("a"), row("b"), row("c")]
    with pytest.raises(AssertionError, match="the statement was asked"):
        _report(tmp_path, rows, [row("a"), row("b") | change, row("c")], knows_damage=True)


def test_other_rows_stand_at_their_places_among_plain_ones(tmp_path: Path) -> None:
    source = [row(key) for key in "bcdfgh"]
    replica = [row(key) for key in "acdeghi"]
    assert [(line["key"], line["status"]) for line in read_csv(_report(tmp_path, source, replica).csv)] == [
        ("a", "missing_source"), ("b", "missing_replica"), ("c", "ok"), ("d", "ok"), ("e", "missing_source"),
        ("f", "missing_replica"), ("g", "ok"), ("h", "ok"), ("i", "missing_source"),
    ]  # fmt: skip


@pytest.mark.parametrize("at_once", [1, 1000])
def test_versions_stand_in_their_order_where_one_has_another_name_on_the_other_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("fixity.reports.beside.LINES_AT_ONCE", at_once)
    source = [row("a", version_id="null")]
    replica = [row("a", version_id=None), row("a", version_id="1", is_latest=False)]
    lines = read_csv(_report(tmp_path, source, replica, "version").csv)
    assert [(line["version_id"], line["status"]) for line in lines] == [
        ("1", "missing_source"),
        ("null", "ok"),
    ]


def test_the_statement_is_planned_once_for_each_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned: list[Judge] = []
    plan = Judge.__init__

    def note(judge: Judge, *arguments: Any) -> None:
        planned.append(judge)
        plan(judge, *arguments)

    monkeypatch.setattr(Judge, "__init__", note)
    sides = [
        Side(name, table(tmp_path / name, [row(f"{number:03}", value) for number in range(100)], 1), LISTED)
        for name, value in (("deposit", "1"), ("copy", "2"))
    ]
    outcome = compare(*sides, match="key", lag=LAG, csv=tmp_path / "report.csv", range_bytes=10_000)
    assert outcome.counts.mismatches == 100
    assert 1 <= len(planned) <= processors()


@pytest.mark.parametrize("match", get_args(Match))
@pytest.mark.parametrize("side", ["source", "replica"])
def test_an_object_twice_among_plain_ones_is_refused(tmp_path: Path, match: Match, side: str) -> None:
    once = [row(key, version_id="1") for key in "abcdefgh"]
    twice = in_order([*once, row("d", version_id="1")])
    with pytest.raises(TableNotConsistent, match="more than once"):
        _report(tmp_path, *((twice, once) if side == "source" else (once, twice)), match)


@pytest.mark.parametrize("match", get_args(Match))
def test_rows_out_of_order_within_a_row_group_are_compared_all_the_same(tmp_path: Path, match: Match) -> None:
    rows = [row("a"), row("c"), row("b"), row("d")]
    outcome = _report(tmp_path, rows, in_order(rows), match)
    assert [line["key"] for line in read_csv(outcome.csv)] == list("abcd")
    assert outcome.counts.matches == 4


def test_suspects_are_kept_alike_whether_or_not_the_rows_of_their_range_are_in_order(tmp_path: Path) -> None:
    keys = [f"{number:03}" for number in range(100)]
    keys[-2:] = reversed(keys[-2:])
    sides = [
        Side(name, table(tmp_path / name, [row(key, value) for key in keys], 2), LISTED)
        for name, value in (("deposit", "1"), ("copy", "2"))
    ]
    csv = tmp_path / "report.csv"
    outcome = compare(*sides, match="key", lag=LAG, csv=csv, range_bytes=10_000, knows_damage=True)
    assert outcome.suspects
    assert read_suspects(outcome.suspects)["key"].to_pylist() == sorted(keys)


def test_a_table_of_an_earlier_version_lacks_columns(tmp_path: Path) -> None:
    later = {"verdict", "expected", "expected_algorithm", "expected_from", "reads", "other_checksums"}
    rows = [row("a"), row("b"), failed_row("c")]
    sides = []
    for name in ("deposit", "copy"):
        written = pq.read_table(table(tmp_path / name, rows))
        pq.write_table(
            written.select([each for each in CHECKSUMS.names if each not in later]), tmp_path / name
        )
        sides.append(Side(name, tmp_path / name, LISTED))
    outcome = compare(*sides, match="key", lag=LAG, csv=tmp_path / "report.csv", knows_damage=True)
    assert [line["status"] for line in read_csv(outcome.csv)] == ["ok", "ok", "failed_source"]


def test_row_groups_that_are_large_are_not_read_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fixity.reports.pairs.RowGroups.rows", None)
    rows = [row(f"{number:03}", checked_at=CHECKED) for number in range(100)]
    assert _report(tmp_path, rows, rows, range_bytes=100).counts.matches == 100
