"""How long ago the objects of a bucket were last read: the counts behind the heat map.

They are kept by day, not by age, so that they stay true as time goes by and no snapshot is read twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fixity.clock import EPOCH
from fixity.lake import Lake
from fixity.ledger.snapshot import Snapshot
from fixity.ledger.views import view_now

if TYPE_CHECKING:
    import duckdb

_SQL = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
_DAYS = (7, 30, 91, 182, 365)
AGES = ("7 days", "30 days", "3 months", "6 months", "1 year", "older", "never")
"""The columns of the heat map: what was last read at most so long ago, longer ago, or never."""
_TONES = ("h", "h", "h", "h", "h", "o", "o")


@dataclass(frozen=True)
class Cell:
    """A cell of the heat map: its text, and its tone, a class of the style sheet."""

    text: str
    tone: str


@dataclass(frozen=True)
class LastRead:
    """How many objects of a bucket were last read on which day, and how many never were.

    by_day: by the number of the day since 1970 (UTC), as text, as JSON has it.
    """

    by_day: Mapping[str, int]
    never: int

    @classmethod
    def of(
        cls,
        lake: Lake,
        snapshot: Snapshot,
        now: datetime,
        database: duckdb.DuckDBPyConnection,
        workspace: Path,
    ) -> LastRead:
        """Count the objects of a snapshot. Raises LakeError."""
        view_now(database, lake, snapshot, "objects", workspace)
        counts = dict(database.execute(_SQL, {"now": now}).fetchall())
        never = counts.pop(None, 0)
        oldest = _day(now) - _DAYS[-1] - 1
        by_day: dict[str, int] = {}
        for day, objects in counts.items():
            name = str(max(day, oldest))
            by_day[name] = by_day.get(name, 0) + objects
        return cls(by_day, never)

    @property
    def objects(self) -> int:
        """All listed objects."""
        return sum(self.by_day.values()) + self.never

    def by_age(self, now: datetime) -> list[int]:
        """How many objects have each of AGES."""
        counts = [0] * len(AGES)
        for day, objects in self.by_day.items():
            age = _day(now) - int(day)
            counts[next((n for n, most in enumerate(_DAYS) if age <= most), len(_DAYS))] += objects
        counts[-1] = self.never
        return counts


def cells(counts: list[int]) -> list[Cell]:
    """A row of the heat map, from counts by age."""
    objects = sum(counts)
    return [
        Cell(_share(count, objects), _tone(kind, count, objects))
        for kind, count in zip(_TONES, counts, strict=True)
    ]


def total(counts: Iterable[list[int]]) -> list[int]:
    """The sums of counts by age."""
    return [sum(column) for column in zip([0] * len(AGES), *counts, strict=True)]


def _share(count: int, objects: int) -> str:
    if not count:
        return ""
    percent = 100 * count / objects
    return "<1 %" if percent < 1 else ">99 %" if 99 < percent < 100 else f"{percent:.0f} %"


def _tone(kind: str, count: int, objects: int) -> str:
    return f"{kind}{1 + 3 * count // objects}" if count else ""


def _day(moment: datetime) -> int:
    return (moment - EPOCH).days
