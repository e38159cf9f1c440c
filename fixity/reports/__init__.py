"""The comparison of a bucket with its replica, and what is said of its outcome. Plain values and files:
where reports are kept, and who is told, belongs elsewhere."""

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
