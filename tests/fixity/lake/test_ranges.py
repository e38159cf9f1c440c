"""Where the two tables are cut."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fixity.lake.ranges import KeyRange, TableNotSorted, key_ranges, pieces_of
from tests.fixity.reports.rows import row, table


def tables(directory: Path, source: str, replica: str, group_rows: int = 1) -> tuple[Path, Path]:
    """Two tables with keys of one letter each."""
    return (
        table(directory / "source", [row(key) for key in source], group_rows),
        table(directory / "replica", [row(key) for key in replica], group_rows),
    )


def test_tables_that_fit_are_one_range(tmp_path: Path) -> None:
    assert key_ranges(*tables(tmp_path, "abc", "ab"), most=10**9) == [KeyRange("", None, ((0, 2), (0, 1)))]


def test_no_tables_are_one_range_too(tmp_path: Path) -> None:
    assert key_ranges(*tables(tmp_path, "", ""), most=1) == [KeyRange("", None, ((0, -1), (0, -1)))]


def test_cuts_are_where_row_groups_begin_on_either_side(tmp_path: Path) -> None:
    assert key_ranges(*tables(tmp_path, "ac", "bd"), most=1) == [
        KeyRange("", "b", ((0, 0), (0, -1))),
        KeyRange("b", "c", ((0, -1), (0, 0))),
        KeyRange("c", "d", ((1, 1), (0, -1))),
        KeyRange("d", None, ((0, -1), (1, 1))),
    ]


def test_a_key_is_never_cut_between_its_versions(tmp_path: Path) -> None:
    ranges = key_ranges(*tables(tmp_path, "aabbb", "b"), most=1)
    assert [(keys.lower, keys.upper) for keys in ranges] == [("", "b"), ("b", None)]
    assert ranges[1].rows[0] == (2, 4)


def test_a_large_row_group_is_cut_by_its_keys(tmp_path: Path) -> None:
    source, replica = tables(tmp_path, "abcdefgh", "h", group_rows=8)
    size = pq.ParquetFile(source).metadata.row_group(0).total_byte_size
    ranges = key_ranges(source, replica, most=size // 2)
    assert len(ranges) > 2
    assert max(last - first + 1 for first, last in (keys.rows[0] for keys in ranges)) <= 4


@pytest.mark.parametrize("statistics", [True, False])
def test_keys_are_read_where_the_footer_does_not_say_them(tmp_path: Path, statistics: bool) -> None:
    (source, _) = tables(tmp_path, "abcd", "", group_rows=2)
    rewritten = tmp_path / "rewritten"
    pq.write_table(pq.read_table(source), rewritten, row_group_size=2, write_statistics=statistics)
    assert [(piece.first, piece.last, piece.start, piece.rows) for piece in pieces_of(rewritten, 10**9)] == [
        ("a", "b", 0, 2),
        ("c", "d", 2, 2),
    ]


def test_keys_of_a_kilobyte_have_bounds(tmp_path: Path) -> None:
    keys = ["k" * 1023 + end for end in "abc"]
    source = table(tmp_path / "source", [row(key) for key in keys], 1)
    assert [piece.first for piece in pieces_of(source, 10**9)] == keys


def test_row_groups_out_of_order_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TableNotSorted, match="row 2 or one after it has 'b'"):
        key_ranges(*tables(tmp_path, "acb", ""), most=1)
