"""Makes the status: puts together what is kept of all checks, and the incidents that are open.

What the states mean is in `rows`; how results are kept is in `kept`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from fixity.catalog import Bucket, Catalog
from fixity.clock import CLOCKS_AGREE
from fixity.lake import Lake
from fixity.status.daemon import daemon_notes
from fixity.status.kept import Kept, Unreadable, read_all
from fixity.status.open_incidents import OpenIncidents, open_incidents
from fixity.status.places import places_of, same_in_any_order
from fixity.status.rows import (
    LOG,
    NO_OPEN_INCIDENTS,
    NOT_SINCE,
    PROBLEM,
    RUN,
    STATES,
    UNKNOWN,
    VERIFIED,
    WARNING,
    Finding,
    Status,
    StatusRow,
)

if TYPE_CHECKING:
    from fixity.incidents.state import Incident

CHECKSUMS, COVERAGE, REPORT, REPAIRS, OPEN_INCIDENTS = (
    "checksums",
    "coverage",
    "fixity_report",
    "repairs",
    "incidents",
)
OF_BUCKETS = (
    "inventory",
    CHECKSUMS,
    "ingest_report",
    OPEN_INCIDENTS,
    COVERAGE,
    "drills",
    "restored",
    "checksum_job",
    "premis_events",
)
"""The assets of which the status of a bucket is made."""
OF_PAIRS = (REPORT, REPAIRS)
"""The assets of which the status of a pair is made."""
OF_PLATFORM = (COVERAGE, "map_results", LOG)
"""The assets of which the newest run counts, whatever it was of."""
_ALL_READ, _NOTHING_LOST = "all_read", "nothing_lost"
_LATE = timedelta(days=1)  # after the term, as of objects in `coverage`
_COUNTED_WITHIN = timedelta(days=1)  # coverage is counted every six hours

_AllKept = Mapping[tuple[str, str | None], Kept | Unreadable]


def status_of(lake: Lake, catalog: Catalog, now: datetime) -> Status:
    """The status of a catalog's buckets and pairs, at a time (UTC). Raises LakeError."""
    kept = read_all(lake)
    places = {
        name: report.place
        for (asset, name), each in kept.items()
        if asset == REPORT and (report := _result(each))
    }
    incidents = OpenIncidents.of(catalog, open_incidents(lake), places)
    buckets = [_bucket(catalog, each, kept, incidents, now) for each in catalog.buckets.values()]
    known: dict[tuple[str, str], StatusRow] = {(row.kind, row.name): row for row in buckets}
    for each in (*catalog.pairs, *catalog.copies):  # all copies together are as each of them
        known["pair", each] = _pair(catalog, each, kept, incidents, known, now)
    pairs = [known["pair", each] for each in catalog.compared]
    rows = sorted([*pairs, *buckets], key=lambda row: STATES.index(row.state))
    platform, notes = (
        _of_platform(catalog, kept, now),
        [*incidents.notes(), *daemon_notes(lake, catalog, now)],
    )
    log = None
    if catalog.log is not None:
        from fixity.status.log import log_status  # takes time to import

        red = [each for each in platform if each.asset == LOG]
        log, problems, warnings = log_status(lake, catalog.log, _result(kept.get((LOG, None))), red, now)
        platform = [*(each for each in platform if each.asset != LOG), *problems]
        notes += warnings
    return Status(now, tuple(rows), tuple(platform), tuple(notes), log)


