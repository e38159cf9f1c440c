"""Carries out a plan: copies, notes in the incidents how far it got, checks the new copies, closes incidents.

A repair that was killed is begun again: what it has copied is found to be right, and the rest goes on. What
is done with one object is in `copy`, with those of a job of S3 Batch in `by_s3`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta

from fixity.errors import BucketUnreachable
from fixity.humanize import printable
from fixity.incidents.closing import close_right
from fixity.incidents.events import REPAIR_ASKED, REPAIRED, append
from fixity.incidents.state import Incident, incidents_now
from fixity.repair.by_s3 import HandedOver, Taken, hand_over, take_reports
from fixity.repair.check import check_repaired, keep_proofs
from fixity.repair.copy import Done, repair_object
from fixity.repair.lease import only_repair
from fixity.repair.order import Order, Planned
from fixity.repair.plan import make_plan
from fixity.repair.sides import RepairRun

_AT_ONCE, _BYTES_AT_ONCE = 100, 4 * 1024**3  # copied before the incidents are told
_THREADS = 8  # each may hold the parts of one object in memory


@dataclass(frozen=True)
class Repair:
    """What a repair did: what became of each object, the keys (with their bucket) that its check found right,
    its files of the ledger, and the incidents that it closed.
    """

    done: Sequence[Done]
    right: frozenset[tuple[str, str]] = frozenset()
    checks: Sequence[str] = field(default_factory=list)
    closed: Sequence[str] = field(default_factory=list)

    def is_right(self, done: Done) -> bool:
        """Whether an object was repaired, and its new copy was read and is right."""
        return not done.refused and (done.planned.damaged, done.planned.key) in self.right


def repair(order: Order, run: RepairRun) -> Repair:
    """Repair the objects of open incidents that concern a pair, and check them.

    First the reports of jobs of S3 Batch that have ended are taken: each object that they wrote is checked.
    An unreachable bucket ends the repair after what was copied until then is checked.
    Raises RepairBusy, BucketUnreachable, JobRecordUnusable, S3ControlError, LakeError.
    """
    with only_repair(run):
        incidents = incidents_now(run.lake)
        told = _Told(run, order, incidents)
        taken = take_reports(run, order.pair.name, incidents, order.job)
        told.repaired([each for each in taken.done if not each.refused])
        plan = [] if order.job else _without(taken, make_plan(order, run, incidents))
        wanted = [each for each in plan if not each.refused]
        told.asked(wanted)
        done = taken.done + [Done(each, refused=each.refused) for each in plan if each.refused]
        handed = hand_over(run, order, [each for each in wanted if each.by_batch])
        told.handed_over([each for each in handed.done if each.job])
        done += handed.done
        failure: BucketUnreachable | None = None
        for batch in _batches(each for each in wanted if not each.by_batch):
            results, failure = _repair_batch(run, batch)
            told.repaired([each for each in results if not each.refused])
            done += results
            if failure is not None:
                break
        repaired = _checked(run, done, handed, [each.id for each in incidents if not each.is_over])
        taken.keep(run)
    if failure is not None:
        raise failure
    return repaired


def _without(taken: Taken, plan: Iterable[Planned]) -> list[Planned]:
    """A plan without the objects of jobs whose report this run takes."""
    handled = {(each.planned.damaged, each.planned.key) for each in taken.done}
    return [each for each in plan if (each.damaged, each.key) not in handled]


def _batches(plan: Iterable[Planned]) -> Iterator[list[Planned]]:
    batch: list[Planned] = []
    size = 0
    for each in plan:
        batch.append(each)
        size += each.size
        if len(batch) == _AT_ONCE or size >= _BYTES_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _repair_batch(run: RepairRun, batch: list[Planned]) -> tuple[list[Done], BucketUnreachable | None]:
    """What became of some objects, and the error after which no more can be repaired."""
    threads = min(_THREADS, *(side.threads for side in run.sides.values()))
    done: list[Done] = []
    failure: BucketUnreachable | None = None
    with ThreadPoolExecutor(threads, thread_name_prefix="repair") as pool:
        for future in [pool.submit(repair_object, run, each) for each in batch]:
            try:
                done.append(future.result())
            except BucketUnreachable as error:
                failure = failure or error
    for each in done:
        run.log(printable(f"{each.planned.key}: {each.refused or each.detail}", 2000))
    return done, failure


def _checked(run: RepairRun, done: Sequence[Done], handed: HandedOver, were_open: Sequence[str]) -> Repair:
    """Read the new copies, keep all checks, and close the incidents of which nothing is left."""
    right: set[tuple[str, str]] = set()
    checks: list[str] = []
    for side in run.sides.values():
        keep_proofs(run, side, done, handed.proofs[side.name])
        checked = check_repaired(run, side, done)
        if checked is None:
            continue
        right |= {(side.name, key) for key in checked.right}
        checks.append(checked.kept.file)
        with run.lake.workspace() as workspace:
            close_right(
                run.lake, side.name, run.lake.fetch(checked.kept.file, workspace), run.run_id, run.now
            )
    over = {each.id for each in incidents_now(run.lake) if each.is_over} if checks else set()
    return Repair(done, frozenset(right), checks, [name for name in were_open if name in over])


class _Told:
    """Tells the incidents what is done."""

    def __init__(self, run: RepairRun, order: Order, incidents: Iterable[Incident]) -> None:
        self._run, self._order = run, order
        self._last = {incident.id: incident.last_at for incident in incidents}

    def asked(self, plan: Iterable[Planned]) -> None:
        """These are to be repaired."""
        self._append(REPAIR_ASKED, [(each, {"reason": self._order.reason}) for each in plan])

    def handed_over(self, done: Iterable[Done]) -> None:
        """Jobs of S3 Batch are copying these."""
        told = [(each.planned, {"detail": f"the S3 Batch job {each.job} copies it"}) for each in done]
        self._append(REPAIR_ASKED, told)

    def repaired(self, done: Iterable[Done]) -> None:
        """These have new copies."""
        told = [
            (each.planned, {"bucket": each.planned.damaged, "expected": each.checksum, "detail": each.detail})
            for each in done
        ]
        self._append(REPAIRED, told)

    def _append(self, kind: str, told: Iterable[tuple[Planned, Mapping[str, str | None]]]) -> None:
        # An incident's next event is not before its last one, which another clock may have written.
        now, least = self._run.now(), timedelta(microseconds=1)
        ids = {planned.object.incident_id for planned, _ in told}
        self._last |= {each: max(now, self._last[each] + least) for each in ids}
        append(
            self._run.lake,
            [
                replace(
                    planned.object.event(kind, self._last[planned.object.incident_id], **more),
                    run_id=self._run.run_id,
                    person=self._order.person,
                )
                for planned, more in told
            ],
        )
