"""Makes the report of a pair: fetches the newest tables of both buckets, compares them, keeps CSV and counts.

The comparison itself is in `compare`. What is found out about suspect rows comes from the caller.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from fixity.catalog import Pair
from fixity.clock import utc_now
from fixity.lake import Lake
from fixity.lake.paths import report_file, stats_file
from fixity.ledger.current import current_checksums
from fixity.ledger.damage import Damage, known_damage
from fixity.ledger.fold import Settings
from fixity.ledger.refresh import gone
from fixity.ledger.unread import unread
from fixity.reports import Outcome, Side, compare, stats
from fixity.reports.ages import Evidence
from fixity.reports.columns import SUSPECTS
from fixity.reports.compare import RangeReport
from fixity.reports.suspects import read_suspects
from fixity.tables import FINDINGS, Provenance, TableUnreadable, naming_the_unreadable

if TYPE_CHECKING:
    from fixity.ledger.files import LeftOut


CheckedTable = tuple[Path, Provenance]
"""A local table of checks, and where it comes from."""
LeftOutOfSides = dict[str, list[str]]
"""Files of the sides' ledgers that cannot be read, by side, for people."""


@dataclass(frozen=True)
class Compared:
    """A comparison: its outcome, both sides' tables with their provenance, and the files of the ledgers that
    were left out, by side."""

    outcome: Outcome
    source: CheckedTable
    replica: CheckedTable
    left_out: LeftOutOfSides


First = Callable[[Path], Compared | None]
"""Gives the comparison of the newest tables that others made, in a local workspace; None where none did."""


def no_first(workspace: Path) -> Compared | None:
    """Nobody has compared them."""
    return None


class Examine(Protocol):
    """Examines suspect rows, before a report says that something is wrong."""

    def look_again(self, compared: Compared) -> bool:
        """Look at the suspects again. Returns whether a ledger has new checks, which are compared then.

        Called until it returns False.
        """

    def findings(self, compared: Compared, workspace: Path) -> Path | None:
        """What is known of the rows that are still suspect: a table of FINDINGS, in their order."""

    def complete(self) -> None:
        """Wait until all is kept that the new checks change. Raises LakeError."""


@dataclass(frozen=True)
class PairReport:
    """A report that was kept: its outcome, the two tables and their ages, and its files' names in the lake;
    csv and latest_csv are copies of evidence, which is never replaced.
    left_out: files of a side's ledger that could not be read, with the reason, for people. damaged: the
    objects of each bucket that are known to be damaged. unread: how many could not be read, by reason.
    suspects: the first rows that say that something is wrong (SUSPECTS), and findings: what is known of each
    (FINDINGS), in the same order; empty where nobody examined them.
    """

    outcome: Outcome
    source: Provenance
    replica: Provenance
    csv: str
    latest_csv: str
    evidence: str
    stats: str
    ages: dict[str, datetime | None]
    left_out: dict[str, list[str]]
    damaged: dict[str, list[Damage]]
    unread: dict[str, int]
    suspects: pa.Table
    findings: pa.Table

    @property
    def all_left_out(self) -> list[str]:
        """The files that were left out of both sides."""
        return [text for texts in self.left_out.values() for text in texts]


