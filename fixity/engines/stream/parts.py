"""The parts of a run's table: checks of consecutive rows of an inventory, kept in the lake's scratch.

All parts in order are the table. A part is kept when it is complete, or as far as it came when the bucket
became unreachable. Each attempt at a shard gives its parts names of their own, so two at once do no harm:
where parts overlap, one of them counts; rows of which they say different checksums are failed checks. Which
rows are read does not belong here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from fixity import compute as pc
from fixity.buckets import listed_objects
from fixity.catalog import Algorithm
from fixity.engines.stream.engine import Check
from fixity.engines.stream.second_look import Suspect
from fixity.lake import Lake, LakeError
from fixity.ledger.judge import UNSTABLE_READ, judged_by_md5
from fixity.tables import (
    CHECKSUMS,
    DIFFERS,
    FAILED,
    LISTED_COLUMNS,
    NOT_COMPARED,
    PROVENANCE,
    SUCCEEDED,
    TableUnreadable,
    naming_the_unreadable,
    this_software,
)

_SOFTWARE = b"software"
_OF_BYTES = (
    "checksum",
    "checksum_type",
    "other_checksums",
    "expected",
    "expected_algorithm",
    "expected_from",
)
_OF_CHECKS = ("checksum", "status", "error_code", "error_message", "bytes_read", "checked_at", "reads")

TAKEN = pa.schema([pa.field("row", pa.int64(), nullable=False), *CHECKSUMS])
"""Checks that are taken over from interrupted runs, each with its row of the new run's inventory, from 0."""


class PartsMissing(LakeError):
    """The parts of a run are not its whole table. The message says from which row on."""


@dataclass(frozen=True)
class KeptPart:
    """A part that was kept: a local file, and which of its rows count: `count` from `skip` on, which stand
    in the inventory from row `first` on. doubles: checks of the same rows by other attempts."""

    file: Path
    first: int
    skip: int
    count: int
    doubles: list[KeptPart] = field(default_factory=list)

    def checks(self) -> pa.Table:
        """Its checks that count, failed where an attempt read other bytes. Raises TableUnreadable."""
        # Not by `read_table`, which imports Arrow's data sets: that takes a hundredth of a second.
        with naming_the_unreadable(self.file), pq.ParquetFile(self.file) as kept:
            table = kept.read().cast(CHECKSUMS).slice(self.skip, self.count)
        for double in self.doubles:
            table = _held_against(table, double.checks(), double.first - self.first)
        return table

    def within(self, rows: range) -> KeptPart:
        """Its part that is within some rows."""
        first, stop = max(self.first, rows.start), min(self.first + self.count, rows.stop)
        return KeptPart(self.file, first, self.skip + first - self.first, max(0, stop - first))


def _held_against(table: pa.Table, double: pa.Table, at: int) -> pa.Table:
    """Checks, held against those that another attempt made of their rows from `at` on."""
    pairs = zip(table["checksum"].slice(at).to_pylist(), double["checksum"].to_pylist(), strict=False)
    unlike = {at + row: two for row, two in enumerate(pairs) if None not in two and two[0] != two[1]}
    if not unlike:
        return table
    rows = table.to_pylist()
    for row, (one, other) in unlike.items():
        rows[row] |= {
            **dict.fromkeys(_OF_BYTES),
            "status": FAILED,
            "verdict": NOT_COMPARED,
            "error_code": UNSTABLE_READ,
            "error_message": f"two reads gave different bytes: {rows[row]['algorithm']} {one}, and {other}",
        }
    return pa.Table.from_pylist(rows, CHECKSUMS)