@dataclass
class _Row:
    """What was found for one row so far."""

    red: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    coverage: float | None = None
    oldest: datetime | None = None
    checked_at: datetime | None = None
    failed_run: str | None = None

    def take(self, asset: str, kept: Kept | Unreadable | None, now: datetime, checks: bool = True) -> None:
        """Take what is kept of an asset. Arguments: `checks`, whether its checks count."""
        if isinstance(kept, Unreadable):
            self.unknown.append(str(kept))
        if not isinstance(kept, Kept):
            return
        if kept.lost:
            self.unknown.append(f"earlier results of {asset} are lost")
        if kept.at and kept.at > now + CLOCKS_AGREE:
            self.unknown.append(f"the result of {asset} is of {kept.at:%Y-%m-%d}: a clock was wrong")
        if kept.failed:
            self.failed_run = kept.failed.run_id
            self.red.append(Finding(asset, RUN, kept.failed.text, kept.failed.at))
        for check in kept.checks if checks else ():
            if not check.passed:
                found = self.red if check.is_red else self.warnings
                found.append(Finding(asset, check.name, check.description, kept.since.get(check.name)))

    def take_copies(self, copies: Mapping[str, StatusRow]) -> None:
        """Take what is wrong with copies, or unknown, unless it is told. Arguments: `copies`, by name."""
        for found, of_copies in (
            (self.red, {name: row.red for name, row in copies.items()}),
            (self.warnings, {name: row.warnings for name, row in copies.items()}),
        ):
            told = {(each.check, each.text) for each in found}
            alike: dict[tuple[str, str, str], dict[str, Finding]] = {}
            for name, findings in of_copies.items():
                for each in findings:
                    if each.asset != OPEN_INCIDENTS and (each.check, each.text) not in told:
                        alike.setdefault((each.asset, each.check, each.text), {})[name] = each
            for (_, _, text), some in alike.items():
                found.append(replace(next(iter(some.values())), text=f"{', '.join(some)}: {text}"))
        told_unknown = set(self.unknown)
        self.unknown += [
            f"{name}: {text}"
            for name, row in copies.items()
            for text in row.unknown
            if text not in told_unknown
        ]

    def take_incidents(self, incidents: Iterable[Incident]) -> None:
        """Take the open incidents that concern it."""
        for each in incidents:
            from fixity.incidents.summary import what  # takes time to import

            text = f"{each.id}: {what(each)} ({each.state})"
            self.red.append(Finding(OPEN_INCIDENTS, NO_OPEN_INCIDENTS, text, each.opened_at))

    def row(self, kind: Literal["bucket", "pair"], name: str, incidents: Iterable[Incident]) -> StatusRow:
        """The row."""
        state = VERIFIED
        for worse, found in ((WARNING, self.warnings), (UNKNOWN, self.unknown), (PROBLEM, self.red)):
            state = worse if found else state
        return StatusRow(
            kind=kind,
            name=name,
            state=state,
            red=tuple(self.red),
            warnings=tuple(self.warnings),
            unknown=tuple(self.unknown),
            counts=self.counts,
            open_incidents=tuple(each.id for each in incidents),
            coverage=self.coverage,
            oldest_evidence=self.oldest,
            checked_at=self.checked_at,
            waiting=tuple(self.waiting),
            failed_run=self.failed_run,
        )


def _of_platform(catalog: Catalog, kept: _AllKept, now: datetime) -> list[Finding]:
    """What is wrong with runs that are of no bucket and no pair."""
    findings = []
    for asset in OF_PLATFORM:
        if asset == LOG and catalog.log is None:
            continue
        found = _Row()
        # The checks of the others are kept of each bucket.
        found.take(asset, kept.get((asset, None)), now, checks=asset == LOG)
        findings += [*found.red, *(Finding(asset, RUN, text) for text in found.unknown)]
    return findings


def _bucket(
    catalog: Catalog, bucket: Bucket, all_kept: _AllKept, incidents: OpenIncidents, now: datetime
) -> StatusRow:
    kept = {asset: all_kept.get((asset, bucket.name)) for asset in OF_BUCKETS}
    if bucket.fixity_every is None:
        kept[COVERAGE] = None  # of a term that the bucket had before
    of_it = incidents.of_buckets[bucket.name]
    found = _Row()
    for asset, each in kept.items():
        found.take(asset, each, now, checks=asset != OPEN_INCIDENTS)
    found.take_incidents(of_it)
    checked, coverage = _result(kept[CHECKSUMS]), _result(kept[COVERAGE])
    if coverage and coverage.at and (now - coverage.at > _COUNTED_WITHIN or not coverage.counts):
        coverage = None
    if inventory := _result(kept["inventory"]):
        found.counts["objects"] = inventory.counts.get("rows", 0)
        if "bytes" in inventory.counts:
            found.counts["bytes"] = inventory.counts["bytes"]
    if checked:
        found.counts |= checked.counts
        found.checked_at, found.oldest = checked.at, checked.oldest
        _take_completeness(found, bucket, checked, coverage, now)
        _take_listed_since(found, bucket, checked, inventory)
        if checked.place != catalog.place_of(bucket):
            found.unknown.append("the catalog names another place than the one that was checked")
    elif not isinstance(kept[CHECKSUMS], Unreadable):
        found.unknown.append("it was never checked")
    if coverage:
        found.counts |= coverage.counts
        found.oldest = coverage.oldest
        objects = coverage.counts.get("objects", 0)
        found.coverage = coverage.counts.get("within_term", 0) / objects if objects else 1.0
        if 0 < objects == coverage.counts.get("archived"):
            found.unknown.append("all its objects are archived, and none was read in time")
        _wait(found, coverage.counts, {"due": "due", "never": "never checked"})
    if restored := _result(kept["restored"]):
        _wait(found, restored.counts, {"requested": "being restored", "restored": "restored, to be checked"})
    return found.row("bucket", bucket.name, of_it)


def _take_completeness(
    found: _Row, bucket: Bucket, checked: Kept, coverage: Kept | None, now: datetime
) -> None:
    """Say so where it is not known that all objects of a bucket were checked."""
    if coverage:
        return
    if bucket.fixity_every is None:
        if checked.whole_at is None:
            found.unknown.append("only some of its objects were checked")
    elif checked.whole_at is None or now - checked.whole_at > bucket.fixity_every:
        found.unknown.append("nobody counted in the last day how much was checked within the term")


