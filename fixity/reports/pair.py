"""Makes the report of a pair: fetches the newest tables of both buckets, compares them, keeps CSV and counts.

The comparison itself is in `compare`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fixity.catalog import Pair
from fixity.clock import utc_now
from fixity.lake import Lake
from fixity.lake.paths import report_file, stats_file
from fixity.ledger.current import current_checksums
from fixity.ledger.damage import Damage, known_damage
from fixity.ledger.fold import Settings
from fixity.ledger.unread import unread
from fixity.reports import Outcome, Side, compare, stats
from fixity.reports.ages import Evidence
from fixity.tables import Provenance, TableUnreadable, naming_the_unreadable

if TYPE_CHECKING:
    from fixity.ledger.files import LeftOut


@dataclass(frozen=True)
class PairReport:
    """A report that was kept: its outcome, the two tables and their ages, and its files' names in the lake.
    left_out: files of a side's ledger that could not be read, with the reason, for people. damaged: the
    objects of each bucket that are known to be damaged. unread: how many could not be read, by reason.
    """

    outcome: Outcome
    source: Provenance
    replica: Provenance
    csv: str
    latest_csv: str
    stats: str
    ages: dict[str, datetime | None]
    left_out: dict[str, list[str]]
    damaged: dict[str, list[Damage]]
    unread: dict[str, int]

    @property
    def all_left_out(self) -> list[str]:
        """The files that were left out of both sides."""
        return [text for texts in self.left_out.values() for text in texts]


def make_report(
    lake: Lake, pair: Pair, settings: Settings, now: Callable[[], datetime] = utc_now
) -> PairReport:
    """Compare the newest tables of a pair's two buckets, and keep the report of today (UTC).

    Arguments: `settings`, by which checks of the source are folded; the replica has the same algorithm.
    Replaces the report of the same day, and the one under LATEST.
    Leaves out a file of a ledger that cannot be read, and names it in the report; the verdict is red then.
    Raises TableMissing if a side was not checked yet, TableUnreadable, LakeError.
    """
    today = now().date()
    csv, latest_csv = report_file(pair.name, today), report_file(pair.name, None)
    stats_name = stats_file(pair.name, today)
    with lake.workspace() as workspace:
        try:
            compared = _compare(lake, pair, workspace, now)
        except TableUnreadable:
            # A file is damaged inside, though its footer is whole. Only reading all of it can show that.
            compared = _compare(lake, pair, workspace, now, thoroughly=True)
        outcome, (source_table, source), (replica_table, replica), left_out = compared
        ages = Evidence.of(source_table, source.listed_at, workspace).by_name("source")
        ages |= Evidence.of(replica_table, replica.listed_at, workspace).by_name("replica")
        damaged = {
            bucket: known_damage(lake, bucket, settings, workspace) for bucket in (pair.source, pair.replica)
        }
        reasons = Counter[str]()
        if outcome.counts.failed_source or outcome.counts.failed_replication:
            reasons += Counter(unread(source_table)) + Counter(unread(replica_table))
        lake.put(csv, outcome.csv, replace=True)
        figures = {
            **stats(outcome.counts),
            **{name: time and time.isoformat() for name, time in ages.items()},
            **left_out,
        }
        lake.put_text(stats_name, json.dumps(figures, indent=2) + "\n", replace=True)
    lake.copy(csv, latest_csv)
    lake.copy(stats_name, stats_file(pair.name, None))
    return PairReport(
        outcome, source, replica, csv, latest_csv, stats_name, ages, left_out, damaged, dict(reasons)
    )


_Table = tuple[Path, Provenance]


def _compare(
    lake: Lake, pair: Pair, workspace: Path, now: Callable[[], datetime], thoroughly: bool = False
) -> tuple[Outcome, _Table, _Table, dict[str, list[str]]]:
    """The outcome, both sides' tables, and the files that were left out, as in `PairReport`."""
    left_out: dict[str, list[str]] = {"source_left_out": [], "replica_left_out": []}

    def side(bucket: str, texts: list[str]) -> _Table:
        def note_left_out(each: LeftOut) -> None:
            texts.append(f"{lake.location(each.name)} {each.why}")

        return current_checksums(lake, bucket, workspace, now, note_left_out, thoroughly)

    source_table, source = side(pair.source, left_out["source_left_out"])
    replica_table, replica = side(pair.replica, left_out["replica_left_out"])
    assert pair.match is not None  # the catalog fills it in
    with naming_the_unreadable(source_table, replica_table):
        outcome = compare(
            Side(pair.source, source_table, source.listed_at),
            Side(pair.replica, replica_table, replica.listed_at),
            match=pair.match,
            lag=pair.replication_lag,
            csv=workspace / "report.csv",
        )
    return outcome, (source_table, source), (replica_table, replica), left_out
