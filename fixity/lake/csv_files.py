"""CSV files: the one writer and the one reader of the platform, after RFC 4180.

A field with a comma, a quote, CR or LF is quoted. NULL is empty, an empty text is `""`. Lines end in LF.
Large tables go through Arrow, single rows through Python; both write the same bytes. Files in S3's own CSV
(manifests, completion reports) do not belong here.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from fixity import compute as pc
from fixity.lake.database import quoted

if TYPE_CHECKING:
    from _csv import Reader as _Reader

_NULL_IS_EMPTY = {"null_handling": "replace", "null_replacement": ""}
_TO_QUOTE = re.compile(r'[",#\r\n]|^$')  # '#', because DuckDB, which wrote tables before, quotes it, too
_BYTES_TO_QUOTE = (b'"', b",", b"#", b"\r", b"\n")
_FORMULA = r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]"  # the last four are the full-width ones
_UNSAFE = re.compile(
    rf"""^(?=[\t\r\n])  # a spreadsheet may drop it, and take what follows for a formula
      |(?:^|[\t\r\n",;|])(?={_FORMULA})  # also where the spreadsheet's separator is another one
      |^(?=\d{{16,}}$|0\d+$|\d+[eE]\d+$)  # a checksum or a version that would become another number
    """,
    re.VERBOSE,
)
_NO_CSV = (csv.Error, UnicodeDecodeError)
_BEYOND = 2**31 - 1  # the end of any text
_CR = "\ud80d"  # stands for a CR; no text in UTF-8 has it
LINES_AT_ONCE = 16_384
"""The most lines that are made at once of a table: few enough to be in a cache while they are written, and so
many that to begin takes little beside it."""
SPREADSHEET_LINES = 1_048_576
"""The most lines that Excel shows. It drops all others."""


def csv_line(values: Iterable[object]) -> str:
    """A line of a CSV, with its end."""
    # A line without a character is no row to a reader.
    return (",".join(map(_field, values)) or '""') + "\n"


def _field(value: object) -> str:
    if value is None:
        return ""
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if _TO_QUOTE.search(text) else text


def csv_lines(rows: pa.Table) -> Iterator[pa.Buffer]:
    """The lines of a table as bytes, in pieces, without a header.

    Arguments: `rows`, two columns or more of texts, whole numbers and times, which become UTC.
    """
    for batch in rows.to_batches(max_chunksize=LINES_AT_ONCE):
        yield bytes_of(lines_of(batch.columns))


def lines_of(columns: Sequence[pa.Array | str | None]) -> pa.Array:
    """The lines of a few rows as texts, with their ends.

    Arguments: `columns`, as of `csv_lines`; a text or None stands for a column of nothing else, but one of
    them is an array. An array that comes several times is put into words once.
    """
    fields: dict[int, pa.Array | str] = {}
    parts: list[pa.Array | str] = []
    for column in columns:
        field = fields.setdefault(id(column), "")
        if not field:
            field = fields[id(column)] = _fields(column) if isinstance(column, pa.Array) else _field(column)
        if isinstance(field, str) and parts and isinstance(parts[-1], str):
            parts[-1] += f",{field}"  # what is the same in all lines is copied at once
        else:
            parts.append(field)
    *others, last = parts
    if isinstance(last, str):
        end: pa.Array | str = last + "\n"
    else:
        end = pc.binary_join_element_wise(last, "\n", "", **_NULL_IS_EMPTY)
    if not others and isinstance(end, str):
        return pa.repeat(end, next(len(each) for each in columns if isinstance(each, pa.Array)))
    return pc.binary_join_element_wise(*others, end, ",", **_NULL_IS_EMPTY)


def _fields(column: pa.Array) -> pa.Array | str:
    """A column as it stands in lines, NULL where it is empty; or what stands in all of them."""
    if column.null_count == len(column):
        return ""
    if pa.types.is_dictionary(column.type):
        if len(column.dictionary) == 1 and not column.null_count:
            return _field(column.dictionary[0].as_py())
        column = column.cast(pa.string())
    if not pa.types.is_string(column.type):
        return in_words(column) if pa.types.is_timestamp(column.type) else column.cast(pa.string())
    # To look for a byte in all texts at once takes a tenth of the time that a look at each text takes.
    texts = bytes_of(column).to_pybytes()
    if pc.min(pc.binary_length(column)).as_py() and not any(each in texts for each in _BYTES_TO_QUOTE):
        return column
    doubled = pc.replace_substring(column, '"', '""')
    to_quote = pc.match_substring_regex(column, _TO_QUOTE.pattern)
    return pc.if_else(to_quote, pc.binary_join_element_wise('"', doubled, '"', ""), column)


def in_words(times: pa.Array) -> pa.Array:
    """Times in microseconds as text (UTC)."""
    texts = times.cast(pa.timestamp("us")).cast(pa.string())  # with a time zone it takes ten times as long
    # To put the Z at the end of each, wherever that is, takes half the time of joining it to them.
    return pc.binary_replace_slice(pc.binary_replace_slice(texts, 10, 11, "T"), _BEYOND, _BEYOND, "Z")


def bytes_of(texts: pa.Array) -> pa.Buffer:
    """All texts, one after the other."""
    _, offsets, data = texts.buffers()
    begins = memoryview(offsets).cast("i")
    begin, end = begins[texts.offset], begins[texts.offset + len(texts)]
    return data.slice(begin, end - begin)


def reading_with_duckdb(file: Path, columns: Sequence[str]) -> str:
    """SQL for the rows of a file that was written here, all columns as text."""
    types = ", ".join(f"'{name}': 'VARCHAR'" for name in columns)
    return (
        f"read_csv({quoted(file)}, header = true, auto_detect = false, allow_quoted_nulls = false, "
        f"columns = {{{types}}})"
    )


class Row(NamedTuple):
    """A row of a CSV. line: where it begins, from 1. cells: as text, "" where empty, by column; a row that
    cannot be read has a `problem` instead."""

    line: int
    cells: dict[str, str]
    problem: str | None = None


def read_rows(lines: Iterable[str], cr_is_text: bool = False) -> tuple[list[str], Iterator[Row]]:
    """The columns and the rows of a CSV. A quote that is never closed, and the like, ends it with a problem.

    Arguments: `lines`, of a text opened with `newline=""`; `cr_is_text`, for a text opened with
    `newline="\n"`: a CR is part of a field, even if nobody quoted it.
    """
    reader = csv.reader((line.replace("\r", _CR) for line in lines) if cr_is_text else lines, strict=True)
    try:
        columns = [column.strip() for column in next(reader, [])]
    except _NO_CSV as error:
        return [], iter([Row(1, {}, f"it is no CSV: {error}")])
    return columns, _rows(reader, columns)


def _rows(reader: _Reader, columns: list[str]) -> Iterator[Row]:
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except _NO_CSV as error:
            yield Row(line, {}, f"it is no CSV from here on: {error}")
            return
        if cells is None:
            return
        if len(cells) == len(columns):
            found = [cell.replace(_CR, "\r") for cell in cells]
            yield Row(line, dict(zip(columns, found, strict=True)))
        elif cells:
            yield Row(line, {}, f"it has {len(cells)} fields, but the first line names {len(columns)}")


def write_for_spreadsheet(file: Path, rows: Iterable[Iterable[object]]) -> int:
    """Write rows, the header first, for people who open them in a spreadsheet. Returns the number of lines.

    No text becomes a formula or a number: such a text gets an apostrophe, so it is not exact any more.
    Raises OSError.
    """
    # Without the mark at its start, Excel takes UTF-8 for another code.
    with file.open("w", encoding="utf-8-sig", newline="") as out:
        return sum(1 for row in rows if out.write(csv_line(map(_safe, row))))


def _safe(value: object) -> object:
    return value if value is None or isinstance(value, int | float) else _UNSAFE.sub(r"\g<0>'", str(value))
