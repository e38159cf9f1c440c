"""The report as a whole: against an oracle on random tables, cut everywhere; its CSV; what it refuses."""

import os
import resource
import stat
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Literal, get_args

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixity.reports import COLUMNS, Side, TableNotConsistent, TableNotSorted, compare
from fixity.reports.by_range import whole_file
from fixity.reports.columns import SUSPECT
from fixity.reports.compared import ComparedRows
from fixity.reports.counts import Counts
from fixity.reports.suspects import read_suspects
from tests.fixity.reports.oracle import expected_counts, expected_rows
from tests.fixity.reports.rows import (
    CHECKED,
    LAG,
    LATER,
    LISTED,
    OLD,
    YOUNG,
    Row,
    failed_row,
    in_order,
    read_csv,
    report,
    row,
    table,
)

Match = Literal["key", "version"]
pytestmark = pytest.mark.all_processors
_MODULE = sys.modules[compare.__module__]  # `fixity.reports.compare` is the function

ODD_KEYS = [
    "a",
    "A",
    "a,b",
    'say "yes"',
    '"',
    "line\nbreak",
    "return\rhere",
    "both\r\n",
    " leading",
    "trailing ",
    "=1+1",
    "#comment",
    "'",
    ";",
    "tab\t",
    "\x01",
    "NULL",
    "\\N",
    "/",
    "//a",
    "./a",
    "ä",
    "a\u0308",
    "日本",
    "\uffff",
    "🗄",
    "🗄️/x",
    "z" * 1024,
    "ü" * 512,
]

FOUND_OUT = ("diagnosis", "diagnosis_rests_on", "last_agreed_at")
"""Columns that are empty until somebody has looked into the row."""

moments = st.sampled_from(
    [None, OLD, YOUNG, LATER, LISTED]
    + [LISTED - LAG + timedelta(microseconds=offset) for offset in (-1, 0, 1)]
)
checks = st.one_of(
    st.fixed_dictionaries(
        {"status": st.just("succeeded"), "checksum": st.sampled_from(["aa", "aa", "bb", None])}
    ),
    st.fixed_dictionaries(
        {"status": st.just("failed"), "error_code": st.sampled_from(["AccessDenied", None])}
    ),
    st.fixed_dictionaries(
        {
            "status": st.just("skipped"),
            "error_code": st.sampled_from(["DeletedSinceListed", "ChangedSinceListed", "Archived"]),
        }
    ),
)
kinds = st.fixed_dictionaries(
    {
        "size": st.sampled_from([0, 5, 2**40]),
        "etag": st.sampled_from([None, "e1", 'e"2']),
        "last_modified": moments,
        "algorithm": st.sampled_from(["SHA256", "SHA256", "SHA256", "MD5"]),
        "checksum_type": st.sampled_from(["FULL_OBJECT", "FULL_OBJECT", "COMPOSITE", None]),
        "evidence": st.sampled_from(["streamed", "streamed", "s3_batch", "stored"]),
        "checked_at": st.sampled_from([CHECKED, CHECKED + timedelta(microseconds=1)]),
    }
)
plain = st.tuples(kinds, checks).map(lambda parts: {**parts[0], "checksum": None, **parts[1]})
keys = st.one_of(st.sampled_from("abcd"), st.sampled_from(ODD_KEYS))


