"""Results of a Step Functions Distributed Map: from the manifest to one results object, and to checks.

`gather` reads all result files of a map run as a stream and writes the results object; it needs boto3
alone and can stand in a Lambda (`handler`). `checks` turns outputs into rows of the ledger. Which map
runs are gathered, and when, does not belong here.
"""

from fixity.engines.step_functions.errors import ResultsRefused
from fixity.engines.step_functions.gather import Gathered, MapOutput, OnFailed, gather
from fixity.engines.step_functions.map_run import MapRun
from fixity.engines.step_functions.results_bucket import ResultsBucket

__all__ = [
    "Gathered",
    "MapOutput",
    "MapRun",
    "OnFailed",
    "ResultsBucket",
    "ResultsRefused",
    "gather",
]
