"""Checksums that were given by hand: a CSV with `key` and `checksum`, kept in the lake.

    key,checksum
    film.mkv,9e107d9d372bb6826bd81d3542a419d6
    letters/1828.tif,SHA256:e3b0c442…

Columns `algorithm` and `version_id` are optional. An algorithm that is not named follows from the
length of the hex: MD5, SHA-1, SHA-256 or SHA-512. If an object has several, the newest counts. A checksum
file of another tool (see `lines`) can be given as well; its names are keys.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path, PurePosixPath

from fixity.catalog import Algorithm
from fixity.clock import utc_now
from fixity.digests.algorithms import algorithm_named, as_hex
from fixity.errors import WrongUsage
from fixity.ingest.records.lines import Entry, read_lines
from fixity.ingest.records.record import Record
from fixity.lake import Lake
from fixity.lake.csv_files import Row, csv_line, read_rows
from fixity.lake.paths import expected_folder
from fixity.tables import TableUnreadable

_BY_LENGTH: dict[int, Algorithm] = {32: "MD5", 40: "SHA1", 64: "SHA256", 128: "SHA512"}
_HERE = re.compile(r"^(\./+)+")  # how tools name files below the folder that they run in
_COLUMNS = ("key", "version_id", "algorithm", "checksum")


class GivenWrong(WrongUsage):
    """The given records cannot be used, and none was kept. The text has one line for each problem."""


def read_given(text: str, name: str) -> list[Record]:
    """The records of a CSV, or of a checksum file as coreutils, BSD tools and hashdeep write it.

    Arguments: `text`, with its own line ends; `name`, for messages and records. Raises GivenWrong.
    """
    records: list[Record] = []
    problems: list[str] = []
    for row in _rows(text, name):
        try:
            records.append(_record(row, f"{name}, line {row.line}"))
        except GivenWrong as error:
            problems.append(str(error))
    if problems:
        more = f"\n… and {len(problems) - 20} more" if len(problems) > 20 else ""
        raise GivenWrong("\n".join(problems[:20]) + more)
    return records


def _rows(text: str, name: str) -> Iterable[Row]:
    columns, rows = read_rows(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    if not columns or columns.count("key") == columns.count("checksum") == 1:
        return rows
    lines = list(read_lines(text))
    entries = [line for line in lines if isinstance(line, Entry)]
    if not any(entry.algorithm or len(entry.checksum) in _BY_LENGTH for entry in entries):
        raise GivenWrong(
            f"{name}, line 1: it must name the columns key and checksum, or be a checksum and a name; "
            f"it is {','.join(columns)[:80]!r}"
        )
    # hashdeep may compute more than is computed here: one checksum of a line will do.
    usable = {entry.number for entry in entries if algorithm_named(entry.algorithm)}
    return [
        Row(line, {}, "not a checksum and a name")
        if isinstance(line, int)
        else Row(
            line.number,
            {"key": _HERE.sub("", line.name), "checksum": line.checksum, "algorithm": line.algorithm},
        )
        for line in lines
        if isinstance(line, int) or line.number not in usable or algorithm_named(line.algorithm)
    ]


def _record(row: Row, where: str) -> Record:
    if row.problem:
        raise GivenWrong(f"{where}: {row.problem}")
    cells = row.cells
    return given_record(
        cells.get("key", ""),
        cells.get("checksum", ""),
        where,
        cells.get("algorithm", ""),
        cells.get("version_id") or None,
    )


def given_record(
    key: str, checksum: str, where: str, algorithm: str = "", version_id: str | None = None
) -> Record:
    """One record; `checksum` may be written `MD5:9e10…`. Raises GivenWrong, naming `where`."""
    before, colon, after = checksum.strip().partition(":")
    name, value = (algorithm or before, after) if colon else (algorithm, before)
    if not key:
        raise GivenWrong(f"{where}: no key")
    known = algorithm_named(name) if name else _BY_LENGTH.get(len(value))
    if known is None:
        raise GivenWrong(
            f"{where}: {(name or value)[:80]!r} does not say which algorithm it is: write it as SHA256:…"
        )
    found = as_hex(value, known)
    if found is None:
        raise GivenWrong(f"{where}: {value[:80]!r} is no {known} in hex or base64")
    return Record(key, version_id, known, found, "api", where)


def keep_given(
    lake: Lake, bucket: str, records: Iterable[Record], now: Callable[[], datetime] = utc_now
) -> str:
    """Keep given records with the bucket's others, as CSV. Returns the file's name in the lake.

    Records that are given again are kept again, and the new time counts. Raises LakeError.
    """
    rows = [
        [record.key, record.version_id, record.algorithm, record.checksum, record.recorded_in]
        for record in records
    ]
    moment = now()
    given_at = moment.isoformat()
    lines = [csv_line([*_COLUMNS, "recorded_in", "given_at"]), *(csv_line([*row, given_at]) for row in rows)]
    digest = hashlib.sha256(repr(rows).encode()).hexdigest()[:40]
    name = f"{expected_folder(bucket)}{digest}-{moment:%Y%m%dT%H%M%S%fZ}.csv"
    lake.put_text(name, "".join(lines))
    return name


def given_records(lake: Lake, bucket: str, workspace: Path) -> Iterator[Record]:
    """All records ever given for a bucket. One that cannot be read is a record with a problem.

    It has the key of its object where that can be read, else the name and line of its file. A file that has
    changed since it was kept is one such record. Raises LakeError.
    """
    names = sorted((file.name for file in lake.list(expected_folder(bucket))), key=lambda name: name[:-4])
    # Of records that were given again, the newest.
    for name in {PurePosixPath(name).stem.partition("-")[0]: name for name in names}.values():
        try:
            kept = lake.fetch(name, workspace)
        except TableUnreadable as error:
            yield Record(name, None, None, None, "api", name, str(error))
            continue
        # Earlier versions ended lines in LF as well, but did not quote a CR.
        with kept.open(newline="\n", encoding="utf-8") as text:
            for row in read_rows(text, cr_is_text=True)[1]:
                where = f"{name}, line {row.line}"
                try:
                    record = _record(row, where)
                    at = row.cells.get("given_at")
                    given_at = datetime.fromisoformat(at) if at else None
                    recorded_in = row.cells.get("recorded_in", where)
                    yield record._replace(recorded_in=recorded_in, recorded_at=given_at)
                except (ValueError, GivenWrong) as error:
                    key, version_id = row.cells.get("key"), row.cells.get("version_id")
                    problem = f"could not be read: {str(error).removeprefix(f'{where}: ')}"
                    yield Record(key or where, version_id or None, None, None, "api", where, problem)