def _take_listed_since(found: _Row, bucket: Bucket, checked: Kept, inventory: Kept | None) -> None:
    """Say how many objects of a bucket without a term are listed that no run over all has checked."""
    if bucket.fixity_every is not None or inventory is None or checked.whole_at is None:
        return  # of the others, `coverage` says what was never checked
    if inventory.at and _is_listed_since(inventory, checked, checked.whole_at):
        found.waiting.append("a check: it was listed since")
        then = checked.counts.get("rows", 0) if checked.objects is None else checked.objects
        more = inventory.counts.get("rows", 0) - then
        if more > 0:
            text = f"{more:,} objects more are listed now than when all were checked"
            found.warnings.append(Finding(CHECKSUMS, _ALL_READ, text, inventory.at))
        elif (
            checked.at and checked.at > inventory.at > checked.whole_at
        ):  # a run over some that knew the listing
            text = "some objects that are listed now were never checked"
            found.warnings.append(Finding(CHECKSUMS, _ALL_READ, text, inventory.at))


def _is_listed_since(inventory: Kept, checked: Kept, whole_at: datetime) -> bool:
    """Whether the newest inventory is another listing than the one that was checked, and newer.

    One that was begun before the check ended, and ended after it, is known by its run alone.
    """
    assert inventory.at is not None
    if checked.listing is None:  # kept by an earlier version
        return inventory.at > whole_at
    return inventory.run_id != checked.listing.run_id and inventory.at > checked.listing.at


def _pair(
    catalog: Catalog,
    name: str,
    all_kept: _AllKept,
    incidents: OpenIncidents,
    known: Mapping[tuple[str, str], StatusRow],
    now: datetime,
) -> StatusRow:
    """The row of a pair, or of all copies of a pair with several replicas.

    Arguments: `known`, the rows of the buckets, and for all copies those of their pairs, by kind and name.
    """
    kept = {asset: all_kept.get((asset, name)) for asset in OF_PAIRS}
    of_it = incidents.of_pairs[name]
    if not of_it:
        kept[REPAIRS] = None  # nothing is left to repair
    found = _Row()
    copies = catalog.copies.get(name)
    for asset, each in kept.items():
        found.take(asset, each, now, checks=copies is None)
    found.take_incidents(of_it)
    sides = [known["bucket", each] for each in catalog.buckets_of(name)]
    if report := _result(kept[REPORT]):
        found.counts |= report.counts
        found.checked_at, found.oldest = report.at, report.oldest
        place = places_of(catalog, catalog.buckets_of(name))
        if report.place != place and not (copies and same_in_any_order(report.place, place)):
            found.unknown.append("the catalog names other places than those that were compared")
        if (term := catalog.term_of(name)) and report.at and now - report.at > term + _LATE:
            found.unknown.append(f"its report is {(now - report.at).days} days old, more than its term")
        _wait(found, report.counts, {"pending": "pending", "not_checked": "not checked"})
        found.unknown += [
            f"its bucket {side.name} {NOT_SINCE}"
            for side in sides
            if any(each.check == RUN and each.asset in ("inventory", CHECKSUMS) for each in side.red)
        ]
        newer = {side.name for side in sides if side.checked_at and report.at and side.checked_at > report.at}
        if len(newer) == len(sides):
            found.waiting.append(
                f"a report: {'both' if len(sides) == 2 else 'all'} buckets were checked since"
            )
        elif newer and len(sides) > 2:
            stale = ", ".join(side.name for side in sides if side.name not in newer)
            found.waiting.append(f"a check of {stale}: the other buckets were checked since the report")
        _take_lost(found, sides)
    elif not isinstance(kept[REPORT], Unreadable):
        found.unknown.append("its buckets were never compared")
    if copies:
        found.take_copies({pair.replica: known["pair", pair.name] for pair in copies.pairs})
    found.coverage = min((side.coverage for side in sides if side.coverage is not None), default=None)
    return found.row("pair", name, of_it)


def _take_lost(found: _Row, sides: Sequence[StatusRow]) -> None:
    """Say of a pair what all of its buckets say: that objects vanished. No report has rows of what is on no
    side."""
    by_side = {
        side.name: [each for each in (*side.red, *side.warnings) if each.check == _NOTHING_LOST]
        for side in sides
    }
    if all(by_side.values()):
        each_first = {name: findings[0] for name, findings in by_side.items()}
        text = "; ".join(f"{name}: {each.text}" for name, each in each_first.items())
        since = max((each.since for each in each_first.values() if each.since), default=None)
        is_red = any(each in side.red for side in sides for each in by_side[side.name])
        (found.red if is_red else found.warnings).append(Finding(CHECKSUMS, _NOTHING_LOST, text, since))


def _result(kept: Kept | Unreadable | None) -> Kept | None:
    """What is kept, if it has a result."""
    return kept if isinstance(kept, Kept) and kept.at else None


def _wait(found: _Row, counts: Mapping[str, int], words: Mapping[str, str]) -> None:
    found.waiting += [f"{counts[name]:,} {word}" for name, word in words.items() if counts.get(name)]
