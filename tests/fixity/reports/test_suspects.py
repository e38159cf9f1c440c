"""The suspect rows of a report: collected with what both sides know, and joined with what was found out."""

import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fixity.lake.database import new_database
from fixity.reports import Outcome, Side, compare
from fixity.reports.columns import SUSPECTS
from fixity.reports.suspects import read_suspects
from fixity.tables import FINDINGS
from tests.fixity.reports.rows import (
    LAG,
    LISTED,
    OLD,
    YOUNG,
    failed_row,
    read_csv,
    report,
    row,
    skipped_row,
    table,
)

AGREED = datetime(2026, 2, 1, 8, 0, 0, 5, tzinfo=UTC)


def suspects(outcome: Outcome) -> list[dict[str, Any]]:
    assert outcome.suspects is not None
    table = read_suspects(outcome.suspects)
    assert table.schema.equals(SUSPECTS)
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def again(folder: Path, **findings: object) -> list[dict[str, str]]:
    """The rows of the report on the tables of before, with these findings about the object `a`."""
    known = {**dict.fromkeys(FINDINGS.names), "key": "a", "looked": True, **findings}
    pq.write_table(pa.Table.from_pylist([known], FINDINGS), folder / "findings.parquet")
    outcome = compare(
        Side("deposit", folder / "source.parquet", LISTED),
        Side("copy", folder / "replica.parquet", LISTED),
        match="key",
        lag=LAG,
        csv=folder / "again.csv",
        range_bytes=1,
        findings=folder / "findings.parquet",
    )
    return read_csv(outcome.csv)


def test_only_rows_that_say_that_something_is_wrong_are_suspects(tmp_path: Path) -> None:
    outcome = report(
        tmp_path,
        [
            row("a", "1"), row("b"), failed_row("c"), row("d"), skipped_row("e"), row("f", algorithm="MD5"),
            row("g"), row("h", last_modified=YOUNG),
        ],
        [row("a", "2"), row("b"), row("c"), failed_row("d"), row("e"), row("f"), row("i")],
        range_bytes=1,
    )  # fmt: skip
    assert [(each["key"], each["status"]) for each in suspects(outcome)] == [
        ("a", "mismatch"), ("c", "failed_source"), ("d", "failed_replication"), ("g", "missing_replica"),
        ("i", "missing_source"),
    ]  # fmt: skip


@pytest.mark.parametrize("source", [[row()], [skipped_row()], [failed_row(last_modified=YOUNG)]])
def test_where_nothing_is_wrong_there_is_no_table_of_suspects(tmp_path: Path, source: list[Any]) -> None:
    replica = [] if source[0]["status"] == "failed" else [row()]
    assert report(tmp_path, source, replica).suspects is None
    assert not list(tmp_path.glob("*suspects*"))


@pytest.mark.parametrize("match", ["key", "version"])
def test_a_suspect_has_both_sides_checks_and_nothing_of_a_side_without_the_object(
    tmp_path: Path, match: Literal["key", "version"]
) -> None:
    versions = [row("a", "1", version_id="v1", is_latest=False), row("a", "2", version_id="v2", size=7)]
    replica = [row("a", "1", version_id="v1", is_latest=False), row("a", "3", version_id="v2", size=8)]
    outcome = report(tmp_path, [*versions, row("b", version_id="v1")], replica, match)
    both, alone = suspects(outcome)
    assert (both["version_id"], both["detail"]) == ("v2", "sizes differ: 7 and 8 bytes")
    assert [both[f"{side}_{name}"] for side in ("source", "replica") for name in ("version_id", "size")] == [
        "v2", 7, "v2", 8,
    ]  # fmt: skip
    assert (both["source_checksum"], both["replica_checksum"]) == ("2", "3")
    assert both["source_last_modified"] == row()["last_modified"]
    assert {each.removeprefix("replica_"): alone[each] for each in alone if each.startswith("replica_")} == (
        dict.fromkeys(each.removeprefix("replica_") for each in SUSPECTS.names if each.startswith("replica_"))
    )
    assert (alone["key"], alone["source_version_id"], alone["source_size"]) == ("b", "v1", 5)


def test_each_suspect_has_its_own_checks_wherever_they_stand_in_the_tables(tmp_path: Path) -> None:
    source = [row(key, "1", size=number, run_id=f"s{key}") for number, key in enumerate("abcdefgh")]
    replica = [row(key, "2", etag=f"e{key}", run_id=f"r{key}") for key in "bdefghi"]
    outcome = report(tmp_path, source, replica, range_bytes=1, groups=(3, 2))
    names = ("run_id", "size", "etag", "checksum", "last_modified")
    for each in suspects(outcome):
        for side, rows in (("source", source), ("replica", replica)):
            there = next((check for check in rows if check["key"] == each["key"]), dict.fromkeys(names))
            assert [each[f"{side}_{name}"] for name in names] == [there[name] for name in names]
    assert [each["key"] for each in suspects(outcome)] == list("abcdefghi")


