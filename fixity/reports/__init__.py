"""The comparison of a bucket with its replica, its figures and its verdict, and other reports.

The names below work on plain values and files; `pair`, `query` and `premis` also know the lake."""

from fixity.lake.ranges import TableNotSorted
from fixity.reports.columns import COLUMNS, STATUSES
from fixity.reports.compare import Outcome, Side, TableNotConsistent, compare
from fixity.reports.counts import Counts
from fixity.reports.summary import stats, summary_text
from fixity.reports.verdict import Verdict, check_names, verdict

__all__ = [
    "COLUMNS",
    "STATUSES",
    "Counts",
    "Outcome",
    "Side",
    "TableNotConsistent",
    "TableNotSorted",
    "Verdict",
    "check_names",
    "compare",
    "stats",
    "summary_text",
    "verdict",
]