@st.composite
def sides(draw: st.DrawFn) -> list[Row]:
    """A table: some keys, each with one or more versions of which at most one is the current."""
    rows = []
    for key in draw(st.lists(keys, unique=True, max_size=7)):
        versions: list[str | None] = list(draw(st.lists(st.sampled_from(["1", "2", "30"]), unique=True)))
        if not versions or draw(st.booleans()):
            versions.append(draw(st.sampled_from([None, "null"])))
        current = draw(st.integers(0, len(versions)))  # none, where a delete marker is current
        for number, version in enumerate(versions):
            rows.append(row(key, version_id=version, is_latest=number == current) | draw(plain))
    return in_order(rows)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[list[Row], list[Row]]:
    """Two tables, often one the copy of the other but for a few rows."""
    source, replica = draw(sides()), draw(sides())
    if draw(st.booleans()):
        return source, replica
    changed = {(each["key"], each["version_id"]): each for each in replica}
    # As in the source, at most one version of a key is the current one.
    copy = [
        changed.pop((each["key"], each["version_id"]), each) | {"is_latest": each["is_latest"]}
        for each in source
    ]
    return source, in_order([each for each in copy if draw(st.integers(0, 9))])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    both=pairs(),
    match=st.sampled_from(get_args(Match)),
    group_rows=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    range_bytes=st.sampled_from([1, 2000, 10_000, 10_000_000]),
    at_once=st.sampled_from([1, 3, 1000]),
)
def test_it_says_what_an_oracle_says_wherever_it_is_cut(
    both: tuple[list[Row], list[Row]],
    match: Match,
    group_rows: tuple[int, int],
    range_bytes: int,
    at_once: int,
) -> None:
    source, replica = both
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(_MODULE, "PROBLEMS", 3)
        patch.setattr("fixity.reports.judge.LINES_AT_ONCE", at_once)
        patch.setattr("fixity.reports.beside.LINES_AT_ONCE", at_once)
        directory = Path(name)
        outcome = compare(
            Side("deposit", table(directory / "source", source, group_rows[0]), LISTED),
            Side("copy", table(directory / "replica", replica, group_rows[1]), LISTED),
            match=match,
            lag=LAG,
            csv=directory / "report.csv",
            range_bytes=range_bytes,
        )
        lines = read_csv(outcome.csv)
        assert [
            {name: value for name, value in line.items() if name not in ("bucket", "detail", *FOUND_OUT)}
            for line in lines
        ] == expected_rows(source, replica, match)
        assert outcome.counts == expected_counts(source, replica, match)
        assert outcome.rows == len(lines)
        assert {line["bucket"] for line in lines} <= {"deposit"}
        not_ok = [line for line in lines if line["status"] != "ok"]
        shown = [
            {name: "" if value is None else str(value) for name, value in problem.items()}
            for problem in outcome.problems
        ]
        assert shown == not_ok[:3]
        suspects = read_suspects(outcome.suspects).to_pylist() if outcome.suspects else []
        assert [(each["key"], each["version_id"] or "", each["status"]) for each in suspects] == [
            (line["key"], line["version_id"], line["status"]) for line in lines if line["status"] in SUSPECT
        ]


def test_odd_keys_come_back_from_the_csv_through_python_and_duckdb(tmp_path: Path) -> None:
    outcome = report(tmp_path, [row(key) for key in ODD_KEYS], [row(key) for key in ODD_KEYS])
    in_binary_order = sorted(ODD_KEYS, key=str.encode)
    assert [line["key"] for line in read_csv(outcome.csv)] == in_binary_order
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in COLUMNS)
    through_duckdb = duckdb.sql(
        f"SELECT key FROM read_csv('{outcome.csv}', auto_detect=false, header=true, delim=',', quote='\"', "
        f"escape='\"', columns={{{columns}}})"
    ).fetchall()
    assert [key for (key,) in through_duckdb] == in_binary_order
    assert outcome.counts.matches == len(ODD_KEYS)


def test_the_csv_is_this_to_the_byte(tmp_path: Path) -> None:
    later = CHECKED + timedelta(seconds=1)
    source = [
        row("a"),
        row('b, "c"', "1", size=1, version_id="#v"),
        failed_row("d", message='no, "never"'),
        row("é", version_id=""),
    ]
    replica = [
        row("a", etag=None, checked_at=later),
        row('b, "c"', "2", size=2),
        row("c\n", "3", size=0),
        row("é", version_id="null"),
    ]
    checked = "2026-03-01T13:00:00.000250Z,2026-03-01T13:00:00.000250Z"
    assert report(tmp_path, source, replica).csv.read_bytes().decode() == (
        ",".join(COLUMNS) + "\n"
        f"deposit,a,,ok,SHA256,aa,aa,5,5,e1,,{checked[:28]}2026-03-01T13:00:01.000250Z,,,,\n"
        f'deposit,"b, ""c""","#v",mismatch,SHA256,1,2,1,2,e1,e1,{checked},sizes differ: 1 and 2 bytes,,,\n'
        f'deposit,"c\n",,missing_source,SHA256,,3,,0,,e1,,{checked[:27]},,,,\n'
        f"deposit,d,,missing_replica,SHA256,,,5,,e1,,{checked[:27]},,"
        '"the source could not be read: AccessDenied: no, ""never""",,,\n'
        f'deposit,é,"",ok,SHA256,aa,aa,5,5,e1,e1,{checked},,,,\n'
    )


def test_the_columns_are_those_that_are_documented(tmp_path: Path) -> None:
    outcome = report(tmp_path, [row("a")], [])
    assert list(read_csv(outcome.csv)[0]) == list(COLUMNS) == list(outcome.problems[0])


