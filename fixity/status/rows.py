"""The status as values: a row for each bucket and each pair. How they are made is in `now`.

The states, the worst first:
- `problem`: a check is red, an incident is open, or the last run ended without a result.
- `unknown`: it was never checked as a whole; or what was known of it is lost, damaged, or of another place.
- `warning`: a check warns.
- `verified`: everything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

PROBLEM, UNKNOWN, WARNING, VERIFIED = "problem", "unknown", "warning", "verified"
STATES = (PROBLEM, UNKNOWN, WARNING, VERIFIED)
"""The states of a row, the worst first."""
COLOURS = {PROBLEM: "red", UNKNOWN: "grey", WARNING: "yellow", VERIFIED: "green"}
"""The colours of the states, for people."""

RUN = "run"
"""The check of a finding that is none: the last run ended without a result."""
LOG = "log"
"""The asset of the log."""
NOT_SINCE = "could not be checked since"
"""What is not known of a pair whose bucket's last run ended without a result."""
NO_OPEN_INCIDENTS = "no_open_incidents"
"""The check of the findings about incidents that are open now."""


@dataclass(frozen=True)
class Finding:
    """Something that is wrong: the asset, its check, the text for people, and since when (UTC)."""

    asset: str
    check: str
    text: str
    since: datetime | None = None


@dataclass(frozen=True)
class StatusRow:
    """The status of a bucket or a pair.

    red, warnings: what is wrong. unknown: what is not known, for people. counts: of the newest result.
    open_incidents: their ids. coverage: which part of the objects was checked within the term, from 0 to 1;
    None without a term. oldest_evidence: the oldest check that the row rests on, and checked_at: when the
    newest result was made (UTC); None if there is none. waiting: what will still be done, for people.
    failed_run: the run that ended without a result.
    """

    kind: Literal["bucket", "pair"]
    name: str
    state: str
    red: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    unknown: tuple[str, ...]
    counts: Mapping[str, int]
    open_incidents: tuple[str, ...]
    coverage: float | None
    oldest_evidence: datetime | None
    checked_at: datetime | None
    waiting: tuple[str, ...]
    failed_run: str | None

    @property
    def colour(self) -> str:
        """The colour of its state: red, grey, yellow or green."""
        return COLOURS[self.state]


@dataclass(frozen=True)
class LogStatus:
    """How far the log of the lake is. Times are in UTC; None: not known, or never.

    seal: the number of the newest seal. sealed_at: when the last run sealed all that was there, but for
    `waiting` files; None if it sealed nothing. stamped_at, copied_at: when the newest seal that has one was
    stamped, or copied to the witness.
    """

    state: str
    seal: int | None
    sealed_at: datetime | None
    waiting: int | None
    stamped_at: datetime | None
    copied_at: datetime | None


@dataclass(frozen=True)
class Status:
    """The status at a time (UTC): the rows, the worst first; and what is wrong with the platform itself.

    notes: warnings about the daemon, the targets of alerts and the log, for people. log: None without one.
    """

    at: datetime
    rows: tuple[StatusRow, ...]
    platform: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    log: LogStatus | None = None

    @property
    def state(self) -> str:
        """The worst state of all."""
        there = {row.state for row in self.rows} | ({PROBLEM} if self.platform else set())
        there |= {WARNING} if self.notes and self.rows else set()
        return next((state for state in STATES if state in there), UNKNOWN)

    @property
    def is_verified(self) -> bool:
        """Whether nothing is wrong or unknown; there may be warnings."""
        return self.state in (WARNING, VERIFIED)

    def by_state(self) -> dict[str, list[StatusRow]]:
        """The rows of each state, the worst first."""
        return {state: [row for row in self.rows if row.state == state] for state in STATES}

    def only(self, names: Iterable[str]) -> Status:
        """Only the rows of these buckets and pairs."""
        wanted = set(names)
        return replace(self, rows=tuple(row for row in self.rows if row.name in wanted))