class PartOfShard:
    """A part in the making, of these rows of the inventory. Checks arrive in any order."""

    def __init__(self, rows: pa.Table) -> None:
        self.rows = rows
        self.checks: list[Check | None] = [None] * rows.num_rows
        self.missing = rows.num_rows

    def add(self, position: int, check: Check) -> None:
        """Take the check of the row at a position."""
        self.checks[position] = check
        self.missing -= 1

    @property
    def has_failures(self) -> bool:
        """Whether a check failed."""
        return any(check is not None and check.status == FAILED for check in self.checks)

    def done(self) -> Iterator[tuple[int, PartOfShard]]:
        """What can be kept of a part that will not be complete: ranges of rows, each with its first position.

        Failed checks are left out. They may have failed for the reason that ends the run.
        """
        usable = [check is not None and check.status != FAILED for check in self.checks]
        for is_usable, positions in groupby(range(len(usable)), usable.__getitem__):
            if is_usable:
                first, *others = positions
                part = PartOfShard(self.rows.slice(first, 1 + len(others)))
                part.checks = self.checks[first : first + 1 + len(others)]
                yield first, part

    def table(self, algorithm: Algorithm, run_id: str, is_md5: Callable[[str, str | None], bool]) -> pa.Table:
        """The checks, once none is missing. Arguments: `is_md5` as for `judged_by_md5`."""
        columns = {name: self.rows.column(name) for name in LISTED_COLUMNS}
        count = self.rows.num_rows
        # Turned into columns at once: asking each check for each value takes twice as long.
        turned = list(zip(*filter(None, self.checks), strict=True)) or [()] * len(Check._fields)
        of_checks = dict(zip(Check._fields, turned, strict=True))
        for name in _OF_CHECKS:
            columns[name] = pa.array(of_checks[name], CHECKSUMS.field(name).type)
        columns["algorithm"] = pa.repeat(algorithm, count)
        done = pc.equal(columns["status"], SUCCEEDED)
        columns["checksum_type"] = pc.if_else(done, "FULL_OBJECT", pa.scalar(None, pa.string()))
        columns["evidence"] = pa.repeat("streamed", count)
        columns["run_id"] = pc.fill_null(pa.array(of_checks["made_by"], pa.string()), run_id)
        others = [list(each.items()) or None for each in of_checks["others"]]
        columns["other_checksums"] = pa.array(others, CHECKSUMS.field("other_checksums").type)
        expected = self.rows.column("expectations") if "expectations" in self.rows.column_names else None
        table = judged_by_md5(pa.table(columns), expected, is_md5)
        listed = (self.rows.schema.metadata or {}).get(PROVENANCE, b"")
        return table.replace_schema_metadata({_SOFTWARE: this_software(), PROVENANCE: listed})

    def take_out_suspects(self, table: pa.Table) -> list[Suspect]:
        """Take out the checks whose checksum is not the expected one, by `table`, this part's rows as judged.

        They are missing until they are added again. The positions of the suspects are those of the part.
        """
        positions = pc.indices_nonzero(pc.equal(table.column("verdict"), DIFFERS))
        if not len(positions):
            return []
        rows, suspects = self.rows.take(positions), []
        expected = rows.column("expectations").to_pylist()
        for position, item, expectations in zip(
            positions.to_pylist(), listed_objects(rows), expected, strict=True
        ):
            check = self.checks[position]
            assert check is not None  # `table` has all of them
            suspects.append(Suspect(item, check._replace(position=position), expectations))
            self.checks[position] = None
        self.missing += len(suspects)
        return suspects

    def others(self, own: Algorithm) -> list[tuple[Algorithm, ...]]:
        """For each row, the algorithms of its expected checksums; empty if all are the bucket's `own`."""
        if "expectations" in self.rows.column_names:
            expectations = self.rows.column("expectations")
            algorithms = pc.struct_field(pc.list_flatten(expectations), "algorithm")
            if pc.any(pc.not_equal(algorithms, own)).as_py():
                return [tuple({each["algorithm"] for each in row or ()}) for row in expectations.to_pylist()]
        return []


def kept_parts(
    lake: Lake, folder: str, rows: range, workspace: Path, log: Callable[[str], None] = lambda text: None
) -> list[KeptPart]:
    """The parts that any attempt kept of these rows, in order; none of their rows comes twice.

    Arguments: `log` gets which parts are damaged: their objects are to be read again. Raises LakeError.
    """
    kept: list[KeptPart] = []
    at = rows.start
    for name in (each.name for each in lake.list(folder)):
        first = int(PurePosixPath(name).stem.split("-")[0])
        if first not in rows:
            continue
        try:
            file = lake.fetch(name, workspace)
            end = first + _rows_in(file)
        except TableUnreadable as error:
            log(f"a part is damaged, and its objects are read again: {error}")
            continue
        part = KeptPart(file, first, 0, end - first)
        for before in reversed(kept):
            if before.first + before.count <= first:
                break
            double = part.within(range(before.first, before.first + before.count))
            before.doubles.extend([double] if double.count else [])
        if end > at:
            kept.append(part.within(range(at, end)))
            at = end
    return kept


def whole_table(lake: Lake, folder: str, objects: int, workspace: Path) -> list[KeptPart]:
    """All parts in a folder, in the order of the inventory.

    Arguments: `objects` that they have together. Raises PartsMissing, LakeError.
    """
    kept, rows = kept_parts(lake, folder, range(objects), workspace), 0
    for part in kept:
        if part.first != rows:
            break
        rows += part.count
    if rows != objects:
        raise PartsMissing(
            f"the parts below {lake.location(folder)} end at row {rows:,} of {objects:,}: start a new run; "
            "it reads only what is missing"
        )
    return kept


def taken_checks(file: Path, rows: range) -> dict[int, Check]:
    """The checks that were taken over for these rows of the inventory, by their positions among these.

    Arguments: `file`, a local one of TAKEN. Raises TableUnreadable.
    """
    with naming_the_unreadable(file):
        found = pq.read_table(file, filters=[("row", ">=", rows.start), ("row", "<", rows.stop)])
    kept: dict[int, Check] = {}
    for row in found.to_pylist():
        position = row["row"] - rows.start
        of_read = row["error_code"] == UNSTABLE_READ  # other codes come from the judge, who looks again
        kept[position] = Check(
            position,
            row["status"],
            row["checksum"],
            row["error_code"] if of_read else None,
            row["error_message"] if of_read else None,
            row["bytes_read"],
            row["checked_at"],
            dict(row["other_checksums"] or ()),
            row["reads"],
            row["run_id"],
        )
    return kept


def _rows_in(file: Path) -> int:
    with naming_the_unreadable(file):
        return int(pq.read_metadata(file).num_rows)


def software_of(parts: Iterable[Path]) -> str | None:
    """The software that made some parts. A run that was re-executed after an upgrade has two versions.

    None if a part does not name it, or cannot be read.
    """
    found: set[str] = set()
    for part in parts:
        try:
            found.add((pq.read_schema(part).metadata or {})[_SOFTWARE].decode())
        except (KeyError, pa.ArrowException, OSError):
            return None
    return " or ".join(sorted(found)) or this_software()


def part_file(folder: str, first: int, attempt: str) -> str:
    """The name in the lake of a part that begins with this row, of an attempt at its shard. Names sort in the
    order of the rows."""
    return f"{folder}{first:012d}-{attempt}.parquet"
