"""The parts of a run's table: checks of consecutive rows of an inventory, kept in the lake's scratch.

All parts in order are the table. A part is kept when it is complete, or as far as it came when the bucket
became unreachable. Which rows are read does not belong here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fixity.buckets import listed_objects
from fixity.catalog import Algorithm
from fixity.engines.stream.engine import Check
from fixity.engines.stream.second_look import Suspect
from fixity.lake import Lake, LakeError
from fixity.ledger.judge import judged_by_md5
from fixity.tables import (
    CHECKSUMS,
    DIFFERS,
    FAILED,
    LISTED_COLUMNS,
    SUCCEEDED,
    naming_the_unreadable,
    this_software,
)

_SOFTWARE = b"software"
_OF_CHECKS = ("checksum", "status", "error_code", "error_message", "bytes_read", "checked_at", "reads")


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
        for name in _OF_CHECKS:
            values = [getattr(check, name) for check in self.checks]
            columns[name] = pa.array(values, CHECKSUMS.field(name).type)
        done = [check is not None and check.status == SUCCEEDED for check in self.checks]
        columns["algorithm"] = pa.repeat(algorithm, count)
        columns["checksum_type"] = pa.array(["FULL_OBJECT" if ok else None for ok in done], pa.string())
        columns["evidence"] = pa.repeat("streamed", count)
        columns["run_id"] = pa.repeat(run_id, count)
        others = [list(check.others.items()) or None if check else None for check in self.checks]
        columns["other_checksums"] = pa.array(others, CHECKSUMS.field("other_checksums").type)
        expected = self.rows.column("expectations") if "expectations" in self.rows.column_names else None
        table = judged_by_md5(pa.table(columns), expected, is_md5)
        return table.replace_schema_metadata({_SOFTWARE: this_software()})

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
        """For each row, the algorithms of its expected checksums, if any is not the bucket's `own`."""
        if "expectations" in self.rows.column_names:
            expectations = self.rows.column("expectations")
            algorithms = pc.struct_field(pc.list_flatten(expectations), "algorithm")
            if pc.any(pc.not_equal(algorithms, own)).as_py():
                return [tuple({each["algorithm"] for each in row or ()}) for row in expectations.to_pylist()]
        return [()] * self.rows.num_rows


def fetch_parts(lake: Lake, folder: str, objects: int, workspace: Path) -> list[Path]:
    """The files of all parts in a folder, in the order of the inventory.

    Arguments: `objects` that they have together. Raises LakeError if parts are missing, TableUnreadable.
    """
    files: list[Path] = []
    rows = 0
    for name in sorted(each.name for each in lake.list(folder)):
        if name != part_file(folder, rows):
            break
        file = lake.fetch(name, workspace)
        rows += _rows_in(file)
        files.append(file)
    if rows != objects:
        raise LakeError(
            f"the parts below {lake.location(folder)} end at row {rows:,} of {objects:,}: "
            "hash the bucket in a new run"
        )
    return files


def kept_parts(lake: Lake, folder: str, rows: range, workspace: Path) -> dict[int, int]:
    """The parts that earlier attempts kept of these rows: the number of the first row, and how many.

    Raises LakeError, TableUnreadable.
    """
    found = {int(PurePosixPath(file.name).stem): file.name for file in lake.list(folder)}
    return {
        first: _rows_in(lake.fetch(name, workspace)) for first, name in sorted(found.items()) if first in rows
    }


def _rows_in(file: Path) -> int:
    with naming_the_unreadable(file):
        return int(pq.read_metadata(file).num_rows)


def read_part(file: Path) -> pa.Table:
    """The checks of a part. Raises TableUnreadable."""
    with naming_the_unreadable(file):
        return pq.read_table(file).cast(CHECKSUMS)


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


def part_file(folder: str, first: int) -> str:
    """The name in the lake of a part that begins with this row. Names sort in the order of the rows."""
    return f"{folder}{first:012d}.parquet"
