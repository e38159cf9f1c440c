"""The second look: rows of a pair's comparison that say that something is wrong are looked at again.

The results are checks of each bucket's ledger, by which the pair is compared anew. Which rows need a look is
in `suspects`, how a bucket's objects are looked at in `one_side`, which checks count in `settle`. What the
evidence says of a confirmed row does not belong here.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from threading import Event
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from fixity import compute as pc
from fixity.catalog import Catalog, Pair
from fixity.clock import utc_now
from fixity.incidents.findings import findings
from fixity.incidents.limits import LookLimits, SideLimits
from fixity.incidents.one_side import OneSide, Row, Seen, Stores
from fixity.incidents.settle import settle
from fixity.incidents.suspects import (
    SIDES,
    rows_of,
    same_bytes_elsewhere,
    sizes_to_read,
    suspects_of,
    work_of,
)
from fixity.lake import Lake
from fixity.lake.paths import LOOKED_AGAIN
from fixity.ledger.damage import keep_with_snapshot
from fixity.ledger.fold_some import Known
from fixity.ledger.unkept_reads import note_unkept_read
from fixity.ledger.write import ChecksWriter
from fixity.reports.columns import SUSPECT
from fixity.reports.counts import Counts
from fixity.reports.pair import Compared
from fixity.reports.suspects import read_suspects
from fixity.tables import FINDINGS, NOT_TWICE, this_software

ROUNDS = 3
"""How often suspects are looked at: what is found or can be read now may differ, and is read twice."""
MASS_ROWS, MASS_SHARE = 1_000, 0.1
"""From so many suspect rows on, and so large a share of all rows, suspects are one finding, not many."""

_NOT_AGAIN = {
    "mismatch": NOT_TWICE,
    "missing_replica": "not asked for again",
    "missing_source": "not asked for again",
    "failed_source": "not read again",
    "failed_replication": "not read again",
}
"""What a row says, by its status, that was not looked at twice."""


@dataclass
class SecondLook:
    """Looks at the suspect rows of one report of a pair; see `fixity.reports.pair.Examine`.

    run_id: of the new checks. log: gets messages for people. now: the time in UTC. one_finding: what all
    suspects together say, if they are too many to be damage of single objects; nothing is read then. looked:
    the rows that were chosen to be looked at again. left: why some of them could not be. unread: for each
    side, the checksums of those that could not be read there, by row.
    """

    lake: Lake
    catalog: Catalog
    pair: Pair
    stores: Stores
    run_id: str
    log: Callable[[str], None] = lambda text: None
    now: Callable[[], datetime] = utc_now
    one_finding: str | None = None
    looked: set[Row] = field(default_factory=set)
    left: dict[Row, str] = field(default_factory=dict)
    unread: dict[str, dict[Row, str | None]] = field(default_factory=lambda: {name: {} for name in SIDES})
    _rounds: int = 0
    _before: Counts | None = None
    _stop: Event = field(default_factory=Event)
    _taken_in: list[Future[None]] = field(default_factory=list)
    _suspects: tuple[Compared, pa.Table] | None = None

    def __post_init__(self) -> None:
        self._buckets = {
            "source": self.catalog.buckets[self.pair.source],
            "replica": self.catalog.buckets[self.pair.replica],
        }

    @cached_property
    def _limits(self) -> LookLimits:
        return LookLimits(self.lake, self.catalog, self._buckets, self.now())

    def look_again(self, compared: Compared) -> bool:
        """Look at suspects again, and keep the checks. Returns whether there are any. Raises LakeError."""
        if self._before is None:
            self._before = compared.outcome.counts
            self.one_finding = _one_finding(self._before, self.catalog.second_look.objects)
        if self.one_finding or self._rounds == ROUNDS:
            return False
        self._rounds += 1
        chosen = self._choose(compared)
        if not chosen.num_rows:
            return False
        self.complete()  # of the round before: what is expected now rests on it
        self.log(f"{self.pair.name}: {chosen.num_rows:,} suspect rows are looked at again")
        seen, rows = self._look(chosen, compared), rows_of(chosen)
        sides = settle(chosen, seen)
        for name, side in sides.items():
            note_unkept_read(self.lake, self._buckets[name].name, side.unkept_bytes, self.now())
            self.left |= {rows[row]: why for row, why in seen[name].left.items()}
            for row, why, checksum in side.refused():
                self.left[rows[row]] = why
                self.unread[name][rows[row]] = checksum
        files = {
            name: self._keep(self._side(name, compared), checks)
            for name, checks in ((name, side.rows()) for name, side in sides.items())
            if checks.num_rows
        }
        # The comparison goes by the ledger: meanwhile, the snapshots take in what it has.
        pool = ThreadPoolExecutor(len(SIDES), thread_name_prefix="take-in")
        self._taken_in = [
            pool.submit(self._take_in, name, file, seen[name].known) for name, file in files.items()
        ]
        pool.shutdown(wait=False)
        return bool(files)

    def complete(self) -> None:
        """Wait until the snapshots have taken in the new checks. Raises LakeError."""
        for each in self._taken_in:
            each.result()

    def findings(self, compared: Compared, workspace: Path) -> Path | None:
        """What is known of the rows that are still suspect: a table of FINDINGS, in their order.

        As many of those that were looked at twice are diagnosed as may be looked at. Raises LakeError.
        """
        if compared.outcome.suspects is None:
            return None
        suspects = read_suspects(compared.outcome.suspects)
        rows, places = rows_of(suspects), pa.array(range(suspects.num_rows), pa.int64())
        whys, statuses = self._not_again(compared, rows), suspects["status"].to_pylist()
        notes = {
            place: f"{_NOT_AGAIN[statuses[place]]}: {whys[row]}"
            for place, row in enumerate(rows)
            if row in whys
        }
        looked = pc.invert(pc.is_in(places, value_set=pa.array(notes, pa.int64())))
        confirmed = suspects.filter(looked).slice(0, self.catalog.second_look.objects)
        diagnosed = findings(self.lake, self.catalog, self.pair, confirmed, workspace, self.now)
        # `diagnosed` has the first of those that were looked at, in their order.
        number = pc.index_in(places, value_set=places.filter(looked).slice(0, diagnosed.num_rows))
        known = diagnosed.take(number)
        elsewhere = same_bytes_elsewhere(suspects)
        texts = [
            "; ".join(filter(None, (notes.get(place), elsewhere.get(row)))) or None
            for place, row in enumerate(rows)
        ]
        columns = {
            "key": suspects["key"],
            "version_id": suspects["version_id"],
            "looked": looked,
            "note": pa.array(texts, pa.string()),
        }
        found = pa.table([columns.get(name, known[name]) for name in FINDINGS.names], schema=FINDINGS)
        file = workspace / "findings.parquet"
        pq.write_table(found, file, compression="none")  # it does not outlive the run
        return file

    def _not_again(self, compared: Compared, rows: list[Row]) -> dict[Row, str]:
        """Why rows that are still suspect were not looked at twice."""
        suspects = self._suspects_of(compared)
        needed = (
            row
            for row, is_missing in zip(rows_of(suspects), suspects["is_missing"].to_pylist(), strict=True)
            if not (is_missing and row in self.looked)
        )
        if self.one_finding:
            return dict.fromkeys(needed, "so many suspects are one finding")
        left = {row: self.left[row] for row in rows if row in self.left}
        return dict.fromkeys(needed, f"{ROUNDS} looks found something else each time") | left

    @property
    def looked_again(self) -> int:
        """How many rows were looked at again."""
        return len(self.looked - self.left.keys())

    def turned_out_right(self, counts: Counts) -> int:
        """How many rows are ok by the second look. Arguments: `counts`, of the report as it is kept."""
        return max(0, counts.matches - self._before.matches) if self._before and self.looked else 0

    def _choose(self, compared: Compared) -> pa.Table:
        """The suspects to look at in this round, as far as the limits allow. Notes them as looked at."""
        suspects = self._suspects_of(compared)
        sizes = {name: sizes_to_read(suspects, name) for name in SIDES}
        if not (self.looked or self.left):  # as nearly always, the limits allow all of them
            together = {name: pc.sum(of_side).as_py() or 0 for name, of_side in sizes.items()}
            if self._limits.take(together, suspects.num_rows) is None:
                self.looked.update(rows_of(suspects))
                return suspects
        chosen: list[int] = []
        of_sides = zip(*(each.to_pylist() for each in sizes.values()), strict=True)
        missing = suspects["is_missing"].to_pylist()
        for place, (row, is_missing, of_row) in enumerate(
            zip(rows_of(suspects), missing, of_sides, strict=True)
        ):
            again = row in self.looked
            if row in self.left or (again and is_missing):
                continue
            refusal = self._limits.take(dict(zip(SIDES, of_row, strict=True)), not again)
            if refusal is not None:
                self.left[row] = refusal
                continue
            self.looked.add(row)
            chosen.append(place)
        return suspects.take(pa.array(chosen, pa.int64()))

    def _suspects_of(self, compared: Compared) -> pa.Table:
        """As `suspects_of`, which is asked once for each comparison."""
        if self._suspects is None or self._suspects[0] is not compared:
            self._suspects = compared, suspects_of(self.catalog, self.pair, compared)
        return self._suspects[1]

    def _side(self, name: str, compared: Compared) -> OneSide:
        bucket = self._buckets[name]
        listed = compared.source[1] if name == "source" else compared.replica[1]
        return OneSide(
            self.lake,
            self.catalog,
            self.stores,
            bucket,
            self.pair.match == "version",
            listed,
            self.run_id,
            self._stop,
        )

    def _look(self, chosen: pa.Table, compared: Compared) -> dict[str, Seen]:
        """Look at objects of both sides at once."""
        with ThreadPoolExecutor(len(SIDES), thread_name_prefix="look") as pool:
            try:
                looks = {
                    name: pool.submit(
                        self._side(name, compared).look, work_of(chosen, name), SideLimits(self._limits, name)
                    )
                    for name in SIDES
                }
                return {name: each.result() for name, each in looks.items()}
            except BaseException:  # also an interruption of this thread: nobody waits for large objects
                self._stop.set()
                raise

    def _keep(self, side: OneSide, checks: pa.Table) -> str:
        """Keep a side's new checks as a file of the ledger, under a name that no other run has."""
        name = f"{self.run_id}{LOOKED_AGAIN}{uuid4().hex[:8]}"
        provenance = replace(
            side.listed,
            bucket=side.bucket.name,
            run_id=name,
            partial=True,
            rests_on=None,
            software=this_software(),
        )
        with self.lake.workspace() as workspace:
            with ChecksWriter(self.lake, provenance, workspace) as writer:
                writer.write(checks)
            return writer.keep().file

    def _take_in(self, name: str, file: str, known: Known | None) -> None:
        """Have a side's snapshot take in the checks that were kept."""
        with self.lake.workspace() as workspace:
            run_file = self.lake.fetch(file, workspace)
            keep_with_snapshot(self.lake, self._buckets[name], run_file, workspace, known)


def _one_finding(counts: Counts, limit: int) -> str | None:
    """What many suspects together say; None where they are few enough to be looked at one by one."""
    found = {status: count for status, count in counts.by_status().items() if status in SUSPECT and count}
    rows = sum(found.values())
    if rows <= limit or rows < MASS_ROWS or rows < MASS_SHARE * counts.rows:
        return None
    each = ", ".join(f"{count:,} {status}" for status, count in found.items())
    return (
        f"{rows:,} of {counts.rows:,} rows say that something is wrong ({each}): this is one finding. Look "
        "whether the pair names the right buckets and prefixes, whether keys are changed on the way, and "
        "whether the replica is of another time. Nothing was read again"
    )