def test_what_was_found_out_stands_in_the_row(tmp_path: Path) -> None:
    report(tmp_path, [row("a", "1"), row("b", "1")], [row("a", "2", size=6), row("b", "2")])
    known, unknown = again(
        tmp_path,
        note="suspect, not looked at twice",
        diagnosis="replica_damaged",
        diagnosis_rests_on="the source's baseline",
        last_agreed_at=AGREED,
    )
    assert known["detail"] == "sizes differ: 5 and 6 bytes; suspect, not looked at twice"
    assert [known[name] for name in ("diagnosis", "diagnosis_rests_on", "last_agreed_at")] == [
        "replica_damaged",
        "the source's baseline",
        "2026-02-01T08:00:00.000005Z",
    ]
    assert unknown["detail"] == "suspect, not looked at twice"
    assert {unknown[name] for name in ("diagnosis", "diagnosis_rests_on", "last_agreed_at")} == {""}


def test_of_many_suspects_the_first_are_collected_and_the_others_are_counted_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["fixity.reports.compare"], "SUSPECTS_KEPT", 2)
    keys = "abcde"
    outcome = report(
        tmp_path, [row(key, "1") for key in keys], [row(key, "2") for key in keys], range_bytes=1
    )
    assert ([each["key"] for each in suspects(outcome)], outcome.suspect_rows) == (["a", "b"], 5)
    assert [each["detail"] for each in again(tmp_path)] == ["", *["suspect, not looked at twice"] * 4]


def test_beyond_the_first_suspects_only_what_was_not_looked_at_twice_is_said_to_be_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["fixity.reports.compare"], "SUSPECTS_KEPT", 1)
    twice, before = {"reads": 2}, {"reads": 2, "checked_at": OLD}
    once, right = {"reads": 1}, {"reads": 1, "verdict": "matched"}
    checks: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "b read twice": (row("", "1") | twice, row("", "2") | twice),
        "c as expected": (row("", "1") | right, row("", "2") | twice),
        "d once": (row("", "1") | twice, row("", "2") | once),
        "e before it was listed": (row("", "1") | before, row("", "2") | twice),
        "f failed twice": (failed_row("") | twice, row("", "2") | once),
        "g failed once": (row("", "2") | twice, failed_row("") | once),
        "h of an earlier version": (row("", "1"), row("", "2") | twice),
    }
    source = [row("a", "1"), *({**one, "key": key} for key, (one, _) in checks.items())]
    replica = [row("a", "2"), *({**two, "key": key} for key, (_, two) in checks.items())]
    report(tmp_path, [*source, row("i missing") | twice], replica)
    said = {each["key"] for each in again(tmp_path) if "suspect, not looked at twice" in each["detail"]}
    assert {key[0] for key in said} == set("deghi")


@pytest.mark.all_processors
def test_a_pair_of_which_all_differs_takes_no_more_memory_than_comparing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A join of the suspects with both tables takes more than 32 MB, comparing takes less than 24 MB.
    small = partial(new_database, memory_limit="30MB")
    monkeypatch.setattr(sys.modules["fixity.reports.compare"], "new_database", small)
    source, replica = (
        table(tmp_path / side, [row(f"{number:05d}", digit * 64) for number in range(9000)], 3000)
        for side, digit in (("source", "1"), ("replica", "2"))
    )
    outcome = compare(
        Side("deposit", source, LISTED),
        Side("copy", replica, LISTED),
        match="key",
        lag=LAG,
        csv=tmp_path / "report.csv",
    )
    assert (len(suspects(outcome)), outcome.suspect_rows) == (9000, 9000)


def test_findings_of_before_say_nothing_of_a_row_that_is_right_now_or_of_another_version(
    tmp_path: Path,
) -> None:
    report(tmp_path, [row("a", "1")], [row("a", "1")])
    assert [each["diagnosis"] for each in again(tmp_path, diagnosis="cannot_tell", note="n")] == [""]
    report(tmp_path, [row("a", "1")], [row("a", "2", last_modified=LISTED - timedelta(days=30))])
    assert [each["diagnosis"] for each in again(tmp_path, version_id="v", diagnosis="cannot_tell")] == [""]
    assert [each["diagnosis"] for each in again(tmp_path, diagnosis="cannot_tell")] == ["cannot_tell"]


@pytest.mark.parametrize("match", ["key", "version"])
def test_the_same_damage_on_both_sides_is_told_though_nothing_differs(
    tmp_path: Path, match: Literal["key", "version"]
) -> None:
    bad = {"verdict": "differs", "expected_algorithm": "SHA256", "expected_from": "manifest"}
    here, there = {**bad, "expected": "x"}, {**bad, "expected": "y"}
    source = [row("a", "1") | here, row("b", "1") | {"verdict": "matched"}, row("c", "1") | here]
    replica = [row("a", "1") | there, row("b", "1") | there, row("c", "2")]
    report(tmp_path, source, replica)
    outcome = compare(
        Side("deposit", tmp_path / "source.parquet", LISTED),
        Side("copy", tmp_path / "replica.parquet", LISTED),
        match=match,
        lag=LAG,
        csv=tmp_path / "again.csv",
        knows_damage=True,
    )
    both = "the same bytes on both sides, but the source's check expects SHA256 x (manifest); the replica's "
    assert [(each["status"], each["detail"]) for each in read_csv(outcome.csv)] == [
        ("ok", f"{both}check expects SHA256 y (manifest)"),
        ("ok", "the same bytes on both sides, but the replica's check expects SHA256 y (manifest)"),
        ("mismatch", ""),
    ]
