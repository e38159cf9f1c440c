"""The second look: rows of a pair's comparison that say that something is wrong are looked at again.

The results are checks of each bucket's ledger, by which the pair is compared anew. Which rows need a look is
in `suspects`, how a bucket's objects are looked at in `one_side`. What the evidence says of a confirmed row
does not belong here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from threading import Event
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.buckets import CHANGED, DELETED
from fixity.catalog import Catalog, Pair
from fixity.clock import utc_now
from fixity.incidents.findings import findings
from fixity.incidents.limits import LookLimits, SideLimits
from fixity.incidents.one_side import OneSide, Row, Seen, Stores
from fixity.incidents.suspects import (
    SIDES,
    checks_of,
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
from fixity.ledger.judge import UNSTABLE_READ
from fixity.ledger.write import ChecksWriter
from fixity.reports.columns import SUSPECT
from fixity.reports.counts import Counts
from fixity.reports.pair import Compared
from fixity.tables import (
    DIFFERS,
    FAILED,
    FINDINGS,
    FIRST_SEEN,
    MATCHED,
    NOT_TWICE,
    OTHER_COPY,
    REGISTERED,
    SUCCEEDED,
    this_software,
)

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
        seen = self._look(chosen, compared)
        for each in seen.values():
            self.left |= each.left
        rows, before = rows_of(chosen), {name: checks_of(chosen, name) for name in SIDES}
        kept = {name: self._to_keep(zip(rows, before[name], strict=True), name, seen[name]) for name in SIDES}
        for row, *checks in zip(rows, *before.values(), strict=True):
            _believe_the_other_copy(row, dict(zip(before, checks, strict=True)), kept)
        files = {
            name: self._keep(self._side(name, compared), seen[name].rows(checks))
            for name, checks in kept.items()
            if checks
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
        suspects = pq.read_table(compared.outcome.suspects)
        rows = list(zip(suspects["key"].to_pylist(), suspects["version_id"].to_pylist(), strict=True))
        whys = self._not_again(compared, rows)
        notes = {
            row: f"{_NOT_AGAIN[status]}: {whys[row]}" if row in whys else None
            for row, status in zip(rows, suspects["status"].to_pylist(), strict=True)
        }
        looked = suspects.filter(pa.array([note is None for note in notes.values()], pa.bool_()))
        confirmed = workspace / "confirmed.parquet"
        pq.write_table(looked.slice(0, self.catalog.second_look.objects), confirmed)
        diagnosed = findings(self.lake, self.catalog, self.pair, confirmed, workspace, self.now)
        elsewhere = same_bytes_elsewhere(suspects)
        # `diagnosed` has the first of those that were looked at, in their order.
        place = iter(range(diagnosed.num_rows))
        places = [next(place, None) if note is None else None for note in notes.values()]
        known = diagnosed.take(pa.array(places, pa.int64()))
        texts = ["; ".join(filter(None, (notes[row], elsewhere.get(row)))) or None for row in notes]
        columns = {
            "key": suspects["key"],
            "version_id": suspects["version_id"],
            "looked": pa.array([note is None for note in notes.values()], pa.bool_()),
            "note": pa.array(texts, pa.string()),
        }
        found = pa.table([columns.get(name, known[name]) for name in FINDINGS.names], schema=FINDINGS)
        file = workspace / "findings.parquet"
        pq.write_table(found, file)
        return file

    def _not_again(self, compared: Compared, rows: list[Row]) -> dict[Row, str]:
        """Why rows that are still suspect were not looked at twice."""
        suspects = suspects_of(self.catalog, self.pair, compared)
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
        suspects = suspects_of(self.catalog, self.pair, compared)
        sizes = (sizes_to_read(suspects, name) for name in SIDES)
        chosen: list[int] = []
        for place, (row, is_missing, *of_sides) in enumerate(
            zip(rows_of(suspects), suspects["is_missing"].to_pylist(), *sizes, strict=True)
        ):
            again = row in self.looked
            if row in self.left or (again and is_missing):
                continue
            refusal = self._limits.take(dict(zip(SIDES, of_sides, strict=True)), not again)
            if refusal is not None:
                self.left[row] = refusal
                continue
            self.looked.add(row)
            chosen.append(place)
        return suspects.take(pa.array(chosen, pa.int64()))

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

    def _to_keep(
        self, chosen: Iterable[tuple[Row, dict[str, Any] | None]], name: str, seen: Seen
    ) -> dict[Row, dict[str, Any]]:
        """The new checks of a side that say more than those before. The others' rows are left.

        Arguments: `chosen`, the rows that were looked at, with the checks before.
        """
        kept: dict[Row, dict[str, Any]] = {}
        for row, before in chosen:
            check = seen.checks.get(row)
            if check is None:
                continue
            if _says_less(check, before):
                self.left[row] = f"{check['error_code']}: {check['error_message']}"
                self.unread[name][row] = before["checksum"] if before else None
                continue
            if before and (check["status"], check["checksum"]) == (before["status"], before["checksum"]):
                check["reads"] = max(check["reads"], 1 + (before["reads"] or 1))
            kept[row] = check
        return kept

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


def _says_less(check: dict[str, Any], before: dict[str, Any] | None) -> bool:
    """Whether a new check without a result would hide the one before: bytes that were read and differ, or a
    failure. That an object is gone, is another one, or reads differently each time is news.
    """
    if before is None or check["status"] == SUCCEEDED:
        return False
    if check["error_code"] in (DELETED, CHANGED, UNSTABLE_READ):
        return False
    return (before["status"], check["status"]) != (FAILED, FAILED)


def _believe_the_other_copy(
    row: Row, sides: dict[str, dict[str, Any] | None], kept: dict[str, dict[Row, dict[str, Any]]]
) -> None:
    """Take back the only read that a side's baseline rests on, if later reads of both sides agree.

    The first read gave other bytes than the object has. Without this, they would be the baseline, and the
    object called damaged.
    """
    now = {name: kept[name].get(row) or sides[name] for name in SIDES}
    checksums = {(each["algorithm"], each["checksum"], each["status"]) for each in now.values() if each}
    if None in now.values() or len(checksums) != 1:
        return
    for name in SIDES:
        check, before = kept[name].get(row), sides[name]
        if check and before and _contradicts_only(check, before):
            check |= {
                "expected": check["checksum"],
                "expected_from": OTHER_COPY,
                "verdict": MATCHED,
                "error_code": UNSTABLE_READ,
                "error_message": f"the first read gave {before['checksum']}; later ones agree with the other "
                "copy of the pair",
            }


def _contradicts_only(check: dict[str, Any], before: dict[str, Any]) -> bool:
    """Whether a check differs from nothing but the first read, which no other confirmed."""
    return (
        check["verdict"] == DIFFERS
        and check["expected_from"] == FIRST_SEEN
        and before["verdict"] in (REGISTERED, None)
        and check["expected"] == before["checksum"] != check["checksum"]
    )


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
