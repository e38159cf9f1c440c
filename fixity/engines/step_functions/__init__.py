"""Results of a Step Functions Distributed Map: turns them into one results object, and into checks.

`gather` streams all result files of a map run into the results object. It needs only boto3, so it can run
in a Lambda (`handler`). `checks` turns outputs into rows of the ledger. Choosing map runs, and when to gather
them, does not belong here.
"""

from fixity.engines.step_functions.errors import ResultsRefused
from fixity.engines.step_functions.gather import Gathered, OnFailed, gather
from fixity.engines.step_functions.map_run import MapRun
from fixity.engines.step_functions.results_bucket import ResultsBucket

__all__ = [
    "Gathered",
    "MapRun",
    "OnFailed",
    "ResultsBucket",
    "ResultsRefused",
    "gather",
]
