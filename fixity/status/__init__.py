"""The status: what the newest results of all asset checks say together, a row for each bucket and each pair.

Runs keep their results with `kept`; `now` puts them together with the incidents. Nothing here reads an
object. Showing the status does not belong here.
"""

from fixity.status.kept import (
    Check,
    Day,
    Failure,
    Kept,
    Listed,
    Result,
    history_of,
    history_with,
    is_red,
    keep_check,
    keep_failure,
    keep_result,
    keeps_results,
    kept_of,
)
from fixity.status.now import OF_BUCKETS, OF_PAIRS, OF_PLATFORM, status_of
from fixity.status.places import places_of
from fixity.status.rows import (
    COLOURS,
    PROBLEM,
    STATES,
    UNKNOWN,
    VERIFIED,
    WARNING,
    Finding,
    LogStatus,
    Status,
    StatusRow,
)

__all__ = [
    "COLOURS",
    "OF_BUCKETS",
    "OF_PAIRS",
    "OF_PLATFORM",
    "PROBLEM",
    "STATES",
    "UNKNOWN",
    "VERIFIED",
    "WARNING",
    "Check",
    "Day",
    "Failure",
    "Finding",
    "Kept",
    "Listed",
    "LogStatus",
    "Result",
    "Status",
    "StatusRow",
    "history_of",
    "history_with",
    "is_red",
    "keep_check",
    "keep_failure",
    "keep_result",
    "keeps_results",
    "kept_of",
    "places_of",
    "status_of",
]
