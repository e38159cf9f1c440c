"""Coverage: how much of a bucket was checked within its term, what was not, and whether its schedule runs.

Whoever reads a bucket, the platform or the jobs of others, the ledger says what was checked. A bucket without
a term is counted too: what was ever checked is within it, and nothing is overdue.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from fixity.catalog import Bucket, Policy
from fixity.catalog.capacity import shortfall
from fixity.clock import utc_now
from fixity.lake import Lake
from fixity.lake.database import open_database
from fixity.ledger import ready
from fixity.ledger.damage import Damage, damaged_by
from fixity.ledger.fold import settings_of
from fixity.ledger.listing import inventory_in_force
from fixity.ledger.lost import known_damaged, lost_by, lost_rows
from fixity.ledger.refresh import gone
from fixity.ledger.views import view_now
from fixity.rolling.lease import last_roll, leases

_SQL = Path(__file__).with_suffix(".sql")
GRACE = timedelta(days=1)
"""How long after the term an object counts as overdue."""
_LISTED_LATE = timedelta(days=2)
_WEEK = 7
COUNTS = ("objects", "within_term", "due", "never", "overdue", "failing", "damaged", "archived", "lost")
"""The counts of a bucket's coverage, in the order in which they are shown."""


@dataclass(frozen=True)
class BucketCoverage:
    """How many of a bucket's objects were checked within their term, at a time (UTC).

    objects: all that are listed: within_term + due + never + archived. within_term: checked within it.
    due: checked longer ago. never: never checked. overdue: of due and never, those whose term ended more
    than a day ago, a new object's beginning when it was first listed. failing: those that could not be read
    when that was last tried.
    damaged: those that are damaged. lost: objects that vanished, not among the others; lost_damaged: those of
    them that were known to be damaged. archived: left out, and not checked within the term. oldest, newest:
    the oldest and the newest last check. days_to_go: until all is checked at the speed of the last seven
    days; None without one. silent: hours since the last rolling run, or the start of a job, None where it is
    not too long.
    ledger: files of the ledger that cannot be used, and other things that were left out, for people.
    first_lost: the first lost objects by key, as LOST. size: bytes of what is to be checked. term: None where
    it has none. engine: who reads it.
    is_empty: whether nothing is listed, and nobody has called that right. shortfall: why its limits cannot do
    what its policy wants, for people.
    """

    bucket: str
    objects: int
    within_term: int
    due: int
    never: int
    overdue: int
    failing: int
    damaged: int
    archived: int
    oldest: datetime | None
    newest: datetime | None
    days_to_go: float | None
    silent: float | None
    lost: int
    lost_damaged: int
    ledger: list[str] = field(default_factory=list)
    damage: list[Damage] = field(default_factory=list)
    first_lost: list[dict[str, Any]] = field(default_factory=list)
    size: int = 0
    term: timedelta | None = None
    engine: str = "stream"
    is_empty: bool = False
    shortfall: str | None = None

    @property
    def is_right(self) -> bool:
        """Whether nothing is overdue, failing, damaged (also if lost since) or unreadable; its schedule runs.

        What fails is red in `all_read` of the bucket as soon as it fails. So the asset `coverage`, which is
        counted every few hours, has no check of its own for it.
        """
        damaged = self.damaged or self.lost_damaged
        return not (self.overdue or self.failing or damaged or self.ledger or self.silence)

    @property
    def unread(self) -> str | None:
        """How many of its objects nobody reads, for people; None where all are read."""
        if self.is_empty:
            return "nothing is there: no object is listed, and nobody has confirmed that this is right"
        if not self.archived:
            return None
        if self.archived == self.objects:
            return f"all {self.objects:,} objects are archived, and none was read in time"
        return f"{self.archived:,} of {self.objects:,} objects are archived, and were not read in time"

    @property
    def silence(self) -> str | None:
        """How long nothing was run for it, for people; None where it is not too long."""
        if self.silent is None:
            return None
        since = "yet" if self.silent == float("inf") else f"for {self.silent:.0f} hours"
        what = "rolling run has ended" if self.engine == "stream" else "job was started"
        return f"no {what} {since}"


