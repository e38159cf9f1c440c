"""Folding a large bucket by steps that may run on several machines, each a part of its keys.

They share a plan, and what they found, through the lake's scratch. What a part is, and how it is folded, is
in `fold_all`. A bucket of one part is folded by whoever needs it: see `refresh`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path

from fixity.catalog import Bucket
from fixity.clock import utc_now
from fixity.lake import Lake
from fixity.lake.proof import sealed, unsealed
from fixity.ledger.fold import settings_of
from fixity.ledger.fold_all import FoldedPart, fold_part, plan_fold, put_in_force
from fixity.ledger.fold_plan import Folding, FoldPlan, is_one_part
from fixity.ledger.fold_ranges import Folded
from fixity.ledger.refresh import state_of
from fixity.ledger.snapshot import CHOSEN, Snapshot
from fixity.tables import TableUnreadable


@dataclass(frozen=True)
class FoldSteps:
    """The steps that fold a bucket for one run. Each may be repeated, and parts be folded in any order.

    scratch: the folder in the lake that they share.
    """

    lake: Lake
    bucket: Bucket
    scratch: str

    def plan(
        self,
        run_id: str,
        now: Callable[[], datetime] = utc_now,
        log: Callable[[str], None] = lambda text: None,
    ) -> int:
        """Plan the parts. Returns how many there are; none where nothing, or only one part, is to be folded.

        Arguments: `log` takes why a newer inventory is not used, if so. Raises TableMissing without an
        inventory, LakeError.
        """
        self.lake.remove(self._folder)
        snapshot, listing, is_current = state_of(
            self.lake, self.bucket.name, settings_of(self.bucket), now, log
        )
        if is_current or is_one_part(listing):
            return 0
        with self._folding(now(), run_id) as folding:
            plan = plan_fold(folding, snapshot, listing)
        if not plan.snapshot.cuts:
            return 0
        self.lake.put_text(f"{self._folder}plan.json", plan.to_json(), replace=True)
        return len(plan.snapshot.parts)

    def fold(self, number: int) -> None:
        """Fold a part. Raises LakeError."""
        plan = self._plan()
        if plan is None or number >= len(plan.snapshot.parts):
            return  # another step has put a snapshot in force, or planned anew
        with (
            suppress(FileNotFoundError, TableUnreadable),  # see `finish`
            self._folding(datetime.fromisoformat(plan.snapshot.folded_at)) as folding,
        ):
            self._keep(plan, number, fold_part(folding, plan, number))

    def finish(self) -> Snapshot | None:
        """Put in force what was planned, if anything was. Parts that no step has folded are folded now.

        Returns None also where the plan no longer holds, or a table that it rests on is not what it was: then
        whoever needs the snapshot folds it. Raises LakeError.
        """
        plan = self._plan()
        if plan is None:
            return None
        with (
            suppress(FileNotFoundError, TableUnreadable),
            self._folding(datetime.fromisoformat(plan.snapshot.folded_at)) as folding,
        ):
            there = {file.name for file in self.lake.list(plan.snapshot.folder)}
            parts = [
                self._kept(plan, number, there, folding.workspace) or fold_part(folding, plan, number)
                for number in range(len(plan.snapshot.parts))
            ]
            snapshot = put_in_force(folding, plan, parts)
            self.lake.remove(self._folder)
            return snapshot
        return None

    @property
    def _folder(self) -> str:
        return f"{self.scratch}fold/"

    @contextmanager
    def _folding(self, now: datetime, run_id: str = "") -> Iterator[Folding]:
        with self.lake.workspace() as workspace:
            settings = settings_of(self.bucket)
            yield Folding(self.lake, self.bucket.name, settings, run_id, now, workspace)

    def _plan(self) -> FoldPlan | None:
        try:
            plan = FoldPlan.from_json(self.lake.read_text(f"{self._folder}plan.json"))
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None  # then whoever needs the snapshot folds it
        return plan if plan.still_holds(self.lake, settings_of(self.bucket)) else None

    def _folder_of(self, plan: FoldPlan, number: int) -> str:
        """The folder for what is found in a part: a step of another plan may still be at work."""
        return f"{self._folder}{plan.snapshot.generation}/{number:05}/"

    def _keep(self, plan: FoldPlan, number: int, part: FoldedPart) -> None:
        """Keep what was found in a part, its figures last."""
        folder = self._folder_of(plan, number)
        for table, file in part.chosen.items():
            self.lake.put(f"{folder}{table}.parquet", file, replace=True)
        found = vars(part.found) | {"read_by_day": dict(part.found.read_by_day)}
        self.lake.put_text(f"{folder}found.json", sealed(found), replace=True)

    def _kept(self, plan: FoldPlan, number: int, there: set[str], workspace: Path) -> FoldedPart | None:
        """What a step found in a part; None where none has, or its files are gone."""
        folder = self._folder_of(plan, number)
        if not there.issuperset(plan.snapshot.files_of(number)):
            return None
        with suppress(FileNotFoundError, ValueError, TypeError, KeyError, TableUnreadable):
            found = unsealed(self.lake.read_text(f"{folder}found.json"))
            chosen = {table: self.lake.fetch(f"{folder}{table}.parquet", workspace) for table in CHOSEN}
            figures = {each.name: found[each.name] for each in fields(Folded)}
            return FoldedPart(Folded(**figures | {"read_by_day": Counter(found["read_by_day"])}), chosen)
        return None
