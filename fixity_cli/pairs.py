"""Checks and compares several pairs at once, in this process.

A bucket that is in several pairs is checked once. What is printed of a pair does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from fixity_cli.runs import Ended, Runner
from jobs.names import CHECKSUMS_JOB, REPORT_JOB

AT_ONCE = 4
"""Runs at once. Each reads with all the threads that its bucket may have."""


@dataclass(frozen=True)
class PairEnded:
    """How a pair ended: the runs of its sides, if they were checked, and of its report, if there is one."""

    name: str
    sides: tuple[Ended, ...]
    report: Ended | None

    @property
    def runs(self) -> tuple[Ended, ...]:
        """All runs of the pair, in their order."""
        return (*self.sides, *([self.report] if self.report else []))

    @property
    def is_done(self) -> bool:
        """Whether all runs succeeded, so that there is a report."""
        return self.report is not None and all(ended.success for ended in self.runs)


def run_pairs(
    runs: Runner,
    pairs: Mapping[str, Sequence[str]],
    read: bool,
    copies: Mapping[str, Mapping[str, Sequence[str]]],
) -> Iterator[PairEnded]:
    """Compare pairs; yields each as it ends. A pair that fails does not stop the others.

    Arguments: `pairs`, the buckets of each by its name; `read`, whether to check the buckets first; `copies`,
    the pairs of each copy of those with several replicas, with their buckets: where a bucket cannot be
    checked, the other copies are compared alone.
    """
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        sides: dict[str, Future[Ended]] = {}
        waiting = {name: tuple(buckets) if read else () for name, buckets in pairs.items()}
        for bucket in (bucket for buckets in waiting.values() for bucket in buckets):
            if bucket not in sides:
                sides[bucket] = pool.submit(runs.run, CHECKSUMS_JOB, bucket)
        reports: dict[Future[Ended], str] = {}
        checked: dict[str, tuple[Ended, ...]] = {}
        while waiting or reports:
            for name, buckets in list(waiting.items()):
                if all(sides[bucket].done() for bucket in buckets):
                    del waiting[name]
                    # If one side cannot be reached, the other is still checked.
                    checked[name] = tuple(sides[bucket].result() for bucket in buckets)
                    if all(ended.success for ended in checked[name]):
                        reports[pool.submit(runs.run, REPORT_JOB, name)] = name
                    else:
                        yield PairEnded(name, checked[name], None)
                        alone = copies.get(name, {}).items()
                        waiting |= {
                            copy: tuple(of)
                            for copy, of in alone
                            if copy not in pairs and all(sides[each].result().success for each in of)
                        }
            pending = [side for side in sides.values() if not side.done()]
            for future in wait([*pending, *reports], return_when=FIRST_COMPLETED).done:
                if future in reports:
                    name = reports.pop(future)
                    yield PairEnded(name, checked[name], future.result())
    finally:
        pool.shutdown(cancel_futures=True)