def make_report(
    lake: Lake,
    pair: Pair,
    settings: Settings,
    run_id: str,
    examine: Examine | None = None,
    now: Callable[[], datetime] = utc_now,
    first: First = no_first,
) -> PairReport:
    """Compare the newest tables of a pair's two buckets, and keep the run's report of today (UTC).

    Arguments: `settings`, by which checks of the source are folded; the replica has the same algorithm.
    `examine`, asked only where rows are suspect; None: they are reported as they are. `first`, by whom both
    sides may have been compared before.
    Replaces the copies of the newest report of the day, and under LATEST.
    Leaves out a file of a ledger that cannot be read, and names it in the report; the verdict is red then.
    Raises TableMissing if a side was not checked yet, TableUnreadable, LakeError.
    """
    today = now().date()
    csv, stats_name = report_file(pair.name, today, run_id), stats_file(pair.name, today, run_id)
    with lake.workspace() as workspace:
        compared = first(workspace) or _compare_newest(lake, pair, workspace, now)
        while examine and compared.outcome.suspects and examine.look_again(compared):
            compared = _compare_newest(lake, pair, workspace, now)
        findings = examine.findings(compared, workspace) if examine and compared.outcome.suspects else None
        if examine:
            examine.complete()
        damaged = {
            bucket: known_damage(lake, bucket, settings, workspace) for bucket in (pair.source, pair.replica)
        }
        outcome, left_out = compared.outcome, compared.left_out
        if findings or any(damaged.values()):
            sides = (compared.source, compared.replica)
            outcome = outcome_of(pair, *sides, workspace, findings, any(damaged.values()))
        (source_table, source), (replica_table, replica) = compared.source, compared.replica
        ages = Evidence.of(source_table, source.listed_at).by_name("source")
        ages |= Evidence.of(replica_table, replica.listed_at).by_name("replica")
        reasons = Counter[str]()
        if outcome.counts.failed_source or outcome.counts.failed_replication:
            reasons += Counter(unread(source_table)) + Counter(unread(replica_table))
        suspects = read_suspects(outcome.suspects) if outcome.suspects else SUSPECTS.empty_table()
        found = pq.read_table(findings) if findings else FINDINGS.empty_table()
        lake.put(csv, outcome.csv, replace=True)  # a step that is tried again replaces its own
        figures = {
            **stats(outcome.counts),
            **{name: time and time.isoformat() for name, time in ages.items()},
            **left_out,
        }
        lake.put_text(stats_name, json.dumps(figures, indent=2) + "\n", replace=True)
    for day in (today, None):
        lake.copy(csv, report_file(pair.name, day))
        lake.copy(stats_name, stats_file(pair.name, day))
    return PairReport(
        outcome=outcome,
        source=source,
        replica=replica,
        csv=report_file(pair.name, today),
        latest_csv=report_file(pair.name, None),
        evidence=csv,
        stats=stats_name,
        ages=ages,
        left_out=left_out,
        damaged=damaged,
        unread=dict(reasons),
        suspects=suspects,
        findings=found,
    )


def _compare_newest(lake: Lake, pair: Pair, workspace: Path, now: Callable[[], datetime]) -> Compared:
    def compared(thoroughly: bool) -> Compared:
        source, replica, left_out = newest_tables(lake, pair, workspace, now, thoroughly)
        return Compared(outcome_of(pair, source, replica, workspace), source, replica, left_out)

    try:
        return compared(thoroughly=False)
    except TableUnreadable:
        # A file is damaged inside, though its footer is whole. Only reading all of it can show that.
        return compared(thoroughly=True)


def newest_tables(
    lake: Lake, pair: Pair, workspace: Path, now: Callable[[], datetime], thoroughly: bool = False
) -> tuple[CheckedTable, CheckedTable, LeftOutOfSides]:
    """What is compared: the newest checks of both sides, as `current_checksums` gives them.

    Raises TableMissing, TableUnreadable, LakeError.
    """
    left_out: LeftOutOfSides = {"source_left_out": [], "replica_left_out": []}

    def side(bucket: str, texts: list[str]) -> CheckedTable:
        def note_left_out(each: LeftOut) -> None:
            texts.append(f"{lake.location(each.name)} {each.why}")

        for each in gone(lake, bucket):
            note_left_out(each)
        return current_checksums(lake, bucket, workspace, now, note_left_out, thoroughly)

    source = side(pair.source, left_out["source_left_out"])
    replica = side(pair.replica, left_out["replica_left_out"])
    return source, replica, left_out


def sides_of(pair: Pair, source: CheckedTable, replica: CheckedTable) -> tuple[Side, Side]:
    """Both sides, for `compare`."""
    return (
        Side(pair.source, source[0], source[1].listed_at),
        Side(pair.replica, replica[0], replica[1].listed_at),
    )


def outcome_of(
    pair: Pair,
    source: CheckedTable,
    replica: CheckedTable,
    workspace: Path,
    findings: Path | None = None,
    knows_damage: bool = False,
    made: Iterable[RangeReport] | None = None,
) -> Outcome:
    """The outcome of comparing two tables; arguments as of `compare`. Raises TableUnreadable."""
    assert pair.match is not None  # the catalog fills it in
    with naming_the_unreadable(source[0], replica[0]):
        return compare(
            *sides_of(pair, source, replica),
            match=pair.match,
            lag=pair.replication_lag,
            csv=workspace / "report.csv",
            findings=findings,
            knows_damage=knows_damage,
            made=made,
        )
