"""CSV: what is written is read back equal, by everybody; a spreadsheet gets no formula."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixity.lake.csv_files import (
    csv_line,
    csv_lines,
    read_rows,
    reading_with_duckdb,
    write_for_spreadsheet,
)
from fixity.lake.database import open_database

HARD = [
    "Icon\r",
    "a\nb",
    "\r\n",
    '"',
    'a "b" c',
    '"a"',
    ",",
    " a",
    "a ",
    "",
    "\ta",
    "#a",
    "=1+1",
    "\ufeff",
    "\\",
    "\0",
]
texts = st.sampled_from(HARD) | st.text() | st.text(alphabet=' ,;"\r\n\t#=\ufeffa')


@given(st.lists(st.tuples(texts, st.none() | texts)))
def test_what_is_written_is_read_back_equal_by_everybody(rows: list[tuple[str, str | None]]) -> None:
    written = "".join(map(csv_line, [("key", "version_id"), *rows]))
    as_text = [[key, version or ""] for key, version in rows]
    assert list(csv.reader(io.StringIO(written, newline=""), strict=True))[1:] == as_text
    for cr_is_text in (False, True):
        columns, read = read_rows(io.StringIO(written, newline="\n" if cr_is_text else ""), cr_is_text)
        assert columns == ["key", "version_id"]
        assert [list(row.cells.values()) for row in read] == as_text


@given(
    st.lists(st.tuples(texts, st.none() | texts, st.none() | st.integers(-(2**63), 2**63 - 1))),
    st.integers(1, 5),
    st.integers(0, 3),
)
def test_a_table_becomes_the_same_bytes_however_it_is_cut_and_duckdb_reads_nulls_back(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str | None, int | None]],
    at_once: int,
    left_out: int,
) -> None:
    file = tmp_path_factory.mktemp("csv") / "rows.csv"
    names, types = ["key", "version_id", "size"], [pa.string(), pa.string(), pa.int64()]
    columns = [pa.array([row[place] for row in rows], types[place]) for place in range(3)]
    rows = rows[left_out:]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fixity.lake.csv_files.LINES_AT_ONCE", at_once)
        lines = b"".join(csv_lines(pa.table(columns, names).slice(left_out)))
    assert lines == "".join(map(csv_line, rows)).encode()
    file.write_bytes(csv_line(names).encode() + lines)
    with open_database(file.parent) as database:
        read = database.execute(f"FROM {reading_with_duckdb(file, names)}").fetchall()
    assert read == [(key, version, None if size is None else str(size)) for key, version, size in rows]


def test_columns_without_any_value_are_empty_and_a_table_without_rows_has_no_lines() -> None:
    nothing = pa.table({"key": pa.nulls(2, pa.string()), "size": pa.nulls(2, pa.int64())})
    assert b"".join(csv_lines(nothing)) == b",\n,\n"
    assert b"".join(csv_lines(nothing.slice(2))) == b""


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", None])
def test_times_are_written_in_utc_with_all_digits(zone: str | None) -> None:
    times = [
        datetime(2026, 3, 1, 13, 0, 0, 250, tzinfo=UTC),
        None,
        datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC),
    ]
    column = pa.array(times, pa.timestamp("us", "UTC")).cast(pa.timestamp("us", zone))
    assert b"".join(csv_lines(pa.table({"key": ["a", "b", "c"], "at": column}))) == (
        b"a,2026-03-01T13:00:00.000250Z\nb,\nc,1999-12-31T23:59:59.000000Z\n"
    )


def test_a_row_without_any_text_is_a_row() -> None:
    assert list(csv.reader([csv_line([None])])) == [[""]]


def test_a_cr_that_an_earlier_version_did_not_quote_is_part_of_its_key() -> None:
    _, rows = read_rows(io.StringIO('key,checksum\nIcon\r,aa\n"x,\r\ny",bb\n', newline="\n"), cr_is_text=True)
    assert [(row.line, row.cells) for row in rows] == [
        (2, {"key": "Icon\r", "checksum": "aa"}),
        (3, {"key": "x,\r\ny", "checksum": "bb"}),
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("key,checksum\na,1\nb,c,2\nd,3\n", [(2, ""), (3, "it has 3 fields"), (4, "")]),
        ('key,checksum\n"a\nb",1\n"c"d,2\ne,3\n', [(2, ""), (4, "it is no CSV from here on")]),
        ('key,checksum\na,1\n"b,2\nc,3\n', [(2, ""), (3, "it is no CSV from here on")]),
        ('"key,checksum\na,1\n', [(1, "it is no CSV")]),
    ],
)
def test_a_row_that_cannot_be_read_is_named_with_its_line(text: str, found: list[tuple[int, str]]) -> None:
    rows = list(read_rows(io.StringIO(text, newline=""))[1])
    assert [row.line for row in rows] == [line for line, _ in found]
    for row, (_, problem) in zip(rows, found, strict=True):
        assert (row.problem or "").startswith(problem)
        assert bool(row.problem) == bool(problem) == (not row.cells)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@given(
    st.lists(
        st.tuples(texts | st.text(alphabet="=+-@\uff1d\t\r\n ;,\"'a"), st.integers(min_value=0)), min_size=1
    )
)
def test_no_field_begins_as_a_formula_whatever_separates_fields(
    tmp_path_factory: pytest.TempPathFactory, separator: str, rows: list[tuple[str, int]]
) -> None:
    file = tmp_path_factory.mktemp("csv") / "for-excel.csv"
    assert write_for_spreadsheet(file, [("key", "size"), *rows]) == len(rows) + 1
    assert file.read_bytes().startswith(b"\xef\xbb\xbf")
    with file.open(encoding="utf-8-sig", newline="") as text:
        cells = [cell for row in csv.reader(text, delimiter=separator) for cell in row]
    if separator == ",":
        assert cells[3::2] == [str(size) for _, size in rows]  # a number stays a number
        cells = cells[2::2]
        assert [cell.replace("'", "") for cell in cells] == [key.replace("'", "") for key, _ in rows]
    assert not [cell for cell in cells if cell.lstrip(' "\t\r\n')[:1] in tuple("=+-@\uff1d")]


@pytest.mark.parametrize("checksum", ["00123456", "12e45678", "1234567890123456"])
def test_a_checksum_does_not_become_another_number(tmp_path: Path, checksum: str) -> None:
    write_for_spreadsheet(tmp_path / "x.csv", [["checksum", "size"], [checksum, "0"]])
    assert (tmp_path / "x.csv").read_text("utf-8-sig") == f"checksum,size\n'{checksum},0\n"
