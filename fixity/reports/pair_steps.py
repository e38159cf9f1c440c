"""Comparing a large pair by steps that may run on several machines, each some ranges of its keys.

They share both tables, and what they found, through the lake's scratch. The report is made of it in `pair`,
where suspects are looked at again. A smaller pair is compared where its report is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import pyarrow.parquet as pq

from fixity.catalog import Pair
from fixity.clock import utc_now
from fixity.lake import Lake
from fixity.lake.proof import sealed, sha256_of, unsealed
from fixity.lake.ranges import KeyRange, key_ranges
from fixity.reports.by_range import RANGE_BYTES
from fixity.reports.compare import RangeReport, compare_some, lines_of
from fixity.reports.counts import Counts
from fixity.reports.pair import (
    CheckedTable,
    Compared,
    LeftOutOfSides,
    newest_tables,
    outcome_of,
    sides_of,
)
from fixity.tables import Provenance, TableUnreadable, naming_the_unreadable

_Tables = tuple[CheckedTable, CheckedTable]
_RANGES_OF_STEP = 50
"""About five million objects a side."""
_SIDES = ("source", "replica")
_FIGURES = ("replica_rows", "suspect_rows")


@dataclass(frozen=True)
class _Plan:
    """Which tables are compared, by which run. pair: what the catalog says of it. left_out: as of `Compared`.

    folder: of the tables, and of what steps find in them. A step of another plan may still be at work, and
    what it finds is of other tables: so each plan has its own.
    """

    folder: str
    run_id: str
    pair: str
    left_out: LeftOutOfSides

    def table(self, side: str) -> str:
        return f"{self.folder}{side}.parquet"

    def step(self, number: int) -> str:
        """The names of the files of a step, but for their endings."""
        return f"{self.folder}{number:05}"


def _ranges(tables: _Tables) -> list[list[KeyRange]]:
    """The ranges of each step: the same on every machine, since the tables are. Raises TableUnreadable."""
    files = [table for table, _ in tables]
    with naming_the_unreadable(*files):
        ranges = key_ranges(*files, most=RANGE_BYTES)
    return [ranges[first : first + _RANGES_OF_STEP] for first in range(0, len(ranges), _RANGES_OF_STEP)]


@dataclass(frozen=True)
class PairSteps:
    """The steps that compare a pair for one run. Each may be repeated, and in any order.

    scratch: the folder in the lake that they share. run_id: a run that executes it anew takes the newest
    tables, and nothing of the run before. Methods raise LakeError, TableUnreadable.
    """

    lake: Lake
    pair: Pair
    scratch: str
    run_id: str

    def plan(self, now: Callable[[], datetime] = utc_now) -> int:
        """Choose the tables. Returns how many steps compare them; none for a pair that needs only one.

        Raises TableMissing if a side was not checked yet.
        """
        self.lake.remove(self._folder)
        plan = _Plan(f"{self._folder}{uuid4()}/", self.run_id, self._of_catalog, {})
        # Where a table is damaged, who makes the report reads the ledgers thoroughly.
        with suppress(TableUnreadable), self.lake.workspace() as workspace:
            source, replica, left_out = newest_tables(self.lake, self.pair, workspace, now)
            steps = len(_ranges((source, replica)))
            if steps > 1:
                for name, (table, _) in zip(_SIDES, (source, replica), strict=True):
                    self.lake.put(plan.table(name), table, keep=True)
                text = sealed(asdict(replace(plan, left_out=left_out)))
                self.lake.put_text(self._note, text, replace=True)
                return steps
        return 0

    def compare(self, number: int) -> None:
        """Compare the ranges of a step, and keep what is found, the figures last."""
        plan = self._plan()
        if plan is None:
            return
        # Who makes the report then reads the ledgers thoroughly, to find out what is damaged.
        with suppress(FileNotFoundError, TableUnreadable), self.lake.workspace() as workspace:
            tables = self._tables(plan, workspace)
            ranges = _ranges(tables)
            if number >= len(ranges):
                return  # of a plan before, which had more
            made = self._compared(tables, ranges[number], workspace / "lines")
            of_step = plan.step(number)
            if made.suspects is not None:
                pq.write_table(made.suspects, workspace / "suspects.parquet")
                self.lake.put(f"{of_step}.parquet", workspace / "suspects.parquet", replace=True)
            found = {
                "counts": asdict(made.counts),
                "problems": made.problems,
                "has_suspects": made.suspects is not None,
                "sha256": sha256_of(workspace / "lines"),
                **{name: getattr(made, name) for name in _FIGURES},
            }
            self.lake.put(f"{of_step}.csv", workspace / "lines", replace=True)
            self.lake.put_text(f"{of_step}.json", sealed(found), replace=True)

    def compared(self, workspace: Path) -> Compared | None:
        """The comparison of all ranges; None where none was planned, or a table is damaged or gone.

        Ranges that no step has compared, or of which what it kept is damaged, are compared now.
        """
        plan = self._plan()
        if plan is None:
            return None
        with suppress(FileNotFoundError, TableUnreadable):
            tables = self._tables(plan, workspace)
            outcome = outcome_of(self.pair, *tables, workspace, made=self._all(plan, tables, workspace))
            return Compared(outcome, *tables, plan.left_out)
        return None

    @property
    def _folder(self) -> str:
        return f"{self.scratch}compare/"

    @property
    def _note(self) -> str:
        return f"{self._folder}plan.json"

    @property
    def _of_catalog(self) -> str:
        """What the catalog says of the pair."""
        return self.pair.model_dump_json()

    def _plan(self) -> _Plan | None:
        """What the run planned; None if it did not, or the catalog says something else of the pair since."""
        with suppress(FileNotFoundError, ValueError, TypeError):
            plan = _Plan(**unsealed(self.lake.read_text(self._note)))
            is_of_now = (plan.run_id, plan.pair) == (self.run_id, self._of_catalog)
            return plan if is_of_now else None
        return None

    def _tables(self, plan: _Plan, workspace: Path) -> _Tables:
        source, replica = (self.lake.fetch(plan.table(name), workspace) for name in _SIDES)
        return (source, Provenance.read(source)), (replica, Provenance.read(replica))

    def _all(self, plan: _Plan, tables: _Tables, workspace: Path) -> Iterator[RangeReport]:
        for number, ranges in enumerate(_ranges(tables)):
            yield self._kept(plan, number, workspace) or self._compared(tables, ranges, workspace / "lines")

    def _compared(self, tables: _Tables, ranges: list[KeyRange], lines: Path) -> RangeReport:
        assert self.pair.match is not None  # the catalog fills it in
        sides = sides_of(self.pair, *tables)
        with naming_the_unreadable(*(table for table, _ in tables)):
            return compare_some(*sides, self.pair.match, self.pair.replication_lag, ranges, lines)

    def _kept(self, plan: _Plan, number: int, workspace: Path) -> RangeReport | None:
        """What a step has kept; None if it is not whole."""
        of_step = plan.step(number)
        try:
            found = unsealed(self.lake.read_text(f"{of_step}.json"))
            lines = self.lake.fetch(f"{of_step}.csv", workspace)
            if sha256_of(lines) != found["sha256"]:
                return None
            suspects = None
            if found["has_suspects"]:
                suspects = pq.read_table(self.lake.fetch(f"{of_step}.parquet", workspace))
        except (FileNotFoundError, ValueError, TableUnreadable):
            return None
        figures = {name: found[name] for name in _FIGURES}
        counts, problems = Counts(**found["counts"]), found["problems"]
        return RangeReport(lines_of(lines), counts, problems=problems, suspects=suspects, **figures)
