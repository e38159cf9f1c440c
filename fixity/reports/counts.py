"""The figures of a report as a value. Their wording does not belong here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any


@dataclass(frozen=True)
class Counts:
    """How many objects of a pair are in which state.

    total_objects: objects of the source that are compared (current versions, when matched by key).
    failed_source, failed_replication: objects that could not be read on that side, whatever the row's status.
    An object that failed on both sides counts in both; one that failed and is missing on the other side
    counts, too. All others: rows of that status. rows: rows of the report, objects on either side.
    """

    total_objects: int = 0
    matches: int = 0
    mismatches: int = 0
    missing_replica: int = 0
    missing_source: int = 0
    failed_source: int = 0
    failed_replication: int = 0
    incomparable: int = 0
    not_checked: int = 0
    pending: int = 0
    rows: int = 0

    def __add__(self, other: Counts) -> Counts:
        """The sum of the figures of two parts of a report."""
        return Counts(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @classmethod
    def from_stats(cls, stats: Mapping[str, Any]) -> Counts:
        """The figures from the JSON that `summary.stats` made; it does not have the number of rows."""
        return cls(**{name: int(stats[name]) for name in cls.__dataclass_fields__ if name != "rows"})

    @property
    def wrong(self) -> int:
        """Rows that say that something is wrong (SUSPECT); an object that failed on both sides is one."""
        return self.rows - self.matches - self.incomparable - self.not_checked - self.pending

    def by_status(self) -> dict[str, int]:
        """The figures by status word, in the order of `STATUSES`."""
        return {
            "ok": self.matches,
            "mismatch": self.mismatches,
            "missing_replica": self.missing_replica,
            "missing_source": self.missing_source,
            "failed_source": self.failed_source,
            "failed_replication": self.failed_replication,
            "incomparable": self.incomparable,
            "not_checked": self.not_checked,
            "pending": self.pending,
        }