def test_sides_that_share_no_key_are_compared(tmp_path: Path) -> None:
    source, replica = [row(f"a{n:03}") for n in range(50)], [row(f"b{n:03}") for n in range(50)]
    outcome = report(tmp_path, source, replica, range_bytes=1)
    assert outcome.counts == Counts(total_objects=50, missing_replica=50, missing_source=50, rows=100)


def test_a_table_may_be_one_row_group_beside_many(tmp_path: Path) -> None:
    rows = [row(f"{n:04}") for n in range(300)]
    outcome = report(tmp_path, rows, rows, range_bytes=5000, groups=(300, 2))
    assert outcome.counts == Counts(total_objects=300, matches=300, rows=300)


def test_a_key_with_many_versions_stays_in_one_piece(tmp_path: Path) -> None:
    rows = [row("a", f"{n:04}", version_id=f"{n:04}", is_latest=n == 0) for n in range(200)]
    by_version = report(tmp_path, rows, rows, "version", range_bytes=1)
    assert by_version.counts.matches == by_version.rows == 200
    assert report(tmp_path, rows, rows, "key", range_bytes=1).rows == 1


def test_an_older_version_is_found_in_another_row_group(tmp_path: Path) -> None:
    versions = [row("b", f"{n}", version_id=f"{n}", is_latest=n == 9) for n in range(10)]
    source = table(tmp_path / "source", [row("a"), *versions, row("c")], 1)
    replica = table(tmp_path / "replica", [row("a"), row("b", "0"), row("c")], 1)
    outcome = compare(
        Side("deposit", source, LISTED),
        Side("copy", replica, LISTED),
        match="key",
        lag=LAG,
        csv=tmp_path / "report.csv",
        range_bytes=1,
    )
    assert [problem["detail"] for problem in outcome.problems] == ["the replica holds an older version (0)"]


def test_only_the_first_problems_are_returned_in_key_order(tmp_path: Path) -> None:
    outcome = report(tmp_path, [row(f"{n:03}") for n in range(250)], [])
    assert [problem["key"] for problem in outcome.problems] == [f"{n:03}" for n in range(100)]


def test_a_table_that_is_not_sorted_is_refused_by_name(tmp_path: Path) -> None:
    unsorted = table(tmp_path / "unsorted.parquet", [row("b"), row("a")], 1)
    with pytest.raises(TableNotSorted, match=r"unsorted\.parquet is not sorted by key"):
        compare(
            Side("deposit", table(tmp_path / "source", [row("a")]), LISTED),
            Side("copy", unsorted, LISTED),
            match="key",
            lag=LAG,
            csv=tmp_path / "report.csv",
        )


@pytest.mark.parametrize("match", ["key", "version"])
def test_an_object_twice_is_refused_and_the_report_of_before_stays(tmp_path: Path, match: Match) -> None:
    before = report(tmp_path, [row("a")], [row("a")], match).csv.read_bytes()
    with pytest.raises(TableNotConsistent, match=r"replica\.parquet has .* more than once|source\.parquet"):
        report(tmp_path, [row("a"), row("b")], [row("a"), row("b"), row("b")], match)
    assert (tmp_path / "report.csv").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith((".", "report-"))] == []


def test_a_comparison_that_breaks_off_leaves_the_report_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = report(tmp_path, [row("a")], []).csv.read_bytes()

    def interrupt(rows: ComparedRows) -> Iterator[bytes]:
        yield b"a"
        raise KeyboardInterrupt

    monkeypatch.setattr(ComparedRows, "lines", interrupt)
    with pytest.raises(KeyboardInterrupt):
        report(tmp_path, [row(f"{n}") for n in range(9)], [failed_row("a")], range_bytes=1)
    assert (tmp_path / "report.csv").read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir() if file.is_file()) == [
        "replica.parquet",
        "report.csv",
        "report.suspects.arrow",
        "source.parquet",
    ]


def test_a_csv_of_which_the_disk_takes_only_a_part_is_no_report(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))  # as on a full disk
    try:
        with pytest.raises(OSError, match="too large"), whole_file(tmp_path / "report.csv") as out:
            out.writelines([b"x" * 2000, b"x" * 3000])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.glob("*report.csv*"))


def test_the_csv_has_the_rights_that_any_new_file_has(tmp_path: Path) -> None:
    csv = report(tmp_path, [], []).csv
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(csv.stat().st_mode) == 0o666 & ~umask


def test_names_with_quotes_are_only_names(tmp_path: Path) -> None:
    directory = tmp_path / "o'clock"
    directory.mkdir()
    assert report(directory, [row("a")], [row("a")]).counts.matches == 1