def bucket_coverage(
    lake: Lake,
    bucket: Bucket,
    run_id: str,
    now: Callable[[], datetime] = utc_now,
    asks_jobs: bool = False,
) -> BucketCoverage:
    """The coverage of a bucket. Its store's budget is not looked at.

    Arguments: `run_id` names the snapshot if it is rebuilt; `asks_jobs`, whether the platform requests its
    jobs of others. Raises TableMissing, LakeError.
    """
    settings, policy = settings_of(bucket), bucket.schedule
    ledger: list[str] = []
    moment = now()
    snapshot = ready(lake, bucket.name, settings, run_id, now, ledger.append)
    ledger += [f"{lake.location(each.name)} {each.why}" for each in gone(lake, bucket.name)]
    age = moment - datetime.fromisoformat(snapshot.listed_at)
    older = bucket.inventory.max_age if bucket.inventory else timedelta(0)
    if policy and age > max(policy.stored + _LISTED_LATE, older):
        ledger.append(f"the inventory of '{bucket.name}' is {age.days} days old: newer objects are not known")
    with lake.workspace() as workspace, open_database(workspace) as database:
        view_now(database, lake, snapshot, "objects", workspace)
        row = database.execute(
            _SQL.read_text(encoding="utf-8"),
            {
                "now": moment,
                "every": settings.every // timedelta(microseconds=1),
                "grace": GRACE // timedelta(microseconds=1),
                "reads_archived": bucket.engine == "s3_batch",
            },
        ).fetchone()
        lost = lost_by(lambda: database, lake, bucket, snapshot, workspace)
        # Objects that are newer than the inventory may be damaged too.
        damage = damaged_by(lambda: database, lake, snapshot, workspace)
    assert row is not None
    *counts, oldest, newest, in_a_week, read, size = row
    figures = dict(zip(COUNTS, [*counts, lost.num_rows], strict=True))
    figures["damaged"] = max(figures["damaged"], len(damage))
    waiting = figures["due"] + figures["never"]
    return BucketCoverage(
        bucket=bucket.name,
        **figures,
        oldest=oldest,
        newest=newest,
        days_to_go=0.0 if not waiting else waiting * _WEEK / in_a_week if in_a_week else None,
        silent=_silent(lake, bucket, policy, asks_jobs, moment) if policy else None,
        lost_damaged=known_damaged(lost),
        ledger=ledger,
        damage=damage,
        first_lost=lost_rows(lost),
        size=size,
        term=bucket.fixity_every,
        engine=bucket.engine,
        is_empty=not figures["objects"] and inventory_in_force(lake, bucket.name).is_doubtful,
        shortfall=shortfall(bucket, read, size),
    )


def _silent(lake: Lake, bucket: Bucket, policy: Policy, asks_jobs: bool, now: datetime) -> float | None:
    """Hours since the schedule last did something for a bucket; None if that is not too long ago."""
    closed = policy.window.closed(now) if policy.window else timedelta(0)
    if bucket.is_rolled:
        allowed = max(4 * bucket.batch_interval, timedelta(hours=2)) + closed
        seen = [datetime.fromisoformat(each.beat) for each in leases(lake, bucket.name)]
        seen += [ended] if (ended := last_roll(lake, bucket.name)) else []
    elif asks_jobs:
        # Here: it imports what S3's jobs need, which takes 8 ms.
        from fixity.rolling.jobs import interval, last_started

        allowed = interval(policy.bytes) + timedelta(days=2)
        seen = [started] if (started := last_started(lake, bucket, now)) else []
    else:
        return None  # the user starts the maps
    if not seen:
        return float("inf")
    since = abs(now - max(seen))
    return since / timedelta(hours=1) if since > allowed else None
