"""The Lambda after a state machine's map, deployed as `fixity.map_results.handler.handler`.

Its settings come from the catalog in FIXITY_CATALOG. Without a catalog, the bucket is on AWS, and the results
go where the National Archives expect them. Keeping checks does not belong here: the platform does it when
it gets the event of the manifest.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from fixity.catalog import ENVIRONMENT, Catalog, MapResults, Store, load_catalog
from fixity.engines.step_functions import Gathered, MapRun, OnFailed, ResultsBucket, ResultsRefused, gather


def handler(event: Mapping[str, Any], context: object) -> dict[str, str]:
    """Gather the results named in the state machine's message.

    Arguments: `event`, `{"results": {"ResultWriterDetails": {"Bucket": …, "Key": …}}}`.
    Returns `{"key": …, "bucket": …}` of the results object. Raises ResultsRefused, BucketUnreachable,
    CatalogError.
    """
    try:
        details = event["results"]["ResultWriterDetails"]
        bucket, key = details["Bucket"], details["Key"]
    except (KeyError, TypeError):
        bucket = key = None
    if not (isinstance(bucket, str) and isinstance(key, str) and bucket and key):
        raise ResultsRefused("the message must hold results.ResultWriterDetails with Bucket and Key")
    catalog = load_catalog() if os.environ.get(ENVIRONMENT) else None
    return gather_at(f"s3://{bucket}/{key}", catalog).message


def gather_at(url: str, catalog: Catalog | None, on_failed: OnFailed | None = None) -> Gathered:
    """Gather the results of the manifest at an `s3://` URL.

    Arguments: `catalog`, whose `map_results` are used if they are for this bucket; otherwise the defaults
    are. `on_failed`, instead of the catalog's setting.
    Raises ResultsRefused, BucketUnreachable.
    """
    bucket = url.removeprefix("s3://").partition("/")[0]
    settings = catalog.map_results if catalog else None
    if settings is None or settings.bucket != bucket:
        settings = MapResults(bucket=bucket)
    run = MapRun.at(url, settings.prefix, settings.results_key)
    store = catalog.stores[settings.store] if catalog else Store(name="aws")
    return gather(
        ResultsBucket.open(store, run.bucket),
        run,
        run.results_key(settings.results_key),
        on_failed or settings.on_failed,
    )
