"""The catalog: which buckets there are, how to reach each one, and which bucket replicates which.

`load_catalog` reads `fixity.yaml`. It returns a `Catalog` in which every name is known and every default
is filled in, or raises a `CatalogError` that lists every problem of the file. Using a bucket (opening,
listing, hashing, comparing) does not belong here, nor do credentials.
"""

from fixity.catalog.alerts import WHAT, Alerts, Target, What
from fixity.catalog.catalog import Catalog
from fixity.catalog.copies import Copies
from fixity.catalog.errors import CatalogError
from fixity.catalog.executor import EXECUTORS, Executor, ExecutorName
from fixity.catalog.load import ENVIRONMENT, FILE_NAME, find_catalog, load_catalog
from fixity.catalog.log import Log
from fixity.catalog.map_results import LedgerMapping, MapResults
from fixity.catalog.model import ALGORITHMS, CHUNK_SIZE, Algorithm, Bucket, Pair, Store
from fixity.catalog.policy import Policy
from fixity.catalog.queues import Queue, Queues
from fixity.catalog.restore import Restore, Tier
from fixity.catalog.s3_batch import S3Batch
from fixity.catalog.second_look import SecondLook
from fixity.catalog.window import Window

__all__ = [
    "ALGORITHMS",
    "CHUNK_SIZE",
    "ENVIRONMENT",
    "EXECUTORS",
    "FILE_NAME",
    "WHAT",
    "Alerts",
    "Algorithm",
    "Bucket",
    "Catalog",
    "CatalogError",
    "Copies",
    "Executor",
    "ExecutorName",
    "LedgerMapping",
    "Log",
    "MapResults",
    "Pair",
    "Policy",
    "Queue",
    "Queues",
    "Restore",
    "S3Batch",
    "SecondLook",
    "Store",
    "Target",
    "Tier",
    "What",
    "Window",
    "find_catalog",
    "load_catalog",
]
