"""The report over large tables, as rows of the results; how it is measured stands in `bench.report`."""

from __future__ import annotations

from pathlib import Path

from bench import report
from bench.data import Collections
from bench.measure import Row, beside

_LARGE = 10
"""How many times the rows of the usual report the large one has."""


def rows(collections: Collections, rounds: int, scratch: Path) -> list[Row]:
    """Wall time, CPU and peak memory of the report, beside the floor of the same run."""
    return report.measure(collections.compared, rounds)


def large_rows(collections: Collections, rounds: int, scratch: Path) -> list[Row]:
    """The same over ten times the rows, once, and how time and memory have grown."""
    few = report.measure_kind(collections.compared, rounds)
    many = report.measure_kind(_LARGE * collections.compared, 1)
    wall, memory = 0, -1  # where report.measure_kind has them
    growth = f"report, {_LARGE} times {collections.compared:,} rows a side"
    return [
        *many,
        _growth(f"{growth}: wall time", many[wall], few[wall], 11),
        _growth(f"{growth}: peak memory", many[memory], few[memory], 1.1),
    ]


def _growth(name: str, many: Row, few: Row, target: float) -> Row:
    return beside(name, many.unit, [many.ours], [few.ours], target, "ours, a tenth of the rows")
